"""Answers on their way out: told to Redis twenty times a second at most, all in one go; every few seconds in the rows.

The whole text stays in memory until the end, so that a stream that was lost is written again.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from webapp.chat.streams import ENDED_SECONDS, FIELD, STREAM_LENGTH, STREAM_SECONDS, stream_key
from webapp.chat.texts import written
from webapp.chat.turns import Claimed, Progress

GATHER_SECONDS, MORE_SECONDS = 0.05, 0.001
"""Between two tellings, and so much more for each answer of which there was something to tell."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """What is told of one answer at one time, and how far it has been told then."""

    number: int
    fields: dict[bytes, bytes]
    first: bool
    """Whether the stream is to be made if it is not there: all that was told before is in this entry."""
    to: int
    steps: list[list[float | None]]
    candidates: list[dict[str, Any]]
    last: bool


class Teller:
    """Tells what is new of all answers of a worker, by one request for all of them: with fifty answers at once a
    request for each costs as much as the model. A last word waits for nobody.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._due: dict[Writing, None] = {}
        self._wake, self._hurry = asyncio.Event(), asyncio.Event()
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def due(self, out: "Writing", *, at_once: bool = False) -> None:
        """Something of this answer is to be told."""
        self._due[out] = None
        self._wake.set()
        if at_once:
            self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tell())

    async def forget(self, out: "Writing") -> None:
        """Tell no more of it, and take back what was told."""
        async with self._sending:
            self._due.pop(out, None)
            with suppress(RedisError, OSError):
                await self._redis.delete(out.key)

    async def close(self) -> None:
        """Tell what is due, once more, and end."""
        self._closing = True
        self._wake.set()
        self._hurry.set()
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _tell(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._hurry.clear()
            count = len(self._due)
            try:
                await self._send()
            except Exception as error:  # the words may hold what somebody said
                log.error("answers could not be told (%s)", type(error).__name__)
            if self._closing or asyncio.current_task().cancelling():  # type: ignore[union-attr]
                return  # a client of Redis may take a cancellation for a timeout of its own
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), GATHER_SECONDS + count * MORE_SECONDS)

    async def _send(self) -> None:
        async with self._sending:
            due, self._due = list(self._due), {}
            entries = [(out, entry) for out in due if (entry := out.entry()) is not None]
            lost = await self._sent(entries)
            await self._sent([(out, entry) for out in lost if (entry := out.entry()) is not None])

    async def _sent(self, entries: Sequence[tuple["Writing", Entry]]) -> list["Writing"]:
        """Send these; gives those whose stream is gone, and with it all that was told before."""
        if not entries:
            return []
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for out, entry in entries:
                    pipe.xadd(
                        out.key,
                        entry.fields,  # type: ignore[arg-type]
                        id=f"{entry.number}-0",
                        maxlen=STREAM_LENGTH,
                        approximate=True,
                        nomkstream=not entry.first,
                    )
                for out, entry in entries:
                    if entry.last or entry.first:
                        pipe.expire(out.key, ENDED_SECONDS if entry.last else STREAM_SECONDS)
                replies = (await pipe.execute(raise_on_error=False))[: len(entries)]
        except (RedisError, OSError) as error:
            log.debug("answers could not be told (%s)", type(error).__name__)
            replies = [error] * len(entries)
        lost = []
        for (out, entry), reply in zip(entries, replies, strict=True):
            if reply is None:
                out.lost()
                lost.append(out)
            elif not isinstance(reply, Exception):
                out.told(entry)
            elif not out.is_over:  # tried again with what comes next; of one that is over, the row says all
                self.due(out)
        return lost


class Writing:
    """What is known of one attempt's answer, and how much of it was told."""

    def __init__(self, turn: Claimed, teller: Teller) -> None:
        self.turn = turn
        self.key = stream_key(turn.id, turn.attempt)
        self.text = ""
        self.steps: list[list[float | None]] = []
        self.candidates: list[dict[str, Any]] = []
        self.prompt_tokens = self.generated_tokens = self.scored_tokens = 0
        """Spent so far, for an answer that is stopped."""
        self.seq = 0
        self.saved_seq = -1
        self.is_over = False
        self._teller = teller
        self._told = 0
        self._steps_told = self._candidates_told = True
        self._begun = self._end_told = False

    # --- what is new ---

    def add(self, text: str) -> None:
        """More text."""
        if text:
            self.text += written(text)
            self._teller.due(self)

    def score(self, steps: list[list[float | None]]) -> None:
        """The steps as they are known now."""
        if steps != self.steps:
            self.steps, self._steps_told = steps, False
            self._teller.due(self)

    def offer(self, candidates: list[dict[str, Any]]) -> None:
        """What is chosen from, as far as it is there."""
        self.candidates, self._candidates_told = [_kept(each) for each in candidates], False
        self._teller.due(self)

    def end(self) -> None:
        """The row is final: whoever follows is told so at once."""
        self.is_over = True
        self._teller.due(self, at_once=True)

    async def forget(self) -> None:
        """The row is gone, or another attempt's: nothing of this one is to stay."""
        await self._teller.forget(self)

    def progress(self) -> Progress:
        """For the row."""
        return Progress(self.text, self.seq, self.steps, self.candidates)

    @property
    def is_unsaved(self) -> bool:
        """Whether the row lacks something."""
        return self.seq != self.saved_seq

    # --- for the teller ---

    @property
    def is_untold(self) -> bool:
        """Whether there is something to tell."""
        rest = len(self.text) > self._told or not self._steps_told or not self._candidates_told
        return rest or (self.is_over and not self._end_told)

    def entry(self) -> Entry | None:
        """All that was not told yet, if there is something. A number is never used twice: an entry may have been taken
        without our hearing of it.
        """
        if not self.is_untold:
            return None
        self.seq += 1
        told: dict[str, Any] = {"seq": self.seq}
        if len(self.text) > self._told:
            told |= {"at": self._told, "text": self.text[self._told :]}
        if not self._steps_told:
            told["steps"] = self.steps
        if not self._candidates_told:
            told["candidates"] = len(self.candidates)
        if self.is_over:
            told["end"] = True
        fields = {FIELD: json.dumps(told, ensure_ascii=False).encode()}
        return Entry(self.seq, fields, not self._begun, len(self.text), self.steps, self.candidates, self.is_over)

    def told(self, entry: Entry) -> None:
        """Redis has this one."""
        self._begun = True
        self._told = entry.to
        self._steps_told = entry.steps is self.steps
        self._candidates_told = entry.candidates is self.candidates
        self._end_told = entry.last

    def lost(self) -> None:
        """The stream is gone: the next entry holds everything."""
        self._begun = False
        self._told = 0
        self._steps_told, self._candidates_told = not self.steps, not self.candidates


def _kept(candidate: dict[str, Any]) -> dict[str, Any]:
    return {key: written(value) if isinstance(value, str) else value for key, value in candidate.items()}
