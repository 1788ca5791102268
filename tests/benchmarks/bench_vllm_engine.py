"""Tokens per second of the vLLM engine at several numbers of requests in flight.

Keeps that many requests in flight from asyncio until all are answered; then gives vLLM by itself the same requests at
once and steps it without any of our code. Run by hand, with nothing else running:

    python -m tests.benchmarks.bench_vllm_engine [MODEL_FOLDER]
"""

import asyncio
import sys
import time

from transformers import AutoTokenizer
from vllm import SamplingParams
from vllm.inputs.engine import tokens_input
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.llm_engine import LLMEngine

from meds3core.config.engine import VllmEngineConfig
from meds3core.engines.base import Message, Prompt, Request, Sampling
from meds3core.engines.policy import PolicyFolder, inspect_policy
from meds3core.engines.rendering import PromptEncoder
from meds3core.engines.vllm.arguments import engine_arguments
from meds3core.engines.vllm.engine import VllmEngine
from meds3core.sandbox.bundled import policy_folder

CONFIG = VllmEngineConfig()
LEVELS = {1: 6, 8: 64, 64: 512, 256: 1024}
"""Requests in flight: requests in all."""


def requests(count: int) -> list[Request]:
    """Many questions, steps as in a search: long shared beginnings, about fifty new tokens."""
    made = []
    for number in range(count):
        question = f"A child of {10 + number % 16} kg is to receive 60 mg per kg in 4 doses. " * 4
        prompt = Prompt((Message("user", question),), ("Step 0: Let's break down this problem.\n\n", "Step 1:"))
        made.append(Request(prompt, Sampling(max_tokens=48, top_p=0.95, stop=("\n\nStep 3:",), seed=number)))
    return made


async def in_flight(engine: VllmEngine, asked: list[Request], limit: int) -> float:
    """Tokens per second with at most `limit` requests in flight."""
    waiting = iter(asked)
    tokens = 0

    async def worker() -> None:
        nonlocal tokens
        for request in waiting:
            completion = await engine.generate(request)
            tokens += completion.generated_tokens

    start = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(limit)))
    return tokens / (time.perf_counter() - start)


def raw(policy: PolicyFolder, asked: list[Request]) -> float:
    """The same requests given to vLLM alone at once."""
    engine = LLMEngine.from_engine_args(engine_arguments(policy, CONFIG, None))
    encoder = PromptEncoder(AutoTokenizer.from_pretrained(policy.path))
    rates = []
    for turn in range(2):  # the first one fills the prefix cache
        tokens = 0
        start = time.perf_counter()
        for number, request in enumerate(asked):
            sampling = request.sampling
            parameters = SamplingParams(
                max_tokens=sampling.max_tokens,
                top_p=sampling.top_p,
                seed=sampling.seed,
                stop=list(sampling.stop),
                output_kind=RequestOutputKind.FINAL_ONLY,
                skip_clone=True,
            )
            engine.add_request(f"{turn}-{number}", tokens_input(encoder.encode(request.prompt)), parameters)
        while engine.has_unfinished_requests():
            tokens += sum(len(output.outputs[0].token_ids) for output in engine.step())
        rates.append(tokens / (time.perf_counter() - start))
    engine.engine_core.shutdown()
    return rates[-1]


async def first_piece(engine: VllmEngine, request: Request) -> float:
    """Milliseconds until the first piece of a streamed answer, prompt cached."""
    start = time.perf_counter()
    async for _ in engine.stream(request):
        return 1000 * (time.perf_counter() - start)
    return float("nan")


async def measure(policy: PolicyFolder) -> float:
    """Print a line per level; the rate at the highest."""
    start = time.perf_counter()
    engine = VllmEngine(policy, CONFIG)
    print(f"loaded in {time.perf_counter() - start:.1f} s")
    rate = 0.0
    for limit, count in LEVELS.items():
        asked = requests(count)
        await in_flight(engine, asked[: count // 4], limit)
        rate = await in_flight(engine, asked, limit)
        print(f"{limit:4d} in flight: {rate:7.0f} tokens/s", flush=True)
    print(f"first streamed piece after {await first_piece(engine, requests(1)[0]):.1f} ms")
    await engine.close()
    return rate


def main() -> None:
    """Measure the bundled policy or the folder named."""
    policy = inspect_policy(sys.argv[1] if len(sys.argv) > 1 else policy_folder())
    rate = asyncio.run(measure(policy))
    alone = raw(policy, requests(max(LEVELS.values())))
    print(f"vLLM alone, all at once: {alone:7.0f} tokens/s; the engine reaches {rate / alone:.0%} of it")


if __name__ == "__main__":
    main()
