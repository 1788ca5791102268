"""Tokens per second of the transformers engine by requests in flight, against the library's `generate` in one run.

    python -m tests.benchmarks.bench_transformers_engine [MODEL_FOLDER] [--seconds 5]

Keeps that many requests in flight for some seconds: clinic questions, four requests to a prompt as in a search; and,
for comparison, every prompt asked once. `generate` gets batches of the same size, padded on the left, in its fastest
settings. Beside the wall clock stand tokens per second of processor time, summed over the cores: the figure to look at
where other programs run.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from meds3core.config.engine import TransformersEngineConfig
from meds3core.engines.base import Request, Sampling
from meds3core.engines.rendering import PromptEncoder
from meds3core.engines.transformers.engine import TransformersEngine
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from meds3core.text.prompts import TEMPLATES
from meds3core.text.steps import OPENER

LEVELS = (1, 8, 64, 256)
MAX_TOKENS = 96
SAMPLING = {"temperature": 1.0, "top_p": 0.95}


@dataclass(frozen=True)
class Rate:
    """Generated tokens and what they took."""

    tokens: int
    seconds: float
    processor_seconds: float

    @property
    def per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def per_processor_second(self) -> float:
        return self.tokens / self.processor_seconds


def requests(per_prompt: int, first: int = 0) -> list[Request]:
    """Requests to 512 questions, the same prompt `per_prompt` times in a row, each with its own seed."""
    template = TEMPLATES["plain"]
    made = []
    for number, question in enumerate(generate("train", 512, seed=first)):
        prompt = template.continuation(question.text, "a number with its unit", [OPENER], "finish")
        for copy in range(per_prompt):
            seed = first + number * per_prompt + copy
            made.append(Request(prompt, Sampling(max_tokens=MAX_TOKENS, seed=seed, **SAMPLING)))
    return made


async def measure_engine(engine: TransformersEngine, in_flight: int, per_prompt: int, seconds: float) -> Rate:
    """Keep `in_flight` requests going; tokens count when their request is done, between the first and last second."""
    asked = requests(per_prompt, first=in_flight)
    numbers, tokens, end = count(), 0, time.perf_counter() + seconds

    async def one_after_the_other() -> None:
        nonlocal tokens
        while time.perf_counter() < end:
            completion = await engine.generate(asked[next(numbers) % len(asked)])
            tokens += completion.generated_tokens

    start, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    return Rate(tokens, time.perf_counter() - start, time.process_time() - busy)


def measure_generate(folder: Path, batch: int, seconds: float, device: torch.device, dtype: torch.dtype) -> Rate:
    """The library's own generation on batches of the same requests."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    encoder = PromptEncoder(tokenizer)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").to(device).eval()
    pad = tokenizer.pad_token_id or 0
    settings = GenerationConfig(
        max_new_tokens=MAX_TOKENS, do_sample=True, top_k=0, pad_token_id=pad, eos_token_id=model.config.eos_token_id,
        **SAMPLING,
    )  # fmt: skip
    asked = requests(4, first=batch)
    tokens, at = 0, 0
    if device.type == "cuda":  # kernels are loaded when first used
        model.generate(torch.ones(batch, 8, dtype=torch.long, device=device), max_new_tokens=4, pad_token_id=pad)
    start, busy = time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        prompts = [encoder.encode(asked[(at + i) % len(asked)].prompt) for i in range(batch)]
        at += batch
        width = max(map(len, prompts))
        ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        ids, mask = ids.to(device), mask.to(device)
        with torch.inference_mode():
            out = model.generate(ids, attention_mask=mask, generation_config=settings)[:, width:]
        eos = settings.eos_token_id if isinstance(settings.eos_token_id, list) else [settings.eos_token_id]
        for row in out.tolist():
            ends = [place for place, token in enumerate(row) if token in eos]
            tokens += ends[0] + 1 if ends else len(row)
    return Rate(tokens, time.perf_counter() - start, time.process_time() - busy)


def compare(
    folder: Path, config: TransformersEngineConfig, levels: Sequence[int], seconds: float
) -> list[dict[str, Any]]:
    """Figures of every level: the engine's with four requests to a prompt and with one, and the library's."""
    engine = TransformersEngine.load(folder, config)

    async def all_levels() -> list[tuple[int, Rate, Rate]]:
        await measure_engine(engine, 8, 1, 0.5)
        rates = [
            (level, await measure_engine(engine, level, 4, seconds), await measure_engine(engine, level, 1, seconds))
            for level in levels
        ]
        await engine.close()
        return rates

    figures = []
    device, dtype = engine.model.device, engine.model.dtype
    for level, shared, single in asyncio.run(all_levels()):
        library = measure_generate(folder, level, seconds, device, dtype)
        rates = {"engine": shared, "engine_distinct_prompts": single, "generate": library}
        figures.append(
            {
                "in_flight": level,
                "tokens_per_s": {name: round(rate.per_second) for name, rate in rates.items()},
                "tokens_per_processor_s": {name: round(rate.per_processor_second) for name, rate in rates.items()},
                "ratio": round(shared.per_second / library.per_second, 2),
                "ratio_of_processor_time": round(shared.per_processor_second / library.per_processor_second, 2),
            }
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=policy_folder())
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--levels", type=int, nargs="+", default=LEVELS)
    arguments = parser.parse_args()
    config = TransformersEngineConfig(device="cpu")
    for figures in compare(arguments.folder, config, arguments.levels, arguments.seconds):
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
