"""The doorbell: a message that says "look" to the workers of a queue. It names no job, and a lost one costs seconds.

Rung when the transaction that made something eligible has committed. The sweep (workers.sweep) rings what was lost.
"""

import logging

import redis
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

from meds3core.errors import AppError
from webapp.common.redis_clients import redis_client
from webapp.config.celery import app

TASK = "workers.look"

log = logging.getLogger(__name__)


class QueueUnreachable(AppError):
    """The message queue does not answer. What was asked for is stored and starts when it answers again."""

    code = "queue-unreachable"


def ring_on_commit(*, queue: str) -> None:
    """Ring once the present transaction has committed. Raises `QueueUnreachable` then, to whoever commits."""
    transaction.on_commit(lambda: ring(queue=queue))


def ring(*, queue: str) -> None:
    """Ring now. Raises `QueueUnreachable`."""
    try:
        app.send_task(TASK, kwargs={"queue": queue}, queue=queue, expires=settings.JOBS_DOORBELL_SECONDS, retry=False)
    except (OperationalError, redis.RedisError, OSError) as error:
        log.warning("the queue %s could not be rung: %s", queue, type(error).__name__)
        raise QueueUnreachable(
            "The message queue does not answer. The job is stored and starts when it does; tell the operator."
        ) from error


def doorbells_waiting(*, queue: str) -> int:
    """How many messages wait in the queue. Raises `redis.RedisError`."""
    return int(redis_client().llen(queue))
