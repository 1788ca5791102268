"""Tree search guided by a reward model, with a real one: both modes, and the commands that use it."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from meds3core.cli.main import app
from meds3core.config.decoding import ScorerConfig
from meds3core.data.tree_scores import read_tree_scores
from meds3core.data.trees import read_trees, write_trees
from meds3core.decoding.metering import MeteredScorer, SharedScorer
from meds3core.errors import ConfigError, PolicyError
from meds3core.prm.loading import load_scorer
from meds3core.sandbox.questions import generate
from meds3core.search.answer import vote_sum
from meds3core.search.concurrency import gather
from meds3core.search.grow import grow, provenance
from tests.core.prm.tiny import write_prm
from tests.core.search.toy import make_question, make_tools, small_config
from tests.core.trees.factory import tree as make_tree

CPU = ScorerConfig(device="cpu", batch_invariant=True)


@pytest.fixture(scope="module")
def prm(tmp_path_factory):
    """Its byte-level tokenizer is not the policy's: scoring takes texts and tokenises them by the PRM's own."""
    return write_prm(tmp_path_factory.mktemp("prm") / "tiny", max_position_embeddings=4096, name="tiny")


@pytest.fixture(scope="module")
def scorer(prm):
    return load_scorer(prm, CPU)


async def grow_some(scorer, mode, numbers):
    config = small_config(simulation="scorer", mode=mode)
    questions = [make_question(number) for number in numbers]
    if mode == "inference":
        questions = [question.without_gold() for question in questions]
    async with SharedScorer(scorer) as shared:
        tools = replace(make_tools(config), scorer=MeteredScorer(shared), scorer_hash=scorer.info.model_hash)
        return await gather(grow(question, tools) for question in questions)


async def test_in_training_the_scores_are_values_and_the_verifier_judges(scorer):
    trees = await grow_some(scorer, "training", range(4))
    for tree in trees:
        scores = scorer.score_tree(tree)
        for node in tree.nodes[1:]:
            expected = 0.0 if node.truncated else scores[node.id]
            assert node.rollout_value == pytest.approx(expected, abs=1e-6)
            assert (node.verdict is None) == (node.answer is None)
            assert not node.outcomes
    assert any(node.verdict for tree in trees for node in tree.nodes)


async def test_at_inference_there_is_no_gold_and_the_leaves_vote(scorer):
    trees = await grow_some(scorer, "inference", range(4))
    for tree in trees:
        assert not hasattr(tree.question, "gold")
        assert all(node.verdict is None for node in tree.nodes)
        answer = vote_sum(tree)
        assert answer is not None
        leaves = {node.id for node in tree.nodes} - {node.parent for node in tree.nodes}
        scores = scorer.score_tree(tree)
        total = sum(scores[leaf] for leaf in leaves if tree.nodes[leaf].answer == answer.answer)
        assert answer.score == pytest.approx(total, abs=1e-5)


async def test_a_tree_is_the_same_alone_and_in_company(scorer):
    together = await grow_some(scorer, "inference", range(5))
    alone = await grow_some(scorer, "inference", [3])
    assert alone[0] == together[3]


def test_another_reward_model_is_another_provenance(scorer):
    tools = make_tools(small_config(simulation="scorer"))
    one, other = replace(tools, scorer_hash="a"), replace(tools, scorer_hash="b")
    assert provenance(one) != provenance(other)


# --- commands ------------------------------------------------------------------------------------------------------


def meds3(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    return result


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "clinic.jsonl"
    path.write_text("".join(question.model_dump_json() + "\n" for question in generate("train", 2, 1)))
    return path


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_meds3_search_with_a_reward_model(mode, prm, questions, tmp_path):
    small = ("--preset", "quick", "--set", "max_nodes=4", "--set", "simulation=scorer", "--set", f"mode={mode}")
    common = ("search", "--questions", questions, "--policy", "clinic", "--out", tmp_path / "run", *small)
    result = meds3(*common)
    assert isinstance(result.exception, ConfigError)
    assert "--prm" in str(result.exception)
    assert not (tmp_path / "run").exists()

    result = meds3(*common, "--prm", prm)
    assert result.exit_code == 0, result.output
    trees = list(read_trees(tmp_path / "run" / "trees.jsonl"))
    assert len(trees) == 2
    assert all(hasattr(tree.question, "gold") == (mode == "training") for tree in trees)
    manifest = json.loads((tmp_path / "run" / "search.json").read_text())
    assert manifest["scorer"]["model"] == "tiny"
    assert len(manifest["scorer"]["model_hash"]) == 32

    other = meds3(*common, "--prm", write_prm(tmp_path / "other", seed=1))
    assert isinstance(other.exception, ConfigError)
    assert "scorer" in str(other.exception)


def test_meds3_search_refuses_what_cannot_guide(prm, questions, tmp_path):
    common = ("search", "--questions", questions, "--policy", "clinic", "--out", tmp_path / "run", "--preset", "quick")
    orm = write_prm(tmp_path / "orm", role="orm")
    idle = meds3(*common, "--prm", prm)
    outcome = meds3(*common, "--prm", orm, "--set", "simulation=scorer")
    missing = meds3(*common, "--prm", tmp_path / "nowhere", "--set", "simulation=scorer")
    assert "simulation=scorer" in str(idle.exception)
    assert "outcome" in str(outcome.exception)
    assert isinstance(missing.exception, PolicyError)
    assert not (tmp_path / "run").exists()


def test_meds3_prm_score_writes_a_score_for_every_node(prm, scorer, tmp_path):
    trees = [make_tree(seed, size=12) for seed in range(3)]
    write_trees(tmp_path / "trees.jsonl", trees)
    result = meds3("prm", "score", "--prm", prm, "--trees", tmp_path / "trees.jsonl", "--out", tmp_path / "s.jsonl")
    assert result.exit_code == 0, result.output
    rows = list(read_tree_scores(tmp_path / "s.jsonl"))
    assert [row.tree for row in rows] == [tree.content_hash for tree in trees]
    for row, tree in zip(rows, trees, strict=True):
        assert row.question == tree.question.id
        assert row.prm == scorer.info.model_hash
        assert row.scores == pytest.approx(tuple(scorer.score_tree(tree)), abs=1e-5)
