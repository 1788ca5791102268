"""What only a GPU can show. Skipped without one; `python -m pytest tests/gpu` on a machine that has one."""

import asyncio
import subprocess
import sys
from importlib.util import find_spec

import pytest

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
from tests.gpu.marks import NEEDS_GPU, held

pytestmark = NEEDS_GPU


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


def test_bfloat16_answers_as_float32_does():
    """Rounding moves words, seldom the answer; a greedy text that differs at one token differs from there on."""
    full = greedy_texts(TransformersEngineConfig(device="cuda", dtype="float32"))
    half = greedy_texts(TransformersEngineConfig(device="cuda"))
    answers = [[text.rpartition("The answer is")[2] for text in texts] for texts in (full, half)]
    print(f"\nbfloat16: texts alike {same(full, half):.2f}, answers alike {same(*answers):.2f}")
    assert same(*answers) >= 0.75


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batch_invariant_completions_are_exact(dtype):
    """The same texts and likelihoods alone, all at once and in another order."""
    prompts = [TEMPLATES["plain"].continuation(q.text, "", [OPENER], "finish") for q in generate("test", 12, 2)]
    requests = [
        Request(prompt, Sampling(max_tokens=64, temperature=1.0, top_p=0.95, seed=number))
        for number, prompt in enumerate(prompts)
    ]

    async def run():
        engine = load_engine(
            policy_folder(), TransformersEngineConfig(device="cuda", dtype=dtype, batch_invariant=True)
        )
        alone = [await engine.generate(request) for request in requests]
        values = [await engine.loglikelihood(prompt, ["Reason", "Finish"]) for prompt in prompts]
        company = await asyncio.gather(*(engine.generate(request) for request in reversed(requests)))
        mixed = await asyncio.gather(
            *(engine.loglikelihood(prompt, ["Reason", "Finish"]) for prompt in prompts), *map(engine.generate, requests)
        )
        await engine.close()
        return alone, values, list(reversed(company)), mixed[: len(prompts)], mixed[len(prompts) :]

    alone, values, company, mixed_values, mixed = asyncio.run(run())
    assert [c.text for c in company] == [c.text for c in alone] == [c.text for c in mixed]
    assert mixed_values == values


def test_sampled_texts_seldom_depend_on_company():
    """Without `batch_invariant`: batches round otherwise, and a token near the edge of its draw may flip."""
    prompts = [TEMPLATES["plain"].continuation(q.text, "", [OPENER], "finish") for q in generate("test", 64, 3)]
    requests = [
        Request(prompt, Sampling(max_tokens=96, temperature=1.0, top_p=0.95, seed=number))
        for number, prompt in enumerate(prompts)
    ]

    async def run():
        engine = load_engine(policy_folder(), TransformersEngineConfig(device="cuda", dtype="float32"))
        alone = [(await engine.generate(request)).text for request in requests]
        company = [c.text for c in await asyncio.gather(*(engine.generate(request) for request in requests))]
        await engine.close()
        return alone, company

    alone, company = asyncio.run(run())
    assert same(alone, company) >= 0.95


def test_closing_gives_the_memory_back():
    before = held()
    greedy_texts(TransformersEngineConfig(device="cuda"))
    assert held() - before < 1 << 20


def test_closing_with_requests_in_flight_gives_the_memory_back():
    before = held()

    async def run():
        engine = load_engine(policy_folder(), TransformersEngineConfig(device="cuda"))
        prompts = [TEMPLATES["plain"].continuation(q.text, "", [OPENER], "finish") for q in generate("test", 32, 4)]
        tasks = [asyncio.create_task(engine.generate(Request(p, Sampling(max_tokens=512)))) for p in prompts]
        await asyncio.sleep(0.2)
        await engine.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert len(asyncio.run(run())) == 32
    assert held() - before < 1 << 20


LOSE = """
import torch
from meds3core.engines.lost import lost_device
there = torch.zeros(3, device="cuda")
for act, lost in ((lambda: torch.zeros(1 << 50, device="cuda"), False), (lambda: there + torch.ones(2).cuda(), False),
                  (lambda: there[torch.tensor([7], device="cuda")].cpu(), True), (lambda: there.cpu(), True)):
    try:
        act()
    except RuntimeError as error:
        assert (lost_device(error) is not None) == lost, error
    else:
        raise SystemExit("no error")
"""


def test_a_device_that_is_lost_to_its_process_is_told_from_one_that_is_full():
    done = subprocess.run([sys.executable, "-c", LOSE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
