"""Following answers while they are written: first the row, then the stream after what one has, whatever gets lost.

A text only grows within an attempt, so what is new is told by its place in the text: an entry that comes twice adds
nothing, and one that is missing is seen, after which the row or the stream written again fills the gap.
"""

import asyncio
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from redis.exceptions import RedisError

from webapp.chat.models import OPEN
from webapp.chat.selectors import Glance, Standing, glances_at, standing_of
from webapp.chat.streams import FIELD, stream_key
from webapp.common.databases import ask_database
from webapp.common.redis_clients import async_redis_client
from webapp.common.together import Together

LOOK_SECONDS = 0.03
"""How often the one reader of a process asks for what is new, while somebody follows something."""
ROW_SECONDS = 2.0
"""How often the row is read anew: it alone knows of a new attempt, and of an end that the stream lost."""
QUEUE_ROW_SECONDS = 0.25
"""The same, while nobody has begun to answer."""
GATHER_SECONDS = 0.02
"""So long a look at the rows waits for others to join it; one that nobody is in a hurry for waits longer."""


@dataclass(frozen=True)
class News:
    """What is new of an answer. With `whole` the text replaces what one had, else it is added."""

    attempt: int
    seq: int
    state: str
    text: str = ""
    whole: bool = False
    steps: list[list[float | None]] | None = None
    candidates: int | None = None
    """How many answers to choose from are there; they are in the row."""
    note: str = ""
    ahead: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it is the last."""
        return self.state not in OPEN


async def follow(message_id: UUID) -> AsyncIterator[News]:
    """Everything about one answer from now on, beginning with all there is; ends with the answer."""
    seen = await _glances.about(message_id, GATHER_SECONDS)
    while seen is not None:
        row = await _row(message_id)
        if row is None:
            return
        text, seq, steps, candidates = row.text, row.seq, row.steps, row.candidates
        attempt, state, note, ahead = row.attempt, row.state, row.note, seen.ahead if row.state == "queued" else 0
        yield News(attempt, seq, state, text, True, steps, candidates, note, ahead)
        if row.is_over:
            return
        there = len(text)  # of the answer, as far as we have heard of
        seat = reader().watch(stream_key(message_id, attempt)) if attempt else None
        try:
            while True:
                over = False
                entries = await seat.next(ROW_SECONDS if state != "queued" else QUEUE_ROW_SECONDS) if seat else []
                added, more_steps, more_candidates = "", None, None
                for entry in entries:
                    seq = max(seq, int(entry["seq"]))
                    over = over or bool(entry.get("end"))
                    if "text" in entry:
                        at, piece = int(entry["at"]), entry["text"]
                        there = max(there, at + len(piece))
                        if at <= len(text) < at + len(piece):
                            added += piece[len(text) - at :]
                            text += piece[len(text) - at :]
                    more_steps = entry.get("steps", more_steps)
                    more_candidates = entry.get("candidates", more_candidates)
                if added or more_steps is not None or more_candidates is not None:
                    steps = steps if more_steps is None else more_steps
                    candidates = candidates if more_candidates is None else more_candidates
                    yield News(attempt, seq, state, added, steps=more_steps, candidates=more_candidates)
                misses = len(text) < there
                if entries and not over and not misses:
                    continue
                seen = await _glances.about(message_id, GATHER_SECONDS if seat else QUEUE_ROW_SECONDS)
                if seen is None:
                    return
                if seen.is_over or seen.attempt != attempt:
                    break
                if (seen.note, seen.state, seen.ahead) != (note, state, ahead):
                    note, state, ahead = seen.note, seen.state, seen.ahead
                    yield News(attempt, seq, state, note=note, ahead=ahead)
                if seen.seq <= seq and not misses:
                    continue
                row = await _row(message_id)
                if row is None or row.is_over or row.attempt != attempt:
                    break
                if row.text.startswith(text):
                    added, text, seq = row.text[len(text) :], row.text, max(seq, row.seq)
                    steps, candidates = row.steps, row.candidates
                    yield News(attempt, seq, state, added, steps=steps, candidates=candidates)
        finally:
            if seat:
                seat.leave()


@ask_database
def _row(message_id: UUID) -> Standing | None:
    return standing_of(message_id=message_id)


_glances: Together[UUID, Glance] = Together(lambda keys: glances_at(messages=keys))
"""One look at the rows of all answers that somebody follows, however many do."""


# --- one reader per process ----------------------------------------------------------------------------------------


@dataclass
class _Stream:
    """What was read of one stream since somebody watches it; late-comers read it from here."""

    key: str
    last: bytes = b"0-0"
    entries: list[dict[str, Any]] = field(default_factory=list)
    seats: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Seat:
    """One follower of one stream."""

    def __init__(self, owner: "Reader", stream: _Stream) -> None:
        self._owner, self._stream = owner, stream
        self._at = 0

    async def next(self, seconds: float) -> list[dict[str, Any]]:
        """What has come since the last call; waits for so long at most."""
        stream = self._stream
        if self._at == len(stream.entries):
            with suppress(TimeoutError):
                await asyncio.wait_for(stream.changed.wait(), seconds)
        found = stream.entries[self._at :]
        self._at = len(stream.entries)
        return found

    def leave(self) -> None:
        """No more."""
        self._owner.leave(self._stream)


class Reader:
    """Asks Redis for all streams that somebody of this process follows, with one question at a time."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, key: str) -> Seat:
        """A seat from the stream's beginning."""
        stream = self._streams.setdefault(key, _Stream(key))
        stream.seats += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read())
        return Seat(self, stream)

    def leave(self, stream: _Stream) -> None:
        """One seat less; the last one takes the stream along."""
        stream.seats -= 1
        if not stream.seats:
            self._streams.pop(stream.key, None)

    async def _read(self) -> None:
        client = async_redis_client()
        try:
            while True:
                if not self._streams:
                    self._task = None  # before anything is awaited: whoever comes next starts another one
                    return
                asked = {key: stream.last for key, stream in self._streams.items()}
                try:
                    found = await client.xread(asked, count=1000)
                except (RedisError, OSError):
                    await asyncio.sleep(0.5)
                    continue
                for key, entries in found or []:
                    self._take(key.decode(), entries)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await client.aclose()

    def _take(self, key: str, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        stream = self._streams.get(key)
        if stream is None or not entries:
            return
        stream.last = entries[-1][0]
        stream.entries += [json.loads(fields[FIELD]) for _, fields in entries]
        changed, stream.changed = stream.changed, asyncio.Event()
        changed.set()


_READERS: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Reader]" = weakref.WeakKeyDictionary()


def reader() -> Reader:
    """This event loop's one."""
    loop = asyncio.get_running_loop()
    found = _READERS.get(loop)
    if found is None:
        found = _READERS[loop] = Reader()
    return found
