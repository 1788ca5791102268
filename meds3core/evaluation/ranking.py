"""Detection figures as functions of item weights, so that thousands of resamples are computed at once.

Every function takes the items' scores once and gives a statistic: weights (b, n) → (b,), see
`intervals.cluster_bootstrap`. With all weights 1 the values equal scikit-learn's; a weight k counts an item k times.
Positive is what is to be detected (an error); a higher score says more strongly that the item is positive.
"""

from collections.abc import Sequence

import numpy as np

from meds3core.evaluation.intervals import Booleans, Floats, Statistic
from meds3core.types.record import Record

BINS = 10
ROC_POINTS = 200


class ReliabilityBin(Record):
    """Items whose probability lies in [low, high): what was said, and what was true."""

    low: float
    high: float
    items: int
    said: float
    true: float


class RocPoint(Record):
    """At one threshold: share of negatives flagged, share of positives found."""

    false_alarms: float
    found: float


def auroc(scores: Floats, positive: Booleans) -> Statistic:
    """The probability that a positive outranks a negative, ties counted half. NaN when a class has no weight."""
    order = np.argsort(scores, kind="stable")
    starts = _tie_starts(scores[order])
    signs = positive[order].astype(float)

    def statistic(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        positives = np.add.reduceat(sorted_weights * signs, starts, axis=1)
        negatives = np.add.reduceat(sorted_weights * (1 - signs), starts, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        return _ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))

    return statistic


def average_precision(scores: Floats, positive: Booleans) -> Statistic:
    """Area under the precision-recall curve as a sum of steps, without interpolation. NaN without positives."""
    order = np.argsort(-scores, kind="stable")
    starts = _tie_starts(scores[order])
    signs = positive[order].astype(float)

    def statistic(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        found = np.add.reduceat(sorted_weights * signs, starts, axis=1)
        flagged = np.cumsum(np.add.reduceat(sorted_weights, starts, axis=1), axis=1)
        precision = np.cumsum(found, axis=1) / np.where(flagged > 0, flagged, 1.0)
        return _ratio((found * precision).sum(axis=1), found.sum(axis=1))

    return statistic


def precision(flagged: Booleans, positive: Booleans) -> Statistic:
    """Share of the flagged items that are positive. NaN when nothing is flagged."""
    return _share_of(flagged & positive, flagged)


def recall(flagged: Booleans, positive: Booleans) -> Statistic:
    """Share of the positive items that are flagged. NaN without positives."""
    return _share_of(flagged & positive, positive)


def f1(flagged: Booleans, positive: Booleans) -> Statistic:
    """Harmonic mean of precision and recall. NaN when nothing is flagged and nothing positive."""
    both, sizes = (flagged & positive).astype(float), flagged.astype(float) + positive.astype(float)
    return lambda weights: _ratio(2 * (weights @ both), weights @ sizes)


def harmonic_shares(found: Booleans, first: Booleans, passed: Booleans, second: Booleans) -> Statistic:
    """Harmonic mean of the shares `found` among `first` and `passed` among `second`; NaN when either is empty."""
    one, other = _share_of(found & first, first), _share_of(passed & second, second)

    def statistic(weights: Floats) -> Floats:
        a, b = one(weights), other(weights)
        return np.where(a + b > 0, 2 * a * b / np.where(a + b > 0, a + b, 1.0), np.where(np.isnan(a + b), np.nan, 0.0))

    return statistic


def expected_calibration_error(probabilities: Floats, true: Booleans, bins: int = BINS) -> Statistic:
    """Mean distance between what was said and what was true over equal-width bins, weighted by their items."""
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    members = np.eye(bins)[which]
    gaps = members * (probabilities - true)[:, None]

    def statistic(weights: Floats) -> Floats:
        return _ratio(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))

    return statistic


def reliability(probabilities: Floats, true: Booleans, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """What lies behind the calibration error; empty bins are left out."""
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    found = []
    for number in range(bins):
        inside = which == number
        if inside.any():
            found.append(
                ReliabilityBin(
                    low=number / bins,
                    high=(number + 1) / bins,
                    items=int(inside.sum()),
                    said=float(probabilities[inside].mean()),
                    true=float(true[inside].mean()),
                )
            )
    return tuple(found)


def roc_curve(scores: Floats, positive: Booleans) -> tuple[RocPoint, ...]:
    """The curve from (0, 0) to (1, 1), thinned to about `ROC_POINTS` points; empty when a class is missing."""
    if positive.all() or not positive.any():
        return ()
    from sklearn.metrics import roc_curve as sklearn_curve

    false_alarms, found, _ = sklearn_curve(positive, scores)
    keep: Sequence[int] = sorted({*np.linspace(0, len(found) - 1, ROC_POINTS).round().astype(int).tolist()})
    return tuple(RocPoint(false_alarms=float(false_alarms[i]), found=float(found[i])) for i in keep)


def _tie_starts(ordered: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where each run of equal scores begins."""
    return np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1]).astype(np.int64)


def _share_of(hits: Booleans, among: Booleans) -> Statistic:
    numerator, denominator = hits.astype(float), among.astype(float)
    return lambda weights: _ratio(weights @ numerator, weights @ denominator)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    safe = np.where(denominator > 0, denominator, 1.0)
    return np.where(denominator > 0, numerator / safe, np.nan)
