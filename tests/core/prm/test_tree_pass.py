"""A whole tree in one pass: the same scores as one pass per trajectory, each token computed once."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.config.decoding import ScorerConfig
from meds3core.encoding.trajectory import EncodedTrajectory
from meds3core.prm.base import ScoreItem
from meds3core.prm.card import inspect_reward_model
from meds3core.prm.forest import TokenForest
from meds3core.prm.model import load_reward_model
from meds3core.prm.passes import FlatPass, TreePass
from meds3core.prm.scorer import TransformersScorer
from meds3core.prm.tree_attention import tree_layout
from tests.core.prm.tiny import write_prm
from tests.core.trees.factory import tree as make_tree

CPU = ScorerConfig(device="cpu")
sequences = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=12)


@given(sequences, st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_every_token_sees_its_own_past_and_nothing_else(rows, width):
    """For each sequence, the tokens that its last token may attend to spell the sequence."""
    forest = TokenForest()
    numbers = [forest.add(row) for row in rows]
    order = forest.preorder()
    layout = tree_layout(order, width)
    assert len(order.tokens) == len({tuple(row[: end + 1]) for row in rows for end in range(len(row))})
    for row, number in zip(rows, numbers, strict=True):
        place = int(order.places[number])
        seen = layout.keys[place // width][layout.seen[place // width, place % width]].tolist()
        assert order.tokens[seen].tolist() == row
        assert order.positions[seen].tolist() == list(range(len(row)))


@given(sequences)
@settings(max_examples=100, deadline=None)
def test_descendants_stand_behind_their_ancestor(rows):
    forest = TokenForest()
    for row in rows:
        forest.add(row)
    order = forest.preorder()
    for place in range(len(order.tokens)):
        below = {other for other in range(len(order.tokens)) if place in order.path(other)}
        assert below == set(range(place + 1, int(order.stops[place])))
    assert np.array_equal(np.sort(order.places), np.arange(len(order.tokens)))


def random_trajectories(count: int, seed: int, vocabulary: int = 200) -> list[EncodedTrajectory]:
    """Paths that branch at random, over three prompts."""
    rng = random.Random(seed)
    grown: list[EncodedTrajectory] = []
    prompts = [tuple(rng.randrange(vocabulary) for _ in range(rng.randint(3, 30))) for _ in range(3)]
    for _ in range(count):
        if grown and rng.random() < 0.8:
            old = rng.choice(grown)
            steps = rng.randint(1, len(old.ends))
            ids, ends = list(old.ids[: old.ends[steps - 1] + 1]), list(old.ends[:steps])
            length = old.prompt_length
        else:
            ids, ends = list(rng.choice(prompts)), []
            length = len(ids)
        for _ in range(rng.randint(1, 4)):
            ids += [rng.randrange(vocabulary) for _ in range(rng.randint(1, 40))]
            ends.append(len(ids) - 1)
        grown.append(EncodedTrajectory(tuple(ids), length, tuple(ends)))
    return grown


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral"])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-5), (torch.float32, 1e-4)])
def test_a_forest_gives_the_logits_of_one_pass_per_trajectory(kind, dtype, bound, tmp_path):
    model, _ = load_reward_model(inspect_reward_model(write_prm(tmp_path / kind, kind)), device="cpu")
    model.to(dtype)
    rows = random_trajectories(30, seed=5)
    flat = [FlatPass(model, 1).run([row])[0].logits for row in rows]
    for budget in (100_000, 500):
        results = TreePass(model, budget).run(rows)
        for expected, found in zip(flat, results, strict=True):
            assert float(((found.logits - expected).abs() / expected.abs().clamp(min=0.1)).max()) <= bound
    unique = {row.ids[: end + 1] for row in rows for end in range(len(row.ids))}
    assert sum(result.tokens for result in TreePass(model, 100_000).run(rows)) == len(unique)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_the_scores_of_a_tree_are_those_of_its_trajectories(kind, tmp_path):
    folder = write_prm(tmp_path / kind, kind)
    scorer = TransformersScorer.load(folder, CPU)
    flat = TransformersScorer(inspect_reward_model(folder), CPU, layout="flat")
    trees = [make_tree(seed, size=25) for seed in range(3)]
    together = scorer.score_trees(trees)
    for tree, scores in zip(trees, together, strict=True):
        assert len(scores) == len(tree.nodes)
        assert scorer.score_tree(tree) == pytest.approx(scores, abs=1e-5)
        assert flat.score_tree(tree) == pytest.approx(scores, abs=1e-5)
        for node in tree.nodes[::5]:
            bodies = tuple(step.text for step in tree.path(node.id))
            alone = flat.score([ScoreItem(tree.question, bodies)])[0].values
            assert scores[node.id] == pytest.approx(alone[-1], abs=1e-5)


def test_a_tree_larger_than_a_batch_is_computed_in_parts(tmp_path):
    folder = write_prm(tmp_path / "prm")
    whole = TransformersScorer.load(folder, CPU)
    parts = TransformersScorer.load(folder, ScorerConfig(device="cpu", batch_tokens=200))
    tree = make_tree(4, size=30)
    assert parts.score_tree(tree) == pytest.approx(whole.score_tree(tree), abs=1e-5)


def test_a_tree_of_its_root_alone(tmp_path):
    scorer = TransformersScorer.load(write_prm(tmp_path / "prm"), CPU)
    tree = make_tree(1)
    root = tree.model_copy(update={"nodes": tree.nodes[:1]})
    assert len(scorer.score_tree(root)) == 1
