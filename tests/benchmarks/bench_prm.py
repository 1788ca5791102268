"""Reward models: whole trees in one pass against one pass per trajectory and against one pass per step, and training.

Prints one JSON line. Trees are grown from the bundled policy until they have about 60 nodes; the reward model is the
policy's backbone under a new head. Times are the best of `--repeat` alternating measurements.
"""

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from meds3core.config.decoding import ScorerConfig
from meds3core.config.engine import TransformersEngineConfig
from meds3core.config.search import DrawConfig, SearchConfig
from meds3core.config.training import TRAINING_PRESETS, PrmConfig
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import inspect_policy
from meds3core.prm.base import ScoreItem
from meds3core.prm.card import inspect_reward_model
from meds3core.prm.model import new_reward_model
from meds3core.prm.scorer import TransformersScorer
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from meds3core.search.base import SearchTools
from meds3core.search.forest import forest
from meds3core.search.grow import grow
from meds3core.text.prompts import TEMPLATES
from meds3core.training.card import carry_files
from meds3core.training.prm import train_prm
from meds3core.types.labels import LabelledTrajectory
from meds3core.types.tree import Tree
from meds3core.verify.judge import verifier_for

NODES = 60
GROWTH = SearchConfig(
    max_nodes=NODES,
    enough_correct=None,
    max_depth=12,
    rollouts=1,
    min_rollouts=1,
    step_tokens=64,
    rollout_tokens=128,
    step_draw=DrawConfig(temperature=1.3, top_p=1.0),
    close_rollouts=False,
)


async def grow_trees(count: int, seed: int) -> list[Tree]:
    """The first trees, in order of arrival, that have 60 nodes."""
    engine = load_engine(policy_folder(), TransformersEngineConfig())
    tools = SearchTools(engine, verifier_for, TEMPLATES["plain"], GROWTH, seed)
    trees: list[Tree] = []
    outcomes = forest(generate("train", 20 * count, seed), lambda question: grow(question, tools), 64)
    try:
        async for outcome in outcomes:
            if isinstance(outcome.result, Tree) and len(outcome.result.nodes) > NODES:
                trees.append(outcome.result)
            if len(trees) == count:
                break
    finally:
        await outcomes.aclose()  # type: ignore[attr-defined]
        await engine.close()
    return trees


def write_reward_model(folder: Path, start: Path, dtype: torch.dtype) -> Path:
    """A policy's backbone with an untrained head."""
    policy = inspect_policy(start)
    folder.mkdir()
    new_reward_model(policy, dtype).save_pretrained(folder)
    carry_files(policy.path, folder, but=("config.json", "generation_config.json"))
    (folder / "meds3.json").write_text(json.dumps({"role": "prm", "score_head": "sigmoid"}))
    return folder


def leaf_items(tree: Tree) -> list[ScoreItem]:
    """One trajectory per leaf."""
    inner = {node.parent for node in tree.nodes}
    return [
        ScoreItem(tree.question, tuple(step.text for step in tree.path(node.id)))
        for node in tree.nodes
        if node.id not in inner
    ]


def labelled(tree: Tree) -> list[LabelledTrajectory]:
    """Every leaf's trajectory, labelled by its nodes' values."""
    inner = {node.parent for node in tree.nodes}
    made = []
    for node in tree.nodes:
        if node.id not in inner:
            path = tree.path(node.id)
            made.append(
                LabelledTrajectory(
                    question=tree.question,
                    bodies=tuple(step.text for step in path),
                    labels=(None, *(step.value for step in path[1:])),
                    nodes=tuple(step.id for step in path),
                    correct=bool(node.verdict),
                )
            )
    return made


def best_times(repeat: int, works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each work, the best of several rounds in which they take turns; one unmeasured round before."""
    times: dict[str, float] = {}
    for turn in range(repeat + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()  # scores come back to the CPU: nothing is left undone on a GPU
            if turn:
                times[name] = min(times.get(name, float("inf")), time.perf_counter() - start)
    return times


def scoring(trees: list[Tree], folder: Path, repeat: int) -> dict[str, float]:
    """Seconds and ratios for these trees, one tree at a time as a search or a page asks for them."""
    tree_scorer = TransformersScorer(inspect_reward_model(folder), ScorerConfig())
    flat_scorer = TransformersScorer(inspect_reward_model(folder), ScorerConfig(), layout="flat")
    items = [leaf_items(tree) for tree in trees]
    times = best_times(
        repeat,
        {
            "tree": lambda: [tree_scorer.score_tree(tree) for tree in trees],
            "flat": lambda: [flat_scorer.score(group) for group in items],
        },
    )
    # As published: for every step of every trajectory a pass over all that precedes it.
    first = items[0]
    prefixes = [ScoreItem(item.question, item.bodies[: end + 1]) for item in first for end in range(len(item.bodies))]
    one_tree = best_times(
        repeat,
        {
            "tree": lambda: tree_scorer.score_tree(trees[0]),
            "steps": lambda: [flat_scorer.score([prefix]) for prefix in prefixes],
        },
    )
    encoder = tree_scorer._encoder
    unique = sum(
        len(encoder.prompt(tree.question)) + sum(_own_tokens(encoder, tree, node.id) for node in tree.nodes)
        for tree in trees
    )
    flat_tokens = sum(result.tokens for group in items for result in flat_scorer.score(group))
    computed = sum(result.tokens for group in items for result in tree_scorer.score(group))
    return {
        "trees": len(trees),
        "leaves": sum(map(len, items)),
        "flat_tokens": flat_tokens,
        "unique_tokens": unique,
        "computed_tokens": computed,
        "computed_over_unique": computed / unique,
        "tree_s": times["tree"],
        "flat_s": times["flat"],
        "against_flat": times["flat"] / times["tree"],
        "against_step_by_step": one_tree["steps"] / one_tree["tree"],
    }


def _own_tokens(encoder: TrajectoryEncoder, tree: Tree, node: int) -> int:
    path = [step.text for step in tree.path(node)]
    ends = encoder.steps(tree.question, path).ends
    return ends[-1] - (ends[-2] if len(ends) > 1 else len(encoder.prompt(tree.question)) - 1)


def training(trees: list[Tree], folder: Path, repeat: int, start: Path, **changes: object) -> dict[str, float]:
    """Seconds of one epoch over all leaves' trajectories."""
    trajectories = [trajectory for tree in trees for trajectory in labelled(tree)]
    base = TRAINING_PRESETS["clinic"]["prm"]
    seconds: dict[str, float] = {}
    for turn in range(repeat):
        for layout in ("tree", "flat"):
            quick = {"epochs": 1.0, "layout": layout, "log_every": 1000} | changes
            config = PrmConfig.model_validate(base.model_dump() | quick)
            result = train_prm(start, trajectories, config, folder / f"{layout}-{turn}")
            shutil.rmtree(folder / f"{layout}-{turn}")
            seconds[layout] = min(seconds.get(layout, float("inf")), result.seconds)
    return {
        "trajectories": len(trajectories),
        "tree_s": seconds["tree"],
        "flat_s": seconds["flat"],
        "against_flat": seconds["flat"] / seconds["tree"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    trees = asyncio.run(grow_trees(options.trees, options.seed))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {
            "scoring": scoring(
                trees, write_reward_model(folder / "prm", policy_folder(), torch.float32), options.repeat
            ),
            "training": training(trees, folder, options.repeat, policy_folder()),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
