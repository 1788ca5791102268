"""How fast a search is, as ratios within one run: `python -m tests.benchmarks.bench_search --engine transformers`.

Four figures, all with the bundled policy and preset quick on clinic questions:

- the search's tokens/s in its steady state against the same engine given the same requests all at once;
- 64 trees at once against the published schedule (one tree at a time, the n samples of one prompt per call);
- the share of wall time that the event loop's thread (search, labels, asyncio, the engine's front) is busy;
- the share of trees that differ between growing alone and in company (batch-dependent rounding).
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from meds3core.config.engine import TransformersEngineConfig, VllmEngineConfig
from meds3core.config.search import PRESETS
from meds3core.data.trees import tree_line
from meds3core.engines.base import Engine
from meds3core.engines.loading import load_engine
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from meds3core.search.base import SearchTools
from meds3core.search.forest import forest
from meds3core.search.grow import grow
from meds3core.text.prompts import TEMPLATES
from meds3core.types.question import Question
from meds3core.types.tree import Tree
from meds3core.verify.judge import verifier_for
from tests.benchmarks.schedules import OnePromptAtATime, TimedEngine

CONFIGS = {"transformers": TransformersEngineConfig(), "vllm": VllmEngineConfig()}

Make = Callable[[], Engine]
"""A fresh engine."""


def tools_for(engine: Engine) -> SearchTools:
    return SearchTools(
        engine=engine, verifier_for=verifier_for, prompt=TEMPLATES["plain"], config=PRESETS["quick"], seed=1
    )


async def grow_all(
    questions: Sequence[Question], engine: Engine, concurrency: int, on_tree: Callable[[], None] = lambda: None
) -> list[Tree]:
    tools = tools_for(engine)
    trees: dict[int, Tree] = {}
    async for outcome in forest(questions, lambda question: grow(question, tools), concurrency):
        assert isinstance(outcome.result, Tree), outcome.result
        trees[outcome.position] = outcome.result
        on_tree()
    return [trees[position] for position in range(len(questions))]


async def against_engine_limit(
    make: Make, questions: Sequence[Question], concurrency: int, replay_too: bool = True
) -> dict[str, float]:
    """Search and all-at-once replay of its requests, each on a fresh engine of the same process."""
    engine = make()
    await warm_up(engine)
    timed = TimedEngine(engine)
    finished: list[float] = []
    start, busy = time.perf_counter(), time.thread_time()
    trees = await grow_all(questions, timed, concurrency, lambda: finished.append(time.perf_counter()))
    wall, busy = time.perf_counter() - start, time.thread_time() - busy
    await engine.close()
    if not replay_too:
        return {"concurrency": concurrency, "event_loop_share_of_wall": busy / wall}
    # Steady: from the first finished tree (the forest is full and mixed) until fewer questions than `concurrency`
    # remain unfinished.
    first, last = finished[0], finished[len(questions) - concurrency]
    steady = timed.tokens_between(first, last) / (last - first)
    tokens = sum(count for _, count in timed.arrivals)

    engine = make()
    await warm_up(engine)
    replay = TimedEngine(engine)
    start = time.perf_counter()
    await asyncio.gather(*(replay.generate(request) for request in timed.asked))
    replay_wall = time.perf_counter() - start
    await engine.close()
    limit = sum(count for _, count in replay.arrivals) / replay_wall
    return {
        "questions": len(questions),
        "concurrency": concurrency,
        "requests": len(timed.asked),
        "nodes": sum(len(tree.nodes) - 1 for tree in trees),
        "search_tokens_per_s_steady": steady,
        "search_tokens_per_s_whole": tokens / wall,
        "engine_limit_tokens_per_s": limit,
        "ratio_steady": steady / limit,
        "ratio_whole": tokens / wall / limit,
        "event_loop_share_of_wall": busy / wall,
    }


async def against_published_schedule(make: Make, questions: Sequence[Question], few: int) -> dict[str, float]:
    """Nodes per second of all questions at once and of the first `few` one by one; the trees must be the same."""
    engine = make()
    await warm_up(engine)
    start = time.perf_counter()
    at_once = await grow_all(questions, engine, len(questions))
    at_once_rate = sum(len(tree.nodes) - 1 for tree in at_once) / (time.perf_counter() - start)
    start = time.perf_counter()
    one_by_one = await grow_all(questions[:few], OnePromptAtATime(engine), 1)
    one_by_one_rate = sum(len(tree.nodes) - 1 for tree in one_by_one) / (time.perf_counter() - start)
    await engine.close()
    differing = sum(tree_line(a) != tree_line(b) for a, b in zip(at_once, one_by_one, strict=False))
    return {
        "trees_at_once": len(questions),
        "trees_one_by_one": few,
        "nodes_per_s_at_once": at_once_rate,
        "nodes_per_s_published_schedule": one_by_one_rate,
        "ratio": at_once_rate / one_by_one_rate,
        "trees_that_differ": differing,
    }


async def alone_and_in_company(make: Make, questions: Sequence[Question]) -> dict[str, float]:
    """How many trees come out differently among 64 than among 4."""
    engine = make()
    company = await grow_all(questions, engine, 64)
    alone = await grow_all(questions, engine, 4)
    await engine.close()
    differing = sum(tree_line(a) != tree_line(b) for a, b in zip(company, alone, strict=True))
    return {"trees": len(questions), "differing": differing, "share": differing / len(questions)}


async def warm_up(engine: Engine) -> None:
    """First requests pay for lazy set-up."""
    await grow_all(generate("train", 4, 999), engine, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=sorted(CONFIGS), default="transformers")
    parser.add_argument("--questions", type=int, default=288)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--few", type=int, default=16, help="trees grown one by one")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=["limit", "published", "company"])
    options = parser.parse_args()
    config = CONFIGS[options.engine]

    def make() -> Engine:
        return load_engine(policy_folder(), config)

    questions = generate("train", options.questions, 5)
    figures: dict[str, dict[str, float]] = {}
    if "limit" in options.only:
        runs = [asyncio.run(against_engine_limit(make, questions, options.concurrency)) for _ in range(options.repeat)]
        figures["limit"] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        if len(questions) > 256:
            figures["forest_256"] = asyncio.run(against_engine_limit(make, questions[:320], 256, False))
    if "published" in options.only:
        figures["published"] = asyncio.run(against_published_schedule(make, questions[:64], options.few))
    if "company" in options.only:
        figures["company"] = asyncio.run(alone_and_in_company(make, questions[:128]))
    print(json.dumps({"engine": options.engine, **figures}, indent=1))


if __name__ == "__main__":
    main()
