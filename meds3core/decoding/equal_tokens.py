"""Comparison at equal tokens: what stored samples would have answered for what a search has spent."""

from collections.abc import Sequence

from meds3core.decoding.curves import CurvePoint, compute_curves
from meds3core.decoding.samples import SampleSet
from meds3core.decoding.scores import ScoreSet
from meds3core.decoding.spending import Spending
from meds3core.decoding.strategies import STRATEGIES
from meds3core.errors import ConfigError
from meds3core.types.record import Record

_TOLERANCE = 1e-6
"""Tokens: the cost of exactly n samples must pay for n."""


class EqualTokens(Record):
    """A sampling strategy with as many samples as a budget pays for."""

    budget: float
    """Mean tokens per question, generated plus scored."""
    n: int
    """The most samples whose mean cost is within the budget; at least 1."""
    affordable: float
    """What the budget would pay for, in samples: below 1, one sample costs more; n + 1 and beyond, more were not
    drawn, and the comparison favours the search."""
    point: CurvePoint


def at_equal_tokens(
    samples: SampleSet,
    budget: float,
    strategy: str,
    *,
    prm: ScoreSet | None = None,
    orm: ScoreSet | None = None,
    aggregator: str | None = None,
    subsets: int = 100,
    seed: int = 0,
) -> EqualTokens:
    """Evaluate a strategy with as many stored samples per question as fit a mean budget (a search's mean cost).

    `aggregator` counts only where the strategy reads a PRM's scores. Raises `ConfigError` like `compute_curves`.
    """
    needs = STRATEGIES[strategy].needs if strategy in STRATEGIES else "nothing"
    if needs == "prm" and aggregator is None:
        raise ConfigError(f"strategy {strategy!r} needs an aggregator")
    total = samples.source.n

    def point(n: int) -> CurvePoint:
        ways = [aggregator] if aggregator is not None else None
        return compute_curves(
            samples, prm=prm, orm=orm, ns=[n], strategies=[strategy], aggregators=ways, subsets=subsets, seed=seed
        ).points[0]

    spending = Spending(samples)
    read = {"nothing": None, "prm": prm, "orm": orm}[needs]
    costs = [
        float((spending.generated(n) + (spending.scored(read, n) if read is not None else 0.0)).mean())
        for n in range(1, total + 1)
    ]
    n = max(1, sum(cost <= budget + _TOLERANCE for cost in costs))
    return EqualTokens(budget=budget, n=n, affordable=_affordable(costs, budget, n), point=point(n))


def _affordable(costs: Sequence[float], budget: float, n: int) -> float:
    """n and the share of one more; beyond the last, samples cost as much as the last one added."""
    if budget < costs[0]:
        return budget / costs[0]
    following = costs[n] if n < len(costs) else 2 * costs[-1] - (costs[-2] if len(costs) > 1 else 0.0)
    step = following - costs[n - 1]
    return n + (budget - costs[n - 1]) / step if step > 0 else float(n)
