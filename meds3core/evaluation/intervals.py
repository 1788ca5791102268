"""Figures with their uncertainty: no figure of an evaluation goes out without an interval.

Right answers to questions: Wilson. Several samples, steps or trajectories of one question are not independent, so
everything computed from them is resampled by question (the cluster), never by sample. Every bootstrap is seeded: the
same data give the same interval. Needs numpy and nothing heavier: pages ask for intervals.
"""

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Literal, Self, TypedDict

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from meds3core.types.record import Record

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

LEVEL = 0.95
RESAMPLES = 2000
"""Of intervals. P-values want more (`paired.RESAMPLES`)."""
_CELLS = 400_000
"""Weights held at once: few enough to stay in a core's cache."""

Method = Literal["wilson", "bootstrap", "cluster-bootstrap", "paired-bootstrap", "jackknife"]


class Resampling(TypedDict):
    """The arguments that all resampling functions share."""

    level: float
    resamples: int
    seed: int


class Estimate(Record):
    """A figure and the interval that covers its true value in `level` of all repetitions."""

    value: float
    low: float
    high: float
    n: int = Field(ge=1, description="Independent units: questions, wherever several items share one")
    method: Method
    level: float = Field(default=LEVEL, gt=0.0, lt=1.0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.low <= self.high:
            raise ValueError(f"an interval from {self.low} to {self.high}")
        return self

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(successes: int, n: int, level: float = LEVEL) -> Estimate:
    """A share of n independent outcomes (Wilson 1927). Raises `ValueError` when there are none."""
    if n < 1:
        raise ValueError("a share of nothing")
    share, z = successes / n, NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Rounding may put an end of the interval a hair to the wrong side of the share, or of 0 and 1.
    return Estimate(
        value=share,
        low=min(max(middle - half, 0.0), share) if successes else 0.0,
        high=max(min(middle + half, 1.0), share),
        n=n,
        method="wilson",
        level=level,
    )


def bootstrap_means(
    values: npt.ArrayLike, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> list[Estimate]:
    """The mean of each column of (n, k), one row a question, all columns on the same resamples.

    A column without any variation tells nothing of its uncertainty; where its values are shares (0 to 1) it gets the
    Wilson interval of as many outcomes, else an interval of no width. Raises `ValueError` without rows.
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or not len(table):
        raise ValueError("no questions to average over")
    n = len(table)
    means = np.concatenate([counts @ table / n for counts in resampled_counts(n, resamples, seed)])
    lows, highs = _ends(means, level)
    found = []
    for value, low, high, column in zip(table.mean(axis=0), lows, highs, table.T, strict=True):
        if np.ptp(column) == 0.0 and column[0] in (0.0, 1.0):
            found.append(wilson(int(column.sum()), n, level))
        else:
            # The mean of equal numbers may differ from them in the last digit.
            low, high = min(low, value), max(high, value)
            found.append(Estimate(value=value, low=low, high=high, n=n, method="bootstrap", level=level))
    return found


def bootstrap_mean(
    values: npt.ArrayLike, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The mean of one value per question; see `bootstrap_means`."""
    column = np.asarray(values, dtype=float).reshape(-1, 1)
    return bootstrap_means(column, level=level, resamples=resamples, seed=seed)[0]


Statistic = Callable[[Floats], Floats]
"""From how often each of q clusters was drawn (b, q) to b values; NaN where a resample leaves it undefined."""


def cluster_bootstrap(
    statistic: Statistic,
    clusters: int,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    items: int = 0,
) -> Estimate | None:
    """A statistic of items that belong to clusters (questions), by resampling whole clusters.

    The statistic sees how often each cluster was drawn, for many resamples at once; `items`: how wide its own tables
    are, to bound the memory. None where it is undefined on the data themselves, or on most of the resamples.
    """
    if not clusters:
        return None
    value = float(statistic(np.ones((1, clusters)))[0])
    if np.isnan(value):
        return None
    values = np.concatenate([statistic(drawn) for drawn in resampled_counts(clusters, resamples, seed, columns=items)])
    values = values[~np.isnan(values)]
    if len(values) <= resamples / 2:
        return None
    low, high = (float(end[0]) for end in _ends(values.reshape(-1, 1), level))
    return Estimate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        n=clusters,
        method="cluster-bootstrap",
        level=level,
    )


def clustered_share(
    outcomes: npt.ArrayLike,
    clusters: npt.ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate | None:
    """The share of items that are true, items clustered in questions. None without items.

    Wilson's interval where every question has one item. Also where all items agree and there is nothing to resample:
    then of as many outcomes as there are questions, which is wider than any the items could claim.
    """
    truths = np.asarray(outcomes, dtype=float)
    if not len(truths):
        return None
    index, count = numbered(clusters)
    if len(truths) == count:
        return wilson(int(truths.sum()), count, level)
    if np.ptp(truths) == 0.0:
        return wilson(count if truths[0] else 0, count, level)
    true, items = np.bincount(index, weights=truths), np.bincount(index).astype(float)
    return cluster_bootstrap(
        lambda drawn: drawn @ true / (drawn @ items), count, level=level, resamples=resamples, seed=seed
    )


def numbered(clusters: npt.ArrayLike) -> tuple[Integers, int]:
    """Clusters of any name as numbers from 0, and how many there are."""
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    return index.astype(np.int64), len(names)


def resampled_counts(n: int, resamples: int, seed: int, *, columns: int | None = None) -> Iterator[Floats]:
    """How often each of n units is drawn, in blocks (b, n) of all resamples, the same for the same (n, seed).

    `columns` is how wide the caller will make the block: it bounds the memory, and changes nothing else.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, n]))
    block = max(1, min(resamples, _CELLS // max(n, columns or 0, 1)))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(float)


def _ends(values: Floats, level: float) -> tuple[Floats, Floats]:
    """Both ends of the percentile interval of each column of (b, k)."""
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(values, [tail, 100 - tail], axis=0)
    return low, high
