"""An engine and a reward model shared by many questions, with the tokens of each question counted apart."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from meds3core.decoding.scores import check_scores
from meds3core.engines.base import Completion, Delta, Engine, EngineInfo, Prompt, Request
from meds3core.errors import ContextOverflow
from meds3core.prm.base import ScoreItem, Scores, TrajectoryScorer
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.record import Record


class Cost(Record):
    """What an answer took. `prompt_tokens` after caching."""

    generated_tokens: int = 0
    prompt_tokens: int = 0
    scored_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Generated plus scored: what "equal tokens" means (METHOD.md §5)."""
        return self.generated_tokens + self.scored_tokens


class SharedScorer:
    """A blocking reward model for many coroutines: whatever waits is scored together, on a thread of its own."""

    def __init__(self, scorer: TrajectoryScorer) -> None:
        self.scorer = scorer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scorer")
        self._waiting: list[tuple[ScoreItem, asyncio.Future[Scores]]] = []
        self._work: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def score_trajectory(self, question: OpenQuestion, bodies: Sequence[str]) -> Scores:
        """The scores of one trajectory and what they cost. Raises what the reward model raises for this one."""
        if isinstance(question, Question):
            question = question.without_gold()
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self._waiting.append((ScoreItem(question, tuple(bodies)), future))
        if self._work is None:
            self._work = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            await asyncio.sleep(0)  # whoever is about to ask in this turn comes along
            while self._waiting:
                batch = [(item, future) for item, future in self._waiting if not future.done()]
                self._waiting = []
                items = [item for item, _ in batch]
                results = await asyncio.get_running_loop().run_in_executor(self._thread, self._score, items)
                for (_, future), result in zip(batch, results, strict=True):
                    if future.done():
                        continue
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._work = None
            for _, future in self._waiting:
                future.cancel()
            self._waiting = []

    def _score(self, items: Sequence[ScoreItem]) -> Sequence[Scores | Exception]:
        if not items:
            return []
        try:
            results = self.scorer.score(items)
            for item, result in zip(items, results, strict=True):
                check_scores(item, result, self.scorer.info.kind)
            return results
        except ContextOverflow as error:
            # One that is too long must not cost its neighbours their scores.
            return [error] if len(items) == 1 else [self._score([item])[0] for item in items]
        except Exception as error:
            return [error] * len(items)


class MeteredScorer:
    """One question's share of a `SharedScorer`; a `StepScorer` for search."""

    def __init__(self, shared: SharedScorer) -> None:
        self._shared = shared
        self.tokens = 0

    async def score(self, question: OpenQuestion, bodies: Sequence[str]) -> list[float]:
        """One score per step."""
        scores = await self._shared.score_trajectory(question, bodies)
        self.tokens += scores.tokens
        return list(scores.values)


class MeteredEngine:
    """One question's share of an engine."""

    def __init__(self, inner: Engine) -> None:
        self._inner = inner
        self.generated_tokens = 0
        self.prompt_tokens = 0

    @property
    def info(self) -> EngineInfo:
        """What the engine is."""
        return self._inner.info

    async def generate(self, request: Request) -> Completion:
        """The engine's completion, counted."""
        completion = await self._inner.generate(request)
        self._count(completion)
        return completion

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The engine's stream; counted when it ends."""
        async for delta in self._inner.stream(request):
            if delta.completion is not None:
                self._count(delta.completion)
            yield delta

    async def loglikelihood(self, prompt: Prompt, continuations: Sequence[str]) -> list[float]:
        """The engine's likelihoods; engines do not say what they cost."""
        return await self._inner.loglikelihood(prompt, continuations)

    async def close(self) -> None:
        """Nothing: the engine is shared."""

    def _count(self, completion: Completion) -> None:
        self.generated_tokens += completion.generated_tokens
        self.prompt_tokens += max(0, completion.prompt_tokens - completion.cached_tokens)


def cost_of(engine: MeteredEngine, scorer: MeteredScorer | None = None) -> Cost:
    """What one question has taken so far."""
    return Cost(
        generated_tokens=engine.generated_tokens,
        prompt_tokens=engine.prompt_tokens,
        scored_tokens=scorer.tokens if scorer else 0,
    )
