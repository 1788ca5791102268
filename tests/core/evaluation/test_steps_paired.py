"""Two reward models on the same judged steps: each side's figures are its own, and the interval is the difference's."""

import random

import pytest

from meds3core.evaluation.judging import StepTruth
from meds3core.evaluation.paired import NotPaired
from meds3core.evaluation.steps import FlagThresholds, JudgedTrajectory, step_figures
from meds3core.evaluation.steps_paired import paired_sides, paired_steps, step_side


def trajectories(noise, seed=0, count=80):
    """Three steps each, about a third wrong; scores are the truth with noise."""
    truth, chance = random.Random(1), random.Random(seed)
    found = []
    for number in range(count):
        rights = [truth.random() < 0.7 for _ in range(3)]
        scores = tuple(min(1.0, max(0.0, right * 0.6 + 0.2 + chance.uniform(-noise, noise))) for right in rights)
        truths = tuple(StepTruth(right_absolutely=right, right_given_prefix=right) for right in rights)
        found.append(JudgedTrajectory(f"q{number // 2}", scores, truths, all(rights)))
    return found


def test_each_side_has_the_figures_that_it_has_alone():
    worse, better = trajectories(0.8, seed=1), trajectories(0.3, seed=2)
    cuts = FlagThresholds(steps=0.45, first_error=0.4), FlagThresholds(steps=0.5)
    found = paired_steps([worse], [better], thresholds=([cuts[0]], [cuts[1]]), resamples=500)
    alone = [
        step_figures(each, "given-prefix", thresholds=cut, resamples=100)
        for each, cut in zip((worse, better), cuts, strict=True)
    ]
    for name in ("f1", "auroc", "auprc"):
        pair = getattr(found, name)
        assert pair.first == pytest.approx(getattr(alone[0], name).value)
        assert pair.second == pytest.approx(getattr(alone[1], name).value)
        assert pair.difference.value == pytest.approx(pair.second - pair.first)
        assert pair.difference.low > 0 and pair.p < 0.05
    assert found.first_error_f1.second == pytest.approx(alone[1].first_error.f1.value)
    assert (found.questions, found.trajectories, found.steps) == (40, 80, 240)


def test_the_same_model_twice_differs_by_nothing():
    same = trajectories(0.8)
    found = paired_steps([same], [same], resamples=200)
    assert (found.f1.difference.value, found.f1.difference.low, found.f1.difference.high, found.f1.p) == (0, 0, 0, 1.0)


def test_trainings_of_one_side_are_averaged():
    one, other, base = trajectories(0.5, seed=1), trajectories(0.5, seed=2), trajectories(0.9, seed=3)
    both = paired_steps([base], [one, other], resamples=300)
    single = [paired_steps([base], [each], resamples=100) for each in (one, other)]
    assert both.auroc.second == pytest.approx(sum(each.auroc.second for each in single) / 2)


def test_a_side_is_computed_once_for_all_that_it_is_compared_with():
    base, one, other = (trajectories(0.6, seed=seed) for seed in (1, 2, 3))
    sides = [step_side([each], resamples=300) for each in (base, one, other)]
    assert paired_sides(sides[0], sides[1]) == paired_steps([base], [one], resamples=300)
    assert paired_sides(sides[1], sides[2]) == paired_steps([one], [other], resamples=300)
    with pytest.raises(NotPaired):
        paired_sides(sides[0], step_side([base], "absolute", resamples=300))
    with pytest.raises(NotPaired):
        paired_sides(sides[0], step_side([base], resamples=200))


def test_other_trajectories_are_refused():
    with pytest.raises(NotPaired):
        paired_steps([trajectories(0.5)], [trajectories(0.5)[1:]])
    with pytest.raises(NotPaired):
        paired_steps([[]], [[]])
