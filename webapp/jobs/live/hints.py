"""Hints for live pages: "this job has something up to seq n", through the channel layer, after the commit.

A hint is a courtesy. It leaves by a thread of its own, so that no write ever waits for Redis; hints that pile up are
sent once, with the highest seq; one that is lost costs a page ten seconds (`hub` compares with the database).
"""

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import redis
from channels.layers import get_channel_layer
from django.db import transaction

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0

OPERATIONS = "operations"


def job_group(job_id: UUID) -> str:
    """Who watches one job."""
    return f"job.{job_id.hex}"


def team_group(team_id: UUID) -> str:
    """Who watches a team's jobs."""
    return f"team-jobs.{team_id.hex}"


def person_group(user_id: UUID) -> str:
    """Who is told of the ends of a person's jobs."""
    return f"person.{user_id.hex}"


def hint_on_commit(*, groups: Iterable[str], job_id: UUID | None, seq: int) -> None:
    """Tell the groups once the present transaction has committed. Never raises, then or now."""
    named = tuple(groups)
    transaction.on_commit(lambda: _sender().send(named, job_id, seq), robust=True)


class _Sender:
    """Gathers hints and sends them from a thread with an event loop of its own. One per process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._waiting: dict[tuple[str, str], int] = {}
        self._changed = threading.Condition()
        self._busy = False
        threading.Thread(target=self._run, name="hints", daemon=True).start()

    def send(self, groups: Iterable[str], job_id: UUID | None, seq: int) -> None:
        """Note them."""
        about = job_id.hex if job_id else ""
        with self._changed:
            for group in groups:
                self._waiting[group, about] = max(seq, self._waiting.get((group, about), 0))
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything has left, a second at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout=FLUSH_SECONDS)

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                batch, self._waiting, self._busy = self._waiting, {}, True
            try:
                loop.run_until_complete(_send_all(batch))
            except (redis.RedisError, OSError, RuntimeError) as error:
                log.debug("hints could not be sent (%s); pages look for themselves", type(error).__name__)


async def _send_all(batch: dict[tuple[str, str], int]) -> None:
    layer: Any = get_channel_layer()
    if layer is None:
        return
    for (group, about), seq in batch.items():
        await layer.group_send(group, {"type": "hint", "group": group, "job": about, "seq": seq})


_present: _Sender | None = None
_making = threading.Lock()


def _sender() -> _Sender:
    """This process's own: a thread does not survive a fork."""
    global _present
    with _making:
        if _present is None or _present.pid != os.getpid():
            _present = _Sender()
        return _present


@atexit.register
def hints_flush() -> None:
    """Let what is noted leave before the process ends."""
    if _present is not None and _present.pid == os.getpid():
        _present.flush()
