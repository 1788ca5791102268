"""Answers chats: `python -m workers.chat`. One per GPU is enough; it batches all conversations of a model."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")

import django

django.setup()

import asyncio

from meds3core.engines.openai.connections import connect_by
from webapp.outgoing.engines import CheckedConnections
from workers.chatting.worker import QUEUE, ChatWorker
from workers.identity import worker_name


def main() -> None:
    """Until told to end."""
    connect_by(CheckedConnections())
    asyncio.run(ChatWorker(worker_name(QUEUE)).run())


if __name__ == "__main__":
    main()
