"""Connections to the Redis of the queue, for whoever rings, streams or looks there. The address is `settings.REDIS`."""

import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

SECONDS = 5
"""Of silence, after which it is taken for gone."""


def redis_client() -> redis.Redis:
    """For synchronous code. Where there is no Redis it says so at once: whoever asks has a page to show."""
    return redis.Redis.from_url(settings.REDIS, socket_timeout=SECONDS, retry=Retry(NoBackoff(), 1))


def async_redis_client() -> "redis.asyncio.Redis":
    """For the event loop that asks."""
    return redis.asyncio.Redis.from_url(settings.REDIS, socket_timeout=SECONDS)
