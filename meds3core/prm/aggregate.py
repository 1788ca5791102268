"""Aggregates a trajectory's step scores into one (METHOD.md §5).

Step 0 is the same in every trajectory and is never aggregated, unless it is the only step. The published aggregators
crash or give 1.0 on one-step answers; these give that step's score.
"""

import math
from collections.abc import Callable, Sequence

Aggregator = Callable[[Sequence[float]], float]
"""From the scores of all steps, step 0 first, each in [0, 1], to one score in [0, 1]. Raises `ValueError` on none."""


def last(scores: Sequence[float]) -> float:
    """The last step's score: 0.9, 0.8, 0.2, 0.5 gives 0.5."""
    return _counted(scores)[-1]


def minimum(scores: Sequence[float]) -> float:
    """The weakest step's: 0.1, 0.8, 0.2, 0.5 gives 0.2 (step 0's 0.1 does not count)."""
    return min(_counted(scores))


def product(scores: Sequence[float]) -> float:
    """The chance that every step is right, were they independent: 0.9, 0.8, 0.2, 0.5 gives 0.8 · 0.2 · 0.5 = 0.08."""
    return math.prod(_counted(scores))


def mean(scores: Sequence[float]) -> float:
    """0.9, 0.8, 0.2, 0.5 gives (0.8 + 0.2 + 0.5) / 3 = 0.5."""
    counted = _counted(scores)
    return math.fsum(counted) / len(counted)


def geometric_mean(scores: Sequence[float]) -> float:
    """0.9, 0.8, 0.2, 0.5 gives the cube root of 0.08, 0.431; a step scored 0 gives 0."""
    counted = _counted(scores)
    return float(math.prod(score ** (1.0 / len(counted)) for score in counted))


AGGREGATORS: dict[str, Aggregator] = {
    "last": last,
    "min": minimum,
    "product": product,
    "mean": mean,
    "geometric-mean": geometric_mean,
}
"""`last` is the default and the published vote-sum's."""


def _counted(scores: Sequence[float]) -> Sequence[float]:
    if not scores:
        raise ValueError("a trajectory without steps has no score")
    return scores[1:] if len(scores) > 1 else scores
