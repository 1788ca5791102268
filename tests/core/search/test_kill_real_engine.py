"""The batch-invariant transformers engine, killed at random moments: the file is the same byte for byte.

The children come from a fork server that has torch imported, so that twenty of them take seconds, not minutes.
"""

import asyncio
import multiprocessing
import random
import time
from pathlib import Path

import pytest

from meds3core.config.engine import TransformersEngineConfig
from meds3core.config.search import PRESETS
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from meds3core.search.base import SearchTools
from meds3core.search.grow import grow, provenance
from meds3core.search.run import SearchManifest, run_search
from meds3core.text.prompts import TEMPLATES
from meds3core.verify.judge import verifier_for

CONFIG = PRESETS["quick"].model_copy(update={"max_nodes": 6, "rollouts": 2, "min_rollouts": 2})


def search(folder: str, concurrency: int, started=None) -> None:
    from meds3core.engines.transformers.engine import TransformersEngine

    async def run():
        engine = TransformersEngine.load(policy_folder(), TransformersEngineConfig(batch_invariant=True))
        tools = SearchTools(engine, verifier_for, TEMPLATES["plain"], CONFIG, seed=3)
        manifest = SearchManifest(provenance=provenance(tools), config=CONFIG.model_dump(mode="json"))
        if started is not None:
            started.set()
        questions = generate("train", 8, 1)
        await run_search(questions, lambda q: grow(q, tools), manifest, Path(folder), concurrency=concurrency)
        await engine.close()

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_twenty_random_moments_the_trees_are_those_of_an_undisturbed_run(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["meds3core.engines.transformers.engine", __name__])

    def start(folder, concurrency):
        started = context.Event()
        child = context.Process(target=search, args=(str(folder), concurrency, started))
        child.start()
        while not started.wait(0.5):
            assert child.is_alive(), "the search died before it began"
        return child

    undisturbed = start(tmp_path / "undisturbed", 1)
    begin = time.monotonic()
    undisturbed.join()
    takes = time.monotonic() - begin
    assert undisturbed.exitcode == 0

    rng = random.Random(2)
    kills = 0
    disturbed = tmp_path / "disturbed"
    for _ in range(20):
        child = start(disturbed, 4)
        time.sleep(rng.uniform(0.0, takes / 6))
        child.kill()
        child.join()
        kills += child.exitcode != 0
    last = start(disturbed, 4)
    last.join()
    assert last.exitcode == 0
    assert kills >= 5
    assert (disturbed / "trees.jsonl").read_bytes() == (tmp_path / "undisturbed" / "trees.jsonl").read_bytes()
