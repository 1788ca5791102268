"""A search's cost, scaled from a trial: hand-worked figures, and a trial that is really grown."""

import asyncio
import math

import pytest

from meds3core.config.engine import TransformersEngineConfig
from meds3core.config.search import SearchConfig
from meds3core.engines.policy import inspect_policy
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from meds3core.search.estimate import NoTrial, TreeCost, Trial, evenly_spaced, scaled, try_search
from meds3core.search.opening import open_search


def cost(tokens, nodes=10):
    return TreeCost(nodes=nodes, rollouts=20, generated_tokens=tokens, prompt_tokens=5, stored_bytes=1000)


def trial(*tokens, **others):
    """Alone 100 tokens a second; four at once 200."""
    measured = {
        "load_seconds": 3.0, "seconds_alone": 1.0, "tokens_alone": 100, "together": 4, "seconds_together": 2.0,
        "tokens_together": 400, "failures": 0,
    }  # fmt: skip
    return Trial(policy="p", engine="e", trees=tuple(cost(each) for each in tokens), **measured | others)


def test_questions_of_a_trial_are_evenly_spaced():
    assert evenly_spaced(5, 100) == [10, 30, 50, 70, 90]
    assert evenly_spaced(5, 3) == [0, 1, 2]
    assert evenly_spaced(1, 1) == [0]


def test_counts_are_the_mean_times_the_questions_with_students_interval():
    """Mean 100, standard deviation √250, n = 5, t(4) = 2.13, of 50: 2.13·√(250/5)·√(1 - 5/50)."""
    found = scaled(trial(80, 90, 100, 110, 120), 50, concurrency=4)
    margin = 2.13 * math.sqrt(50) * math.sqrt(0.9)
    assert found.generated_tokens.value == pytest.approx(5000)
    assert found.generated_tokens.low == pytest.approx(50 * (100 - margin))
    assert found.generated_tokens.high == pytest.approx(50 * (100 + margin))
    assert (found.nodes.low, found.nodes.value, found.nodes.high) == (500, 500, 500)


def test_time_lies_between_no_further_gain_and_the_same_gain_again():
    """From 1 to 4 trees the speed doubles, 4^0.5; with 16 at once it is 200 at least and 200·(16/4)^0.5 at most."""
    found = scaled(trial(100, 100, 100, 100, 100), 1000, concurrency=16)
    assert found.seconds.high == pytest.approx(100_000 / 200)
    assert found.seconds.low == pytest.approx(100_000 / 400)
    assert found.seconds.value == pytest.approx(100_000 / math.sqrt(200 * 400))
    assert scaled(trial(100, 100), 1000, concurrency=16, workers=4).seconds.value == pytest.approx(
        found.seconds.value / 4
    )
    alone = scaled(trial(100, 100, 100), 1000, concurrency=1)
    assert (alone.seconds.low, alone.seconds.high) == (pytest.approx(500), pytest.approx(1000))


def test_a_trial_of_everything_leaves_nothing_open_but_speed():
    found = scaled(trial(80, 120), 2, concurrency=64)
    assert found.generated_tokens.low == found.generated_tokens.high == 200
    assert (found.workers, found.at_once) == (1, 2)


def test_one_tree_says_little():
    found = scaled(trial(100, together=0, seconds_together=0.0, tokens_together=0), 100, concurrency=64)
    assert found.generated_tokens.low < 6_000 < 14_000 < found.generated_tokens.high
    assert found.seconds.low * 10 < found.seconds.high


def opening(**changes):
    config = SearchConfig(max_nodes=4, rollouts=2, min_rollouts=1, step_tokens=48, rollout_tokens=64, **changes)
    engine = TransformersEngineConfig(batch_invariant=True)
    return open_search(inspect_policy(policy_folder()), engine, config, seed=1)


def test_a_trial_is_really_grown():
    questions = list(generate("train", 3, seed=2))
    found = asyncio.run(try_search(questions, opening(), concurrency=4))
    assert len(found.trees) == 3
    assert found.together == 2
    assert all(one.nodes >= 4 and one.generated_tokens > 0 and one.stored_bytes > 100 for one in found.trees)
    assert found.tokens_alone + found.tokens_together == sum(one.generated_tokens for one in found.trees)
    assert found.seconds_alone > 0 < found.seconds_together


def test_a_trial_without_any_tree_says_why():
    (question,) = generate("train", 1, seed=2)
    long = question.model_copy(update={"text": question.text + " word" * 3000})
    with pytest.raises(NoTrial, match="context-overflow"):
        asyncio.run(try_search([long], opening(), concurrency=4))
