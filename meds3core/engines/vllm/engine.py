"""`VllmEngine`: the engine protocol on vLLM inside this process (CUDA, or the CPU build for tests).

vLLM batches, caches prefixes, samples and turns tokens into text; here requests are encoded, handed to its thread
(see `stepping`) and awaited. Each request draws by its own generator, so its text is the same alone and in company
up to the rare token that batch-dependent rounding flips.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self

from transformers import AutoTokenizer
from vllm import SamplingParams
from vllm.exceptions import VLLMClientError
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.llm_engine import LLMEngine

from meds3core.config.engine import VllmEngineConfig
from meds3core.engines.base import Completion, Delta, EngineInfo, FinishReason, Prompt, Request, Sampling
from meds3core.engines.policy import PolicyFolder, inspect_policy
from meds3core.engines.rendering import PromptEncoder
from meds3core.engines.seeds import vllm_seed
from meds3core.engines.vllm.arguments import Adapter, context_length, engine_arguments
from meds3core.engines.vllm.stepping import Job, Outcome, StepLoop
from meds3core.errors import ConfigError, EngineError, Meds3Error


class VllmEngine:
    """See `meds3core.engines.base.Engine`. Methods may be called from any number of tasks, and of event loops."""

    def __init__(self, policy: PolicyFolder, config: VllmEngineConfig) -> None:
        adapter = Adapter(config.adapter) if config.adapter else None
        self._info = _describe(policy, config, adapter)
        self._encoder = PromptEncoder(AutoTokenizer.from_pretrained(policy.path, trust_remote_code=False))
        arguments = engine_arguments(policy, config, adapter)
        self._steps = StepLoop(lambda: LLMEngine.from_engine_args(arguments), adapter.request if adapter else None)
        try:
            self._steps.start()
        except Meds3Error:
            raise
        except Exception as error:
            raise _start_error(policy, error) from error

    @classmethod
    def load(cls, folder: Path | str, config: VllmEngineConfig) -> Self:
        """Inspect a model folder and load it. Raises `PolicyError`, `ConfigError`, `EngineError`."""
        return cls(inspect_policy(folder), config)

    @property
    def info(self) -> EngineInfo:
        """What this engine is."""
        return self._info

    @property
    def works(self) -> bool:
        """Whether it can answer; once it broke down or was closed it never does again."""
        return self._steps.works

    @property
    def unfinished(self) -> int:
        """Requests that wait or hold a slot; a cancelled one is gone after the step under way."""
        return self._steps.unfinished

    async def generate(self, request: Request) -> Completion:
        """One sampled completion."""
        ids = self._encoder.encode(request.prompt)
        sampling = self._sampling(request.sampling, len(ids), RequestOutputKind.FINAL_ONLY)
        (output,) = await self._run([(ids, sampling)])
        final = output.outputs[0]
        return _completion(final.text, len(final.token_ids), output)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The same completion bit by bit; vLLM holds back as much as the longest stop string."""
        ids = self._encoder.encode(request.prompt)
        outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        job = Job(
            ids,
            self._sampling(request.sampling, len(ids), RequestOutputKind.DELTA),
            outcomes.put_nowait,
            asyncio.get_running_loop(),
        )
        self._steps.submit([job])
        text, count, finished = "", 0, False
        try:
            while not finished:
                output = await outcomes.get()
                if isinstance(output, EngineError):
                    finished = True
                    raise output
                finished = output.finished
                piece = output.outputs[0]
                text += piece.text
                count += len(piece.token_ids)
                completion = _completion(text, count, output) if finished else None
                if piece.text or finished:
                    yield Delta(piece.text, completion, count, len(ids))
        finally:
            if not finished:
                self._steps.cancel([job])

    async def loglikelihood(self, prompt: Prompt, continuations: Sequence[str]) -> list[float]:
        """Natural log-probability of each continuation after the prompt, summed over all its tokens.

        Each token is read off as the next one after all before it, all in one batch. vLLM's own `prompt_logprobs`
        gives the same numbers, but switches the prefix cache off and computes every row of the prompt over the whole
        vocabulary (measured on a 200-token prompt: four times slower).
        """
        ids = self._encoder.encode(prompt)
        pieces = [self._encoder.encode_piece(continuation) for continuation in continuations]
        self._info.room(len(ids) + max(map(len, pieces), default=0) - 1)
        wanted: dict[tuple[int, ...], set[int]] = {}
        for piece in pieces:
            for end, token in enumerate(piece):
                wanted.setdefault(piece[:end], set()).add(token)
        starts = list(wanted)
        outputs = await self._run([(ids + list(start), _reading(wanted[start])) for start in starts])
        rows = {start: output.outputs[0].logprobs[0] for start, output in zip(starts, outputs, strict=True)}
        return [float(sum(rows[piece[:end]][token].logprob for end, token in enumerate(piece))) for piece in pieces]

    async def close(self) -> None:
        """Give back memory and threads; pending requests fail with `EngineError`."""
        await asyncio.to_thread(self._steps.close)

    async def _run(self, requests: Sequence[tuple[list[int], SamplingParams]]) -> list[Any]:
        """Final outputs in the order asked; when one fails or the caller is cancelled, all are taken out."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Any]] = [loop.create_future() for _ in requests]
        jobs = [
            Job(ids, sampling, _resolver(future), loop)
            for (ids, sampling), future in zip(requests, futures, strict=True)
        ]
        self._steps.submit(jobs)
        try:
            return [await future for future in futures]
        except BaseException:
            self._steps.cancel(jobs)
            for future in futures:
                future.cancel()
            raise

    def _sampling(self, sampling: Sampling, prompt_tokens: int, kind: RequestOutputKind) -> SamplingParams:
        max_tokens = min(sampling.max_tokens, self._info.room(prompt_tokens))
        try:
            return SamplingParams(
                max_tokens=max_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=vllm_seed(sampling.seed),
                stop=list(sampling.stop),
                output_kind=kind,
                skip_clone=True,
            )
        except (VLLMClientError, ValueError) as error:
            raise EngineError(f"vLLM refused the sampling parameters: {error}") from error


def _describe(policy: PolicyFolder, config: VllmEngineConfig, adapter: Adapter | None) -> EngineInfo:
    model, model_hash = policy.name, policy.hash
    if adapter is not None:
        model = f"{model}+{adapter.name}"
        model_hash = hashlib.blake2b(f"{policy.hash}+{adapter.hash}".encode(), digest_size=16).hexdigest()
    return EngineInfo("vllm", model, model_hash, context_length(policy, config))


def _start_error(policy: PolicyFolder, error: Exception) -> Meds3Error:
    words = str(error).strip()
    if "KV cache" in words:
        return ConfigError(
            f"vLLM: the key-value cache does not hold one sequence of full length. Raise cpu_cache_mebibytes (CPU) or "
            f"gpu_memory_utilization (GPU), or lower context_length. vLLM says: {words.splitlines()[0]}"
        )
    return EngineError(f"vLLM could not load {policy.path} ({type(error).__name__}): {words}")


def _resolver(future: "asyncio.Future[Any]") -> Any:
    def receive(outcome: Outcome) -> None:
        if future.done():
            return
        if isinstance(outcome, EngineError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return receive


def _reading(tokens: set[int]) -> SamplingParams:
    """Parameters that read off the log-probabilities of some next tokens."""
    return SamplingParams(
        max_tokens=1,
        temperature=0.0,
        logprobs=len(tokens),
        logprob_token_ids=sorted(tokens),
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_clone=True,
    )


def _completion(text: str, generated_tokens: int, output: Any) -> Completion:
    return Completion(
        text,
        _finish(output.outputs[0]),
        generated_tokens=generated_tokens,
        prompt_tokens=len(output.prompt_token_ids),
        cached_tokens=output.num_cached_tokens or 0,
    )


def _finish(final: Any) -> FinishReason:
    if final.finish_reason == "length":
        return "length"
    if final.finish_reason != "stop":
        raise EngineError(f"vLLM broke the request off ({final.finish_reason}).")
    # The stop reason is the stop string, or the number of an end token other than the first, or nothing.
    return "stop" if isinstance(final.stop_reason, str) else "end"
