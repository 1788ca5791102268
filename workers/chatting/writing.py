"""One answer on its way out: gathered to at most twenty entries a second in Redis, once a second in the row.

The whole text stays in memory until the end, so that a stream that was lost is written again.
"""

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from webapp.chat.streams import ENDED_SECONDS, FIELD, STREAM_LENGTH, STREAM_SECONDS, stream_key
from webapp.chat.texts import written
from webapp.chat.turns import Claimed, Progress

GATHER_SECONDS = 0.05

log = logging.getLogger(__name__)


class Writing:
    """What is known of one attempt's answer, and how much of it was told."""

    def __init__(self, turn: Claimed, redis: Redis) -> None:
        self.turn = turn
        self.text = ""
        self.steps: list[list[float | None]] = []
        self.candidates: list[dict[str, Any]] = []
        self.prompt_tokens = self.generated_tokens = self.scored_tokens = 0
        """Spent so far, for an answer that is stopped."""
        self.seq = 0
        self.saved_seq = -1
        self._redis = redis
        self._key = stream_key(turn.id, turn.attempt)
        self._told = 0
        self._steps_told = self._candidates_told = True
        self._begun = self._closing = False
        self._due = asyncio.Event()

    # --- what is new ---

    def add(self, text: str) -> None:
        """More text."""
        if text:
            self.text += written(text)
            self._due.set()

    def score(self, steps: list[list[float | None]]) -> None:
        """The steps as they are known now."""
        if steps != self.steps:
            self.steps, self._steps_told = steps, False
            self._due.set()

    def offer(self, candidates: list[dict[str, Any]]) -> None:
        """What is chosen from, as far as it is there."""
        self.candidates, self._candidates_told = [_kept(each) for each in candidates], False
        self._due.set()

    def progress(self) -> Progress:
        """For the row."""
        return Progress(self.text, self.seq, self.steps, self.candidates)

    @property
    def is_unsaved(self) -> bool:
        """Whether the row lacks something."""
        return self.seq != self.saved_seq

    # --- telling it ---

    async def tell(self) -> None:
        """Until `close`. Never to be cancelled: a client of Redis may take a cancellation for a timeout of its own."""
        while not self._closing:
            await self._due.wait()
            self._due.clear()
            await self._send()
            await asyncio.sleep(GATHER_SECONDS)

    async def close(self, telling: "asyncio.Task[None]") -> None:
        """Tell all that is left. What Redis does not take is in the row."""
        self._closing = True
        self._due.set()
        await asyncio.shield(telling)
        await self._send()

    async def end(self) -> None:
        """The row is final."""
        await self._entry({"end": True})
        with suppress(RedisError, OSError):
            await self._redis.expire(self._key, ENDED_SECONDS)

    async def forget(self) -> None:
        """The row is gone, or another attempt's: nothing of this one is to stay."""
        with suppress(RedisError, OSError):
            await self._redis.delete(self._key)

    async def _send(self) -> None:
        entry: dict[str, Any] = {}
        to = len(self.text)
        if to > self._told:
            entry |= {"at": self._told, "text": self.text[self._told : to]}
        if not self._steps_told:
            entry["steps"] = self.steps
        if not self._candidates_told:
            entry["candidates"] = len(self.candidates)
        if entry:
            steps, candidates = self.steps, self.candidates
            if await self._entry(entry):
                self._told = to
                self._steps_told = steps is self.steps
                self._candidates_told = candidates is self.candidates
            else:
                self._due.set()  # told with what comes next

    async def _entry(self, entry: dict[str, Any]) -> bool:
        """Whether Redis has it. A number is never used twice: it may have been taken without our hearing of it."""
        self.seq += 1
        try:
            taken = await self._append(entry, make=not self._begun)
            if taken is None:  # the stream is gone, and with it all that was told before
                whole = {"at": 0, "text": self.text, "steps": self.steps, "candidates": len(self.candidates)}
                await self._append({**whole, **{key: entry[key] for key in ("end",) if key in entry}}, make=True)
            if not self._begun or taken is None:
                await self._redis.expire(self._key, STREAM_SECONDS)
            self._begun = True
            return True
        except ResponseError:
            return False  # a number that is there already: the next one is greater
        except (RedisError, OSError) as error:
            log.debug("an answer could not be told (%s)", type(error).__name__)
            return False

    async def _append(self, entry: dict[str, Any], *, make: bool) -> Any:
        fields = {FIELD: json.dumps({"seq": self.seq, **entry}, ensure_ascii=False).encode()}
        return await self._redis.xadd(
            self._key, fields, id=f"{self.seq}-0", maxlen=STREAM_LENGTH, approximate=True, nomkstream=not make
        )


def _kept(candidate: dict[str, Any]) -> dict[str, Any]:
    return {key: written(value) if isinstance(value, str) else value for key, value in candidate.items()}
