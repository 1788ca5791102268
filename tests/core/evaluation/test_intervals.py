"""Intervals: textbook values, coverage by simulation, clusters as clusters, the same seed the same interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binomtest

from meds3core.evaluation.intervals import (
    Estimate,
    bootstrap_mean,
    bootstrap_means,
    cluster_bootstrap,
    clustered_share,
    resampled_counts,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_has_the_published_values(successes, n, low, high):
    found = wilson(successes, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert found.value == successes / n and found.n == n and found.method == "wilson"


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval(case):
    found = wilson(*case)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    known = binomtest(*case).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(known.low, abs=1e-12), pytest.approx(known.high, abs=1e-12))


def test_nothing_has_no_share():
    with pytest.raises(ValueError):
        wilson(0, 0)
    with pytest.raises(ValueError):
        bootstrap_mean([])
    assert clustered_share([], []) is None
    with pytest.raises(ValidationError):
        Estimate(value=0.5, low=0.6, high=0.4, n=3, method="wilson")


def test_bootstrap_of_a_mean_agrees_with_the_normal_one():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=400)
    found = bootstrap_mean(values, resamples=4000)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == (
        pytest.approx(values.mean() - half, abs=0.03),
        pytest.approx(values.mean() + half, abs=0.03),
    )


def test_the_same_seed_gives_the_same_interval_and_blocks_change_nothing():
    values = np.random.default_rng(2).random((37, 3))
    assert bootstrap_means(values, seed=5) == bootstrap_means(values, seed=5)
    assert bootstrap_means(values, seed=5) != bootstrap_means(values, seed=6)
    whole = np.concatenate(list(resampled_counts(37, 300, 0)))
    in_blocks = np.concatenate(list(resampled_counts(37, 300, 0, columns=200_000)))
    assert np.array_equal(whole, in_blocks) and (whole.sum(axis=1) == 37).all()


def test_columns_do_not_touch_each_other():
    values = np.random.default_rng(2).random((50, 2))
    for both, alone in zip(bootstrap_means(values), (bootstrap_mean(values[:, i]) for i in (0, 1)), strict=True):
        assert (both.value, both.low, both.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_coverage_of_the_bootstrap_over_questions():
    """95% intervals of a mean over 60 questions cover the truth in 95% of 400 repetitions (±3 standard errors)."""
    rng = np.random.default_rng(3)
    covered = 0
    for repetition in range(400):
        found = bootstrap_mean(rng.beta(2, 3, size=60), resamples=400, seed=repetition)
        covered += found.low <= 0.4 <= found.high
    assert 0.91 <= covered / 400 <= 0.985


def test_samples_of_a_question_are_not_taken_for_independent():
    """16 samples of each of 40 questions: resampling questions covers the truth, resampling samples does not."""
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(40), 16)
    covered = {"questions": 0, "samples": 0}
    for repetition in range(300):
        skill = rng.beta(0.5, 0.5, size=40)  # most questions are answered nearly always or nearly never
        right = rng.random(640) < skill[clusters]
        of_questions = clustered_share(right, clusters, resamples=300, seed=repetition)
        of_samples = clustered_share(right, np.arange(640), resamples=300, seed=repetition)
        covered["questions"] += of_questions.low <= 0.5 <= of_questions.high
        covered["samples"] += of_samples.low <= 0.5 <= of_samples.high
        assert of_questions.n == 40
    assert covered["questions"] / 300 >= 0.90
    assert covered["samples"] / 300 <= 0.60


def test_a_cluster_is_drawn_whole():
    """Two questions, one with a single wrong item and one with nine right ones: a resample is one of three values."""
    seen = set()

    def share(drawn):
        values = drawn @ [0.0, 9.0] / (drawn @ [1.0, 9.0])
        seen.update(np.round(values, 6).tolist())
        return values

    assert cluster_bootstrap(share, 2).value == 0.9 and seen == {0.0, 0.9, 1.0}
    assert clustered_share([0.0] + [1.0] * 9, ["b"] + ["a"] * 9).low == 0.0


def test_items_that_all_agree_still_have_an_interval():
    found = clustered_share([True] * 32, np.repeat([0, 1], 16))
    assert found == wilson(2, 2)
    assert bootstrap_mean([1.0] * 10) == wilson(10, 10)
    assert bootstrap_mean([2.5] * 10).low == 2.5


def test_an_undefined_statistic_is_none():
    assert cluster_bootstrap(lambda drawn: np.full(len(drawn), np.nan), 2) is None
    assert cluster_bootstrap(lambda drawn: drawn[:, 0], 0) is None
