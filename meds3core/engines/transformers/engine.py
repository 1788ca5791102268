"""`TransformersEngine`: the engine protocol on a stock transformers model, on a CPU or a CUDA device.

The library's `generate` copies the whole key-value cache at every step and waits for the slowest row. Here the same
model code runs packed steps (see `attention`), scheduled by one thread (see `scheduler`): requests join and leave at
every step, equal prompts and common beginnings are computed once, and each request draws by its own random numbers
(see `sampling`). With `batch_invariant` the thread does one request after the other, each from its first token.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from meds3core.config.engine import TransformersEngineConfig
from meds3core.engines.base import Completion, Delta, EngineInfo, Prompt, Request
from meds3core.engines.policy import PolicyFolder, inspect_policy
from meds3core.engines.rendering import PromptEncoder
from meds3core.engines.transformers.jobs import GenerateJob, Ids, Job, ScoreJob
from meds3core.engines.transformers.model import PackedModel
from meds3core.engines.transformers.scheduler import Scheduler
from meds3core.errors import ConfigError, ContextOverflow, EngineError

_Result = TypeVar("_Result")


class TransformersEngine:
    """See `meds3core.engines.base.Engine`. Methods may be called from any number of tasks, and of event loops."""

    def __init__(self, policy: PolicyFolder, config: TransformersEngineConfig) -> None:
        self.model = PackedModel(policy, config)
        self._encoder = PromptEncoder(self.model.tokenizer)
        limit = config.context_length or policy.context_length
        self._info = EngineInfo(
            kind="transformers",
            model=policy.name,
            model_hash=policy.hash,
            context_length=min(limit, policy.context_length),
            batch_invariant=config.batch_invariant,
        )
        eos = set(policy.eos_ids)
        if self.model.tokenizer.eos_token_id is not None:
            eos.add(self.model.tokenizer.eos_token_id)
        self._scheduler = Scheduler(
            self.model,
            self._encoder,
            frozenset(eos),
            max_batch=config.max_batch,
            context_length=self._info.context_length,
            solo=config.batch_invariant,
        )

    @classmethod
    def load(cls, folder: Path | str, config: TransformersEngineConfig) -> Self:
        """Inspect a model folder and load it. Raises `PolicyError`, `ConfigError`."""
        return cls(inspect_policy(folder), config)

    @property
    def info(self) -> EngineInfo:
        """What this engine is."""
        return self._info

    @property
    def works(self) -> bool:
        """Whether it can answer; once it broke down or was closed it never does again."""
        return self._scheduler.works

    @property
    def occupancy(self) -> tuple[int, int]:
        """(requests being worked on, requests waiting)."""
        return self._scheduler.occupancy

    async def generate(self, request: Request) -> Completion:
        """One sampled completion. Raises `ContextOverflow`, `EngineError`."""
        job = self._job(request)
        return await self._result(job)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The same completion bit by bit."""
        job = self._job(request)
        job.deltas = deltas = asyncio.Queue[Delta | None]()
        result = asyncio.ensure_future(self._result(job))
        # The end stands behind the last delta, so that nothing is lost and an error is seen.
        result.add_done_callback(lambda _: deltas.put_nowait(None))
        try:
            while (delta := await deltas.get()) is not None:
                yield delta
            await result
        finally:
            result.cancel()

    async def loglikelihood(self, prompt: Prompt, continuations: Sequence[str]) -> list[float]:
        """Natural log-probability of each continuation after the prompt. Raises `ContextOverflow`, `EngineError`."""
        ids = self._encode(prompt)
        tokens = [np.array(self._encoder.encode_piece(text), dtype=np.int64) for text in continuations]
        longest = max((len(piece) for piece in tokens), default=0)
        self._check_length(len(ids) + longest - 1)
        loop = asyncio.get_running_loop()
        job = ScoreJob(ids, loop, loop.create_future(), continuations=tokens)
        return await self._result(job)

    async def close(self) -> None:
        """End the thread and give back the memory; pending requests fail with `EngineError`."""
        await asyncio.to_thread(self._scheduler.stop)
        self.model.unload()

    async def _result(self, job: Job[_Result]) -> _Result:
        try:
            self._scheduler.submit(job)
            return await job.future
        except asyncio.CancelledError:
            self._scheduler.cancel(job)
            raise

    def _job(self, request: Request) -> GenerateJob:
        sampling = request.sampling
        if sampling.max_tokens < 1 or not 0 <= sampling.temperature < math.inf or not 0 < sampling.top_p <= 1:
            raise ConfigError("sampling needs max_tokens ≥ 1, a temperature ≥ 0 and a top_p above 0 and at most 1")
        ids = self._encode(request.prompt)
        self._check_length(len(ids) + 1)
        limit = min(sampling.max_tokens, self._info.context_length - len(ids))
        loop = asyncio.get_running_loop()
        return GenerateJob(ids, loop, loop.create_future(), sampling=sampling, limit=limit)

    def _encode(self, prompt: Prompt) -> Ids:
        ids = np.array(self._encoder.encode(prompt), dtype=np.int64)
        if not len(ids):
            raise EngineError("the prompt is empty: there is nothing to continue")
        if ids.max() >= self.model.vocabulary:
            raise EngineError("the tokenizer knows more tokens than the model: they do not belong together")
        return ids

    def _check_length(self, needed: int) -> None:
        if needed > self._info.context_length:
            raise ContextOverflow(
                f"the prompt and its continuation need {needed} tokens at least, and the context of "
                f"{self._info.model} holds {self._info.context_length}. Shorten the question or the steps."
            )
