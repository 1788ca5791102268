"""Requests on their way through the engine's thread, and how their results get back to the event loop."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from meds3core.engines.base import Completion, Delta, Sampling

Ids = NDArray[np.int64]
_Result = TypeVar("_Result")


@dataclass(eq=False, slots=True)
class Job(Generic[_Result]):
    """What the event loop waits for. `cancelled` is set by the loop and read by the thread."""

    ids: Ids
    """Token ids of the prompt."""
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[_Result]"
    cancelled: bool = False

    @property
    def tokens(self) -> int:
        """Key-value memory that the job may need at most, in tokens."""
        return len(self.ids)


@dataclass(eq=False, slots=True)
class GenerateJob(Job[Completion]):
    """One completion wanted."""

    sampling: Sampling = field(kw_only=True)
    limit: int = field(kw_only=True)
    """Tokens to generate at most: `max_tokens`, or less where the context ends before."""
    deltas: "asyncio.Queue[Delta | None] | None" = None
    cached: int = 0
    row: int | None = None
    """Row id while it is being decoded; belongs to the thread."""

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return len(self.ids) + self.limit


@dataclass(eq=False, slots=True)
class ScoreJob(Job[list[float]]):
    """Log-likelihoods wanted of several continuations of one prompt."""

    continuations: list[Ids] = field(kw_only=True)
    values: list[float] = field(default_factory=list)
    pending: int = 0

    @property
    def tokens(self) -> int:
        """The prompt, and a copy of it with each continuation."""
        return len(self.ids) + sum(len(self.ids) + len(ids) for ids in self.continuations if len(ids) > 1)


class Outbox:
    """Results of one step, handed to the event loop in one call."""

    def __init__(self) -> None:
        self._by_loop: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = defaultdict(list)

    def result(self, job: Job[_Result], value: _Result) -> None:
        """The job is done."""
        future = job.future
        self._by_loop[job.loop].append(lambda: None if future.done() else future.set_result(value))

    def error(self, job: Job[Any], error: Exception) -> None:
        """The job failed."""
        future = job.future
        self._by_loop[job.loop].append(lambda: None if future.done() else future.set_exception(error))

    def delta(self, job: GenerateJob, delta: Delta) -> None:
        """A piece of streamed text."""
        queue = job.deltas
        assert queue is not None
        self._by_loop[job.loop].append(lambda: queue.put_nowait(delta))

    def send(self) -> None:
        """Deliver and forget everything gathered."""
        for loop, calls in self._by_loop.items():
            # A loop that was closed meanwhile has nobody left who waits.
            if not loop.is_closed():
                try:
                    loop.call_soon_threadsafe(_run_all, calls)
                except RuntimeError:
                    continue
        self._by_loop.clear()


def _run_all(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()
