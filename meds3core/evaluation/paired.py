"""Is one model better than another on the same questions? McNemar's exact test and the paired bootstrap.

Pairing takes the difficulty of the questions out of the comparison: what counts is where the two disagree.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from meds3core.errors import UserError
from meds3core.evaluation.intervals import LEVEL, Estimate, Floats, resampled_counts
from meds3core.types.record import Record

RESAMPLES = 10_000
"""The least p that so many can show is 2 / 10,001."""


class NotPaired(UserError):
    """Two results do not cover the same questions, so no difference can be taken question by question."""

    code = "not-paired"


class McNemar(Record):
    """How often the two agree, and the exact two-sided p of the disagreements being a coin's."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p: float = Field(ge=0.0, le=1.0)


class PairedDifference(Record):
    """Second minus first, averaged over questions."""

    first: float
    second: float
    difference: Estimate
    p: float = Field(ge=0.0, le=1.0, description="Two-sided, of the same resamples as the interval")

    def __str__(self) -> str:
        found = self.difference
        change = f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        return f"{self.first:.3f} → {self.second:.3f}: {change}, {p_text(self.p)}"


class SeedDifferences(Record):
    """Several runs of the same experiment on the same questions.

    `mean` averages each question over the runs first and resamples questions; `seeds` has each run by itself, and
    `spread` is the standard deviation of their differences (0 for one run): what another seed may change.
    """

    mean: PairedDifference
    seeds: tuple[PairedDifference, ...] = Field(min_length=1)
    spread: float = Field(ge=0.0)


def p_text(p: float) -> str:
    """A p-value as one writes it: `p = 0.012`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def mcnemar(first: npt.ArrayLike, second: npt.ArrayLike) -> McNemar:
    """The exact test on outcomes (n,) of two models on the same questions (McNemar 1947; binomial form)."""
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"{a.shape} outcomes against {b.shape}")
    only_first, only_second = int((a & ~b).sum()), int((~a & b).sum())
    return McNemar(
        both=int((a & b).sum()),
        only_first=only_first,
        only_second=only_second,
        neither=int((~a & ~b).sum()),
        p=_coin_p(only_first, only_first + only_second),
    )


def _coin_p(heads: int, tosses: int) -> float:
    """Two-sided, exact: twice the chance of a fair coin's falling as unevenly or more so to one side.

    In whole numbers of any size: scipy's test gives the same and takes a second to import.
    """
    ways = term = 1
    for k in range(min(heads, tosses - heads)):
        term = term * (tosses - k) // (k + 1)
        ways += term
    return min(1.0, (ways << 1) / (1 << tosses))


def paired_difference(
    first: npt.ArrayLike, second: npt.ArrayLike, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> PairedDifference:
    """The mean difference of values (n,), one a question, by resampling questions; see `paired_differences`."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"{a.shape} values against {b.shape}")
    return paired_differences(a[:, None], b[:, None], level=level, resamples=resamples, seed=seed)[0]


def paired_differences(
    first: npt.ArrayLike, second: npt.ArrayLike, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> list[PairedDifference]:
    """The mean difference of each column of (n, k), all columns on the same resamples of the n questions.

    p is twice the share of resamples on the far side of zero, one added above and below (so never 0): it falls under
    1 − level where the interval leaves zero out. Raises `ValueError` when there is nothing to pair.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape or a.ndim != 2 or not len(a):
        raise ValueError(f"{a.shape} values against {b.shape}")
    differences = b - a
    means = _resampled_means(differences, resamples, seed)
    tail = 100 * (1 - level) / 2
    lows, highs = np.percentile(means, [tail, 100 - tail], axis=0)
    rounding = 1e-12  # sums of thirds are not quite zero
    found = []
    for column, (low, high) in enumerate(zip(lows, highs, strict=True)):
        value, drawn = float(differences[:, column].mean()), means[:, column]
        beyond = min(int((drawn <= rounding).sum()), int((drawn >= -rounding).sum()))
        found.append(
            PairedDifference(
                first=float(a[:, column].mean()),
                second=float(b[:, column].mean()),
                difference=Estimate(
                    value=value,
                    low=min(float(low), value),
                    high=max(float(high), value),
                    n=len(a),
                    method="paired-bootstrap",
                    level=level,
                ),
                p=min(1.0, 2 * (beyond + 1) / (resamples + 1)),
            )
        )
    return found


def paired_over_seeds(
    first: Sequence[Mapping[str, float]], second: Sequence[Mapping[str, float]], **options: Any
) -> SeedDifferences:
    """Runs of two models on the same questions; each run maps question id to outcome.

    Run i of one belongs with run i of the other; a single run (a base that has no seed) is set against each of the
    other's. Options are those of `paired_difference`. Raises `NotPaired` when the questions or the numbers of runs
    differ.
    """
    runs = max(len(first), len(second))
    if not first or not second or any(len(side) not in (1, runs) for side in (first, second)):
        raise NotPaired(f"{len(first)} runs against {len(second)}: give as many of each, or one of either")
    ids = sorted(first[0])
    a, b = (_table(side, ids, runs) for side in (first, second))
    seeds = tuple(paired_difference(x, y, **options) for x, y in zip(a, b, strict=True))
    spread = float(np.std([each.difference.value for each in seeds], ddof=1)) if runs > 1 else 0.0
    return SeedDifferences(
        mean=paired_difference(a.mean(axis=0), b.mean(axis=0), **options), seeds=seeds, spread=spread
    )


def _table(side: Sequence[Mapping[str, float]], ids: list[str], runs: int) -> Floats:
    rows = [_row(run, ids) for run in side]
    return np.stack(rows * runs if len(rows) == 1 else rows)


def _row(run: Mapping[str, float], ids: list[str]) -> Floats:
    if run.keys() != set(ids):
        only_here, only_there = len(run.keys() - set(ids)), len(set(ids) - run.keys())
        raise NotPaired(
            f"the results cover different questions ({only_there} of the first's are missing, {only_here} are not "
            "among them): evaluate both on the same file, or ask for the shared questions"
        )
    return np.array([run[key] for key in ids], dtype=float)


def _resampled_means(values: Floats, resamples: int, seed: int) -> Floats:
    n = len(values)
    return np.concatenate([counts @ values / n for counts in resampled_counts(n, resamples, seed)])
