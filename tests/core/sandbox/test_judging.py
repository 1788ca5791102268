"""The experiment of judging: steps are chosen as queues choose them, arms differ in nothing else, and it runs."""

import json

import numpy as np
import pytest

from meds3core.judgements.choosing import choose, steps_pool
from meds3core.judgements.flagging import STATED, FlagRules, expected_information
from meds3core.judgements.tree_steps import tree_steps
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.judging.config import RULES, SMOKE
from meds3core.sandbox.judging.page import judging_section
from meds3core.sandbox.judging.run import RESULTS, Judging, JudgingResult
from meds3core.sandbox.questions import generate
from tests.core.judgements.built import grown


def test_columns_are_what_the_tables_of_a_search_hold():
    first, second = (grown(question) for question in generate("train", 2, 0))
    steps, places = tree_steps([first, second, first], {first.content_hash: (0.5, 0.9, 0.1, 0.8, 0.2)})
    assert places[:5] == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1)] and len(steps) == 12
    assert steps.question.tolist() == [0] * 4 + [1] * 4 + [0] * 4
    np.testing.assert_allclose(steps.value[:4], [0.75, 0.25, 1.0, 0.0])
    np.testing.assert_allclose(steps.drop[:4], [np.nan, 0.5, -0.25, 0.25])
    assert steps.rollouts[:4].tolist() == [4, 4, STATED, STATED]
    np.testing.assert_allclose(steps.score[:5], [0.9, 0.1, 0.8, 0.2, np.nan])
    assert steps.right[:4].tolist() == [True, False, True, False]


def test_a_stated_answer_tells_less_than_an_open_question():
    nothing = np.full(3, np.nan)
    told = expected_information(np.array([0.0, 1.0, 0.5]), nothing, np.array([STATED, STATED, 16]), nothing)
    assert told[0] == 0.0 < told[1] < 0.3 < 0.9 < told[2]


@pytest.mark.parametrize("arm", ["information", "random"])
def test_arms_choose_by_what_they_are_called_after(arm):
    trees = [grown(question) for question in generate("train", 40, 0)]
    chance = np.random.default_rng(0)
    steps, _ = tree_steps(trees, {tree.content_hash: chance.random(5).tolist() for tree in trees})
    rules = RULES[arm].model_copy(update={"most_per_question": 10})
    choice = choose(steps_pool(steps, rules), rules, items=30, seed=1)
    worth = steps_pool(steps, rules).priority
    best = np.sort(worth)[::-1][:30].mean()
    mean = worth[choice.places].mean()
    assert mean == pytest.approx(best) if arm == "information" else mean < best - 0.1
    assert FlagRules() == RULES["queue"]


def test_arms_differ_in_the_judged_steps_alone(tmp_path):
    stages = {stage.name: stage for stage in Judging(SMOKE, policy_folder(), tmp_path).stages}
    queue, random = stages["queue-1"], stages["random-1"]
    assert {name for name in queue.inputs if queue.inputs[name] != random.inputs[name]} == {"people"}
    assert queue.settings.training == random.settings.training == stages["rollouts-1"].settings.training
    one, other = stages["judged-queue-1"], stages["judged-random-1"]
    assert one.inputs == other.inputs and one.settings.items == other.settings.items


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_experiment_runs_and_goes_on_where_it_stopped(tmp_path):
    config = SMOKE.model_copy(update={"arms": ("queue", "random")})
    result = Judging(config, policy_folder(), tmp_path).run()
    assert [(each.before, each.after) for each in result.comparisons] == [
        ("rollouts", "queue"),
        ("rollouts", "random"),
        ("random", "queue"),
    ]
    assert all(each.judged == (10,) for each in result.judged)
    stored = JudgingResult.model_validate(json.loads((tmp_path / RESULTS).read_text()))
    assert stored == result
    again = Judging(config, policy_folder(), tmp_path)
    assert again.seconds_left() == 0
    assert again.run() == result
    f1 = result.comparisons[0].of("given-prefix").f1
    assert f1 is None or result.comparisons[0].seeds == (pytest.approx(f1.difference.value, abs=1e-4),)
    page = judging_section(result)
    assert "Does judging pay?" in page and "| the queue's rules | 10 |" in page
