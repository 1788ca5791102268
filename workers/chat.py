"""Answers chats: `python -m workers.chat`. One per GPU is enough; it batches all conversations of a model."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")

import django

django.setup()

import asyncio
import logging

from meds3core.engines.openai.connections import connect_by
from webapp.outgoing.engines import CheckedConnections
from workers.chatting.worker import QUEUE, ChatWorker
from workers.exits import BROKE
from workers.identity import worker_name


def main() -> None:
    """Until told to end, or until its device is lost: whoever keeps the processes alive then starts another one."""
    connect_by(CheckedConnections())
    asyncio.run(_work())


async def _work() -> None:
    worker = ChatWorker(worker_name(QUEUE))
    await worker.run()
    if worker.has_lost_device:
        logging.shutdown()
        os._exit(BROKE)  # at once: threads may wait for the device for ever


if __name__ == "__main__":
    main()
