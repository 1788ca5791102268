"""Detection figures as functions of how often each cluster was drawn, so that thousands of resamples are quick.

Every function takes the items once, with `clusters` (n,) naming each item's question by a number from 0, and gives a
statistic: draws (b, q) → (b,), see `intervals.cluster_bootstrap`. Where every cluster is drawn once the values equal
scikit-learn's; a cluster drawn k times counts its items k times. Positive is what is to be detected (an error); a
higher score says more strongly that the item is positive.
"""

import numpy as np

from meds3core.evaluation.intervals import Booleans, Floats, Integers, Statistic
from meds3core.types.record import Record

BINS = 10
ROC_POINTS = 200
_CELLS = 2_000_000


class RocPoint(Record):
    """At one threshold: share of negatives flagged, share of positives found."""

    false_alarms: float
    found: float


def auroc(scores: Floats, positive: Booleans, clusters: Integers) -> Statistic:
    """The probability that a positive outranks a negative, ties counted half. NaN when a class has no weight.

    Won pairs are counted once for each pair of clusters, so a resample costs q² however many items there are.
    """
    count = int(clusters.max()) + 1
    ranks = np.unique(scores, return_inverse=True)[1]
    negatives, positives = ranks[~positive], ranks[positive]
    owners, owned = clusters[~positive], clusters[positive]
    won = np.zeros((count, count))  # [cluster of the positive, cluster of the negative]
    levels = int(ranks.max()) + 1
    block = max(1, _CELLS // levels)
    for start in range(0, count, block):
        width = min(block, count - start)
        inside = (owners >= start) & (owners < start + width)
        at = np.zeros((levels, width))
        np.add.at(at, (negatives[inside], owners[inside] - start), 1.0)
        below = np.cumsum(at, axis=0) - at / 2
        np.add.at(won[:, start : start + width], owned, below[positives])
    sizes = _sums(positive, clusters, count), _sums(~positive, clusters, count)

    def statistic(drawn: Floats) -> Floats:
        return _ratio(((drawn @ won) * drawn).sum(axis=1), (drawn @ sizes[0]) * (drawn @ sizes[1]))

    return statistic


def average_precision(scores: Floats, positive: Booleans, clusters: Integers) -> Statistic:
    """Area under the precision-recall curve as a sum of steps, without interpolation. NaN without positives."""
    order = np.argsort(-scores, kind="stable")
    owners, signs, ranked = clusters[order], positive[order].astype(float), scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of runs of equal scores
    tied = len(ends) < len(ranked)

    def statistic(drawn: Floats) -> Floats:
        weights = drawn[:, owners]
        found = np.cumsum(weights * signs, axis=1)
        flagged = np.cumsum(weights, axis=1, out=weights)
        if tied:
            found, flagged = found[:, ends], flagged[:, ends]
        precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
        gained = np.diff(found, axis=1, prepend=0.0)
        return _ratio(np.einsum("ij,ij->i", gained, precision), found[:, -1])

    return statistic


def precision(flagged: Booleans, positive: Booleans, clusters: Integers) -> Statistic:
    """Share of the flagged items that are positive. NaN when nothing is flagged."""
    return _share_of(flagged & positive, flagged, clusters)


def recall(flagged: Booleans, positive: Booleans, clusters: Integers) -> Statistic:
    """Share of the positive items that are flagged. NaN without positives."""
    return _share_of(flagged & positive, positive, clusters)


def f1(flagged: Booleans, positive: Booleans, clusters: Integers) -> Statistic:
    """Harmonic mean of precision and recall. NaN when nothing is flagged and nothing positive."""
    both = 2 * _sums(flagged & positive, clusters)
    sizes = _sums(flagged, clusters) + _sums(positive, clusters)
    return lambda drawn: _ratio(drawn @ both, drawn @ sizes)


def harmonic_shares(
    found: Booleans, first: Booleans, passed: Booleans, second: Booleans, clusters: Integers
) -> Statistic:
    """Harmonic mean of the shares `found` among `first` and `passed` among `second`; NaN when either is empty."""
    one, other = _share_of(found & first, first, clusters), _share_of(passed & second, second, clusters)

    def statistic(drawn: Floats) -> Floats:
        a, b = one(drawn), other(drawn)
        return np.where(a + b > 0, 2 * a * b / np.where(a + b > 0, a + b, 1.0), np.where(np.isnan(a + b), np.nan, 0.0))

    return statistic


def expected_calibration_error(
    probabilities: Floats, true: Booleans, clusters: Integers, bins: int = BINS
) -> Statistic:
    """Mean distance between what was said and what was true over equal-width bins, weighted by their items."""
    members = np.eye(bins)[bin_of(probabilities, bins)]
    gaps = np.zeros((int(clusters.max()) + 1, bins))
    np.add.at(gaps, clusters, members * (probabilities - true)[:, None])
    sizes = _sums(np.ones(len(true)), clusters)
    return lambda drawn: _ratio(np.abs(drawn @ gaps).sum(axis=1), drawn @ sizes)


def roc_curve(scores: Floats, positive: Booleans) -> tuple[RocPoint, ...]:
    """The curve from (0, 0) to (1, 1), thinned to about `ROC_POINTS` points; empty when a class is missing."""
    if positive.all() or not positive.any():
        return ()
    from sklearn.metrics import roc_curve as sklearn_curve

    false_alarms, found, _ = sklearn_curve(positive, scores)
    keep = sorted({*np.linspace(0, len(found) - 1, ROC_POINTS).round().astype(int).tolist()})
    return tuple(RocPoint(false_alarms=float(false_alarms[i]), found=float(found[i])) for i in keep)


def bin_of(probabilities: Floats, bins: int = BINS) -> Integers:
    """Which equal-width bin each lies in; 1 belongs to the last."""
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)


def _sums(values: Floats | Booleans, clusters: Integers, count: int = 0) -> Floats:
    """Per cluster."""
    return np.bincount(clusters, weights=values.astype(float), minlength=count).astype(float)


def _share_of(hits: Booleans, among: Booleans, clusters: Integers) -> Statistic:
    numerator, denominator = _sums(hits, clusters), _sums(among, clusters)
    return lambda drawn: _ratio(drawn @ numerator, drawn @ denominator)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    quotient = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
