"""What the web process and the chat worker tell each other through Redis: a doorbell, and one stream per answer.

Both may be lost at any time: the worker looks for turns by itself, and a stream is written again from its memory.
"""

import logging
from collections.abc import Collection
from contextlib import suppress
from uuid import UUID

import redis
from django.db import transaction

from webapp.common.redis_clients import redis_client

BELL = "chat:bell"
BELL_LENGTH = 100
BELL_SECONDS = 60

STREAM_SECONDS = 900
"""For how long an answer's stream is kept after its last entry."""
ENDED_SECONDS = 60
"""The same, once the row is final: it says all that the stream says."""
STREAM_LENGTH = 50_000
FIELD = b"d"
"""The one field of an entry: JSON. `seq`; `at` and `text`: where in the answer the text belongs; `steps`:
as in the row; `candidates`: how many there are; `end`: that the row is final."""

log = logging.getLogger(__name__)


def stream_key(message_id: UUID, attempt: int) -> str:
    """Of one attempt at one answer."""
    return f"chat:{message_id}:{attempt}"


def wanted_key(host: str, device: str) -> str:
    """Under which a job says that it waits for a device that chat has."""
    return f"chat:wanted:{host}:{device}"


def forget_on_commit(keys: Collection[str]) -> None:
    """Have these streams gone with the rows that are deleted in the present transaction."""

    def forget() -> None:
        with suppress(redis.RedisError, OSError):
            redis_client().delete(*keys)

    if keys:
        transaction.on_commit(forget)


def ring_on_commit() -> None:
    """Tell the chat workers to look, once the present transaction has committed. They also look by themselves."""
    transaction.on_commit(ring)


def ring() -> None:
    """Tell the chat workers to look now."""
    with suppress(redis.RedisError, OSError), redis_client().pipeline(transaction=False) as pipe:
        pipe.rpush(BELL, "look")
        pipe.ltrim(BELL, -BELL_LENGTH, -1)
        pipe.expire(BELL, BELL_SECONDS)
        pipe.execute()
