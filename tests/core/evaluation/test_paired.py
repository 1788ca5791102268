"""Paired comparisons: published McNemar values, differences over seeds by hand, honest p-values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from meds3core.evaluation.paired import NotPaired, mcnemar, p_text, paired_difference, paired_over_seeds


def outcomes(both, only_first, only_second, neither):
    first = [1] * both + [1] * only_first + [0] * only_second + [0] * neither
    second = [1] * both + [0] * only_first + [1] * only_second + [0] * neither
    return first, second


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (1, 9, 2 * (1 + 10) / 2**10),  # P(X ≤ 1) of 10 coins, twice
        (5, 5, 1.0),
        (0, 5, 2 / 2**5),
        (0, 0, 1.0),
        (10, 20, 0.098737),
    ],
)
def test_mcnemar_is_the_exact_binomial(only_first, only_second, p):
    found = mcnemar(*outcomes(30, only_first, only_second, 12))
    assert found.p == pytest.approx(p, abs=1e-6)
    assert (found.both, found.only_first, found.only_second, found.neither) == (30, only_first, only_second, 12)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_agrees_with_the_library(only_first, only_second):
    found = mcnemar(*outcomes(3, only_first, only_second, 2))
    total = only_first + only_second
    assert found.p == pytest.approx(binomtest(only_first, total).pvalue if total else 1.0, rel=1e-9)


def test_a_difference_by_hand():
    first, second = outcomes(40, 5, 25, 30)
    found = paired_difference(first, second)
    assert (found.first, found.second, found.difference.value) == (0.45, 0.65, pytest.approx(0.20))
    # Standard error of the difference: sqrt((0.25 + 0.05 − 0.2²) / 100) = 0.0510
    assert found.difference.low == pytest.approx(0.20 - 1.96 * 0.051, abs=0.012)
    assert found.difference.high == pytest.approx(0.20 + 1.96 * 0.051, abs=0.012)
    assert found.p < 0.001 and p_text(found.p) == "p < 0.001"
    back = paired_difference(second, first)
    assert back.difference.value == pytest.approx(-0.20)


def test_pairing_sees_what_two_intervals_hide():
    """Eight questions won and none lost among 400: clear when paired, invisible in two intervals side by side."""
    first, second = outcomes(200, 0, 8, 192)
    found = paired_difference(first, second)
    assert found.p < 0.01 and found.difference.low > 0


def test_equal_models_are_not_told_apart():
    first, _ = outcomes(20, 0, 0, 30)
    found = paired_difference(first, first)
    assert found.p == 1.0 and found.difference.low == found.difference.high == 0.0


def test_false_alarms_are_as_rare_as_promised():
    """Two equal models on 100 questions: p below 0.05 in about 5% of 500 repetitions."""
    rng = np.random.default_rng(8)
    alarms = 0
    for repetition in range(500):
        skill = rng.random(100)
        first, second = rng.random(100) < skill, rng.random(100) < skill
        alarms += paired_difference(first, second, resamples=500, seed=repetition).p < 0.05
    assert 0.02 <= alarms / 500 <= 0.08


def test_seeds_are_averaged_by_question_first():
    base = {"a": 0.0, "b": 1.0, "c": 0.0, "d": 0.0}
    runs = [{"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0}, {"d": 1.0, "c": 1.0, "b": 0.0, "a": 1.0}]
    found = paired_over_seeds([base], runs)
    assert [seed.difference.value for seed in found.seeds] == [pytest.approx(0.25), pytest.approx(0.5)]
    assert found.mean.difference.value == pytest.approx(0.375)
    assert found.mean.difference.n == 4  # questions, not answers
    assert found.spread == pytest.approx(np.std([0.25, 0.5], ddof=1))
    by_question = paired_difference([0, 1, 0, 0], [1, 0.5, 0.5, 0.5])
    assert found.mean == by_question


def test_more_seeds_do_not_pretend_to_be_more_questions():
    """Three copies of one run have the interval of one run, not a narrower one."""
    rng = np.random.default_rng(1)
    base = {str(i): float(rng.random() < 0.4) for i in range(80)}
    run = {str(i): float(rng.random() < 0.6) for i in range(80)}
    one, three = paired_over_seeds([base], [run]), paired_over_seeds([base] * 3, [run] * 3)
    assert (three.mean.difference.low, three.mean.difference.high) == pytest.approx(
        (one.mean.difference.low, one.mean.difference.high)
    )
    assert three.spread == 0.0


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(NotPaired, match="1 of the first's are missing, 1 are not among them"):
        paired_over_seeds([{"a": 1.0, "b": 0.0}], [{"a": 1.0, "c": 0.0}])
    with pytest.raises(NotPaired, match="2 runs against 3"):
        paired_over_seeds([{"a": 1.0}] * 2, [{"a": 1.0}] * 3)
    with pytest.raises(NotPaired):
        paired_over_seeds([], [])
    with pytest.raises(ValueError):
        paired_difference([1.0], [1.0, 0.0])


def test_questions_are_paired_by_id_not_by_place():
    found = paired_over_seeds([{"x": 1.0, "y": 0.0, "z": 0.5}], [{"y": 0.0, "z": 0.5, "x": 1.0}])
    assert found.mean.difference.low == found.mean.difference.high == 0.0
