"""Detection figures: scikit-learn's values with and without weights, and calibration by hand."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from meds3core.evaluation import ranking

RNG = np.random.default_rng(0)
POSITIVE = RNG.random(300) < 0.3
SCORES = np.round(np.clip(RNG.normal(0.4, 0.2, 300) + 0.2 * POSITIVE, 0, 1), 2)  # with many ties
EACH = np.arange(300)
WEIGHTS = RNG.integers(0, 4, size=(5, 300)).astype(float)
FLAGGED = SCORES > 0.55


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ranking.auroc(SCORES, POSITIVE, EACH), lambda w: roc_auc_score(POSITIVE, SCORES, sample_weight=w)),
        (
            ranking.average_precision(SCORES, POSITIVE, EACH),
            lambda w: average_precision_score(POSITIVE, SCORES, sample_weight=w),
        ),
        (ranking.f1(FLAGGED, POSITIVE, EACH), lambda w: f1_score(POSITIVE, FLAGGED, sample_weight=w)),
        (ranking.precision(FLAGGED, POSITIVE, EACH), lambda w: precision_score(POSITIVE, FLAGGED, sample_weight=w)),
        (ranking.recall(FLAGGED, POSITIVE, EACH), lambda w: recall_score(POSITIVE, FLAGGED, sample_weight=w)),
    ],
)
def test_equal_to_scikit_learn(ours, theirs):
    weights = np.vstack([np.ones(300), WEIGHTS])
    assert ours(weights) == pytest.approx([theirs(row) for row in weights], abs=1e-12)


@pytest.mark.parametrize("statistic", [ranking.auroc, ranking.average_precision])
@pytest.mark.parametrize("scores", [SCORES, SCORES + np.linspace(0, 0.001, 300)], ids=["ties", "no ties"])
def test_a_cluster_drawn_twice_counts_all_its_items_twice(statistic, scores):
    clusters = np.repeat(np.arange(30), 10)
    drawn = RNG.integers(0, 3, size=(6, 30)).astype(float)
    by_cluster = statistic(scores, POSITIVE, clusters)(drawn)
    assert by_cluster == pytest.approx(statistic(scores, POSITIVE, EACH)(drawn[:, clusters]))


def test_ties_count_half_and_order_does_not_matter():
    scores, positive = np.array([0.5, 0.5, 0.2, 0.9]), np.array([True, False, False, True])
    assert ranking.auroc(scores, positive, np.arange(4))(np.ones((1, 4)))[0] == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    back = slice(None, None, -1)
    assert ranking.auroc(scores[back], positive[back], np.arange(4))(np.ones((1, 4)))[0] == pytest.approx(3.5 / 4)


def test_a_missing_class_is_undefined_not_perfect():
    everything = np.ones((1, 3))
    scores = np.array([0.1, 0.2, 0.3])
    assert np.isnan(ranking.auroc(scores, np.ones(3, bool), np.arange(3))(everything)[0])
    assert np.isnan(ranking.average_precision(scores, np.zeros(3, bool), np.arange(3))(everything)[0])
    assert np.isnan(ranking.f1(np.zeros(3, bool), np.zeros(3, bool), np.arange(3))(everything)[0])
    assert ranking.f1(np.zeros(3, bool), np.ones(3, bool), np.arange(3))(everything)[0] == 0.0
    assert ranking.roc_curve(scores, np.ones(3, bool)) == ()


def test_calibration_by_hand():
    """Bin 0.2–0.3: said 0.25, true 1/2; bin 0.9–1: said 0.95, true 1. ECE = ½·0.25 + ½·0.05."""
    said, true = np.array([0.2, 0.3 - 1e-9, 0.9, 1.0]), np.array([True, False, True, True])
    statistic = ranking.expected_calibration_error(said, true, np.arange(4))
    assert statistic(np.ones((1, 4)))[0] == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)


def test_harmonic_mean_of_two_shares():
    yes, no = np.array([True, False, True, True]), np.array([False, False, True, True])
    first, second = np.array([True, True, False, False]), np.array([False, False, True, True])
    assert ranking.harmonic_shares(yes, first, no, second, np.arange(4))(np.ones((1, 4)))[0] == pytest.approx(
        2 * 0.5 * 1 / 1.5
    )
    assert ranking.harmonic_shares(no, first, ~no, second, np.arange(4))(np.ones((1, 4)))[0] == 0.0
    assert np.isnan(ranking.harmonic_shares(yes, ~(first | second), no, second, np.arange(4))(np.ones((1, 4)))[0])


def test_the_curve_runs_from_corner_to_corner():
    curve = ranking.roc_curve(SCORES, POSITIVE)
    assert (curve[0].false_alarms, curve[0].found) == (0.0, 0.0)
    assert (curve[-1].false_alarms, curve[-1].found) == (1.0, 1.0)
    area = np.trapezoid([p.found for p in curve], [p.false_alarms for p in curve])
    assert area == pytest.approx(roc_auc_score(POSITIVE, SCORES), abs=0.01)
