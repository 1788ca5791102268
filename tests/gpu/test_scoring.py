"""Reward models on a GPU: whole trees in one pass score as one pass per trajectory and as the CPU does."""

import pytest
import torch

from meds3core.config.decoding import ScorerConfig
from meds3core.prm.base import ScoreItem
from meds3core.prm.card import inspect_reward_model
from meds3core.prm.scorer import TransformersScorer
from tests.core.prm.tiny import write_prm
from tests.core.trees.factory import tree as make_tree
from tests.gpu.marks import NEEDS_GPU, held

pytestmark = NEEDS_GPU

CONTEXT = 4096


@pytest.fixture(scope="module", params=["llama", "qwen2", "mistral"])
def folder(request, tmp_path_factory):
    """Heads of a usual size, which fused attention takes; mistral has a sliding window."""
    target = tmp_path_factory.mktemp("prm") / request.param
    return write_prm(target, request.param, head_dim=64, max_position_embeddings=CONTEXT)


TREES = [make_tree(seed, size=60) for seed in range(4)]


def scores(folder, layout="auto", **config) -> list[list[float]]:
    """Of every node of every tree."""
    scorer = TransformersScorer(inspect_reward_model(folder), ScorerConfig(**config), layout=layout)
    assert layout == "flat" or scorer.flat_reason is None
    try:
        return [scorer.score_tree(tree) for tree in TREES]
    finally:
        scorer.close()


def worst(one: list[list[float]], other: list[list[float]]) -> float:
    return max(abs(a - b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


def test_a_tree_in_float32_scores_as_its_trajectories_and_as_on_the_cpu(folder):
    tree = scores(folder, device="cuda", dtype="float32")
    flat = scores(folder, "flat", device="cuda", dtype="float32")
    on_cpu = scores(folder, device="cpu", dtype="float32")
    print(f"\n{folder.name} float32: tree against flat {worst(tree, flat):.1e}, against CPU {worst(tree, on_cpu):.1e}")
    assert worst(tree, flat) <= 1e-4
    assert worst(tree, on_cpu) <= 1e-4
    assert max(map(max, tree)) - min(map(min, tree)) > 0.1, "scores that are all alike show nothing"


def test_a_tree_in_bfloat16_is_as_near_to_float32_as_its_trajectories_are(folder):
    """Random weights are a hard case: their scores lie where rounding moves them most."""
    exact = scores(folder, device="cuda", dtype="float32")
    tree = worst(exact, scores(folder, device="cuda", dtype="bfloat16"))
    flat = worst(exact, scores(folder, "flat", device="cuda", dtype="bfloat16"))
    print(f"\n{folder.name} bfloat16: tree {tree:.1e}, flat {flat:.1e} from float32")
    assert tree <= max(2 * flat, 0.02)


def test_batch_invariant_scores_are_exact(folder):
    config = ScorerConfig(device="cuda", batch_invariant=True)
    scorer = TransformersScorer.load(folder, config)
    items = [
        ScoreItem(tree.question, tuple(step.text for step in tree.path(node.id)))
        for tree in TREES
        for node in tree.nodes[-8:]
    ]
    together = scorer.score(items)
    alone = [scorer.score([item])[0] for item in reversed(items)][::-1]
    scorer.close()
    assert [result.values for result in together] == [result.values for result in alone]


def test_closing_gives_the_memory_back(folder):
    before = held()
    scorer = TransformersScorer.load(folder, ScorerConfig(device="cuda"))
    scorer.score_trees(TREES)
    assert torch.cuda.memory_allocated() > before
    scorer.close()
    assert held() - before < 1 << 20
