"""One reader per web process: hears the hints, reads the database once, and gives what is new to every open page.

Hints may get lost (a full channel, an emptied or restarted Redis). So every topic that is watched joins its group again
and is compared with the database every `LIVE_CHECK_SECONDS`; a page that fell behind catches up from the database.
"""

import asyncio
import logging
import random
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from uuid import UUID

import redis
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import Error as DatabaseError

from webapp.common.databases import ask_database
from webapp.jobs.live.topics import Hint, News, Topic

log = logging.getLogger(__name__)

T = TypeVar("T")

UNREACHABLE = (redis.RedisError, OSError, asyncio.TimeoutError)
LISTEN_AGAIN_SECONDS = 0.5
JOIN_SECONDS = 5.0


class Seat(Protocol):
    """A socket that takes news. Must not wait."""

    def offer(self, news: News) -> None:
        """Take it, or note that it was missed."""


class Watch:
    """One topic and everybody in this process who watches it."""

    def __init__(self, topic: Topic, join: Callable[[str], Any]) -> None:
        self.topic = topic
        self.seats: set[Seat] = set()
        self._join = join
        self._hints: set[Hint] = set()
        self._rung = asyncio.Event()
        self.ready = asyncio.create_task(self._begin())
        self._task = asyncio.create_task(self._run())

    def ring(self, hint: Hint) -> None:
        """Something was hinted at."""
        self._hints.add(hint)
        self._rung.set()

    def stop(self) -> None:
        """Nobody watches any more."""
        self.ready.cancel()
        self._task.cancel()

    async def _begin(self) -> None:
        await self._join(self.topic.group)
        await _read(self.topic.begin)

    async def _run(self) -> None:
        await asyncio.wait([self.ready])
        loop = asyncio.get_running_loop()
        check = loop.time() + settings.LIVE_CHECK_SECONDS * (0.5 + random.random() / 2)
        while True:
            try:
                await asyncio.wait_for(self._rung.wait(), max(0.0, check - loop.time()))
            except TimeoutError:
                check = loop.time() + settings.LIVE_CHECK_SECONDS
                await self._join(self.topic.group)
            self._rung.clear()
            hints, self._hints = self._hints, set()
            try:
                for news in await _read(lambda hints=hints: self.topic.news(hints)):
                    for seat in list(self.seats):
                        seat.offer(news)
            except DatabaseError as error:
                log.warning("live pages: the database does not answer (%s)", type(error).__name__)
            except Exception:
                log.exception("live pages: %s could not be read", type(self.topic).__name__)
            await asyncio.sleep(self.topic.spacing)


class Hub:
    """Everything that this process's sockets watch. Lives as long as anybody watches anything."""

    def __init__(self) -> None:
        self._layer: Any = get_channel_layer()
        self._watches: dict[str, Watch] = {}
        self._channel = ""
        self._listener = asyncio.create_task(self._listen())

    async def watch(self, topic: Topic, seat: Seat) -> None:
        """Give this seat the topic's news from now on."""
        watch = self._watches.get(topic.group)
        if watch is None:
            watch = self._watches[topic.group] = Watch(topic, self._join)
        watch.seats.add(seat)
        await asyncio.shield(watch.ready)

    def leave(self, topic: Topic, seat: Seat) -> None:
        """No more news for this seat."""
        watch = self._watches.get(topic.group)
        if watch is None:
            return
        watch.seats.discard(seat)
        if not watch.seats:
            watch.stop()
            del self._watches[topic.group]
        if not self._watches:
            self._listener.cancel()
            _HUBS.pop(asyncio.get_running_loop(), None)

    @property
    def is_over(self) -> bool:
        """Whether the last one has left, or the listener died."""
        return self._listener.done() or self._listener.cancelling() > 0

    async def _join(self, group: str) -> None:
        """Join a group, or stay in it; what does not answer is tried again at the next check."""
        if not self._channel:
            return
        try:
            await asyncio.wait_for(self._layer.group_add(group, self._channel), JOIN_SECONDS)
        except UNREACHABLE as error:
            log.debug("live pages: no hints for now (%s)", type(error).__name__)

    async def _listen(self) -> None:
        self._channel = await self._layer.new_channel()
        while True:
            for group in list(self._watches):
                await self._join(group)
            try:
                while True:
                    self._heard(await self._layer.receive(self._channel))
            except UNREACHABLE as error:
                log.debug("live pages: no hints for now (%s)", type(error).__name__)
                await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    def _heard(self, message: dict[str, Any]) -> None:
        watch = self._watches.get(message.get("group", ""))
        if watch is not None:
            job = message.get("job")
            watch.ring(Hint(UUID(job) if job else None, int(message.get("seq", 0))))


_HUBS: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """This process's one."""
    loop = asyncio.get_running_loop()
    found = _HUBS.get(loop)
    if found is None or found.is_over:
        found = _HUBS[loop] = Hub()
    return found


async def _read(function: Callable[[], T]) -> T:
    found: T = await ask_database(function)()
    return found
