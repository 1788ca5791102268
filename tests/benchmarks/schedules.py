"""Ways to drive one engine, so that a search can be compared with what it might have been."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from meds3core.engines.base import Completion, Delta, Engine, EngineInfo, Prompt, Request


@dataclass
class TimedEngine:
    """Passes requests on; remembers them and when each completion came with how many tokens."""

    inner: Engine
    asked: list[Request] = field(default_factory=list)
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    @property
    def info(self) -> EngineInfo:
        return self.inner.info

    async def generate(self, request: Request) -> Completion:
        self.asked.append(request)
        completion = await self.inner.generate(request)
        self.arrivals.append((time.perf_counter(), completion.generated_tokens))
        return completion

    def stream(self, request: Request) -> AsyncIterator[Delta]:
        return self.inner.stream(request)

    async def loglikelihood(self, prompt: Prompt, continuations: Sequence[str]) -> list[float]:
        return await self.inner.loglikelihood(prompt, continuations)

    async def close(self) -> None:
        await self.inner.close()

    def tokens_between(self, start: float, end: float) -> int:
        """Generated tokens of the completions that came in this time."""
        return sum(tokens for moment, tokens in self.arrivals if start <= moment <= end)


class OnePromptAtATime:
    """The published schedule: one call to the model at a time, holding the n samples of one prompt."""

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self._waiting: dict[Prompt, list[tuple[Request, asyncio.Future[Completion]]]] = {}
        self._worker: asyncio.Task[None] | None = None

    @property
    def info(self) -> EngineInfo:
        return self.inner.info

    async def generate(self, request: Request) -> Completion:
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request.prompt, []).append((request, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        await asyncio.sleep(0)  # let the tree ask for all samples of its prompt
        while self._waiting:
            prompt = next(iter(self._waiting))
            batch = self._waiting.pop(prompt)
            completions = await asyncio.gather(*(self.inner.generate(request) for request, _ in batch))
            for (_, future), completion in zip(batch, completions, strict=True):
                future.set_result(completion)

    def stream(self, request: Request) -> AsyncIterator[Delta]:
        return self.inner.stream(request)

    async def loglikelihood(self, prompt: Prompt, continuations: Sequence[str]) -> list[float]:
        return await self.inner.loglikelihood(prompt, continuations)

    async def close(self) -> None:
        await self.inner.close()
