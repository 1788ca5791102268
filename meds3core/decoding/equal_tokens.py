"""Comparison at equal tokens: what stored samples would have answered for what a search has spent."""

from meds3core.decoding.curves import CurvePoint, compute_curves
from meds3core.decoding.samples import SampleSet
from meds3core.decoding.scores import ScoreSet
from meds3core.types.record import Record


class EqualTokens(Record):
    """A sampling strategy with as many samples as a budget pays for."""

    budget: float
    """Mean tokens per question, generated plus scored."""
    n: int
    """The most samples whose mean cost is within the budget; at least 1."""
    affordable: float
    """What the budget would pay for, in samples: below 1, one sample costs more; above N, more were not drawn."""
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

    `aggregator` only where the strategy reads a PRM's scores. A budget beyond the N stored samples uses all; whoever
    compares must then say so (`affordable > n`).
    """

    def point(n: int) -> CurvePoint:
        ways = [aggregator] if aggregator is not None else None
        curves = compute_curves(
            samples, prm=prm, orm=orm, ns=[n], strategies=[strategy], aggregators=ways, subsets=subsets, seed=seed
        )
        return curves.points[0]

    one = point(1)
    affordable = budget / one.tokens if one.tokens else float(samples.source.n)
    # The tolerance: a budget of exactly n samples must pay for n.
    n = max(1, min(samples.source.n, int(affordable + 1e-9)))
    return EqualTokens(budget=budget, n=n, affordable=affordable, point=one if n == 1 else point(n))
