"""What only a GPU can show. Skipped without one; `python -m pytest tests/gpu` on a machine that has one."""

import asyncio
from importlib.util import find_spec

import pytest
import torch

from meds3core.config.engine import TransformersEngineConfig, VllmEngineConfig
from meds3core.config.search import PRESETS
from meds3core.engines.base import Request, Sampling
from meds3core.engines.loading import load_engine
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from meds3core.search.base import SearchTools
from meds3core.search.forest import forest
from meds3core.search.grow import grow
from meds3core.text.prompts import TEMPLATES
from meds3core.text.steps import OPENER
from meds3core.types.tree import Tree
from meds3core.verify.judge import verifier_for

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; this machine has none"),
]


def greedy_texts(config) -> list[str]:
    async def run():
        engine = load_engine(policy_folder(), config)
        prompts = [TEMPLATES["plain"].continuation(q.text, "", [OPENER], "finish") for q in generate("test", 32, 1)]
        sampling = Sampling(max_tokens=96, temperature=0.0)
        done = await asyncio.gather(*(engine.generate(Request(prompt, sampling)) for prompt in prompts))
        await engine.close()
        return [completion.text for completion in done]

    return asyncio.run(run())


def same(first: list[str], second: list[str]) -> float:
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def test_cuda_writes_what_the_cpu_writes():
    on_cpu = greedy_texts(TransformersEngineConfig(device="cpu", dtype="float32"))
    on_gpu = greedy_texts(TransformersEngineConfig(device="cuda", dtype="float32"))
    assert same(on_cpu, on_gpu) >= 0.9, "ties may flip by rounding, but only rarely"


@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_writes_what_transformers_writes():
    reference = greedy_texts(TransformersEngineConfig(device="cuda", dtype="float32"))
    served = greedy_texts(VllmEngineConfig(dtype="float32", gpu_memory_utilization=0.3))
    assert same(reference, served) >= 0.9


def test_trees_grow_on_a_gpu():
    async def run():
        engine = load_engine(policy_folder(), TransformersEngineConfig(device="cuda"))
        tools = SearchTools(engine, verifier_for, TEMPLATES["plain"], PRESETS["quick"], seed=1)
        outcomes = [o async for o in forest(generate("train", 64, 1), lambda q: grow(q, tools), 64)]
        await engine.close()
        return outcomes

    outcomes = asyncio.run(run())
    assert len(outcomes) == 64
    assert all(isinstance(outcome.result, Tree) for outcome in outcomes)
