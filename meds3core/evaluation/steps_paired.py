"""Does one reward model find wrong steps better than another? On the same trajectories, question by question.

Every figure is computed for both on the same resamples of questions, so that their difference has an interval of its
own, which is narrower than what two separate intervals tell. Several trainings of either model (seeds) are averaged
within each resample.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from meds3core.evaluation.intervals import LEVEL, Estimate, Floats, Statistic, numbered, resampled_counts
from meds3core.evaluation.judging import TruthKind
from meds3core.evaluation.paired import RESAMPLES, NotPaired, PairedDifference
from meds3core.evaluation.ranking import auroc, average_precision, f1, harmonic_shares
from meds3core.evaluation.steps import (
    Firsts,
    FlagThresholds,
    JudgedTrajectory,
    Scope,
    StepTable,
    located_firsts,
    step_table,
)
from meds3core.types.record import Record

Runs = Sequence[Sequence[JudgedTrajectory]]
"""The same trajectories as each of several trainings scored them."""


class PairedSteps(Record):
    """Second minus first. None: undefined, because one of the two classes is missing."""

    truth: TruthKind
    scope: Scope
    questions: int
    trajectories: int
    steps: int
    wrong: float = Field(description="Share of the steps that are wrong")
    f1: PairedDifference | None
    auroc: PairedDifference | None
    auprc: PairedDifference | None
    first_error_f1: PairedDifference | None


@dataclass(frozen=True, eq=False)
class StepSide:
    """One model's figures, averaged over its trainings, on all resamples: what comparisons with others are made of."""

    truth: TruthKind
    scope: Scope
    table: StepTable
    known: list[tuple[object, ...]]
    """What every side must have in common."""
    values: Mapping[str, Floats | None]
    """By figure (1 + resamples,), the first with every question once. None: there is nothing to compute it of."""


def step_side(
    runs: Runs,
    truth: TruthKind = "given-prefix",
    scope: Scope = "all",
    thresholds: Sequence[FlagThresholds] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> StepSide:
    """One side. `thresholds`: of each run. Raises `NotPaired` where the runs' trajectories or truths differ."""
    if not runs or not runs[0]:
        raise NotPaired("there is nothing to compare: no trajectory that both models scored")
    cuts = list(thresholds) if thresholds else [FlagThresholds()] * len(runs)
    if len(cuts) != len(runs):
        raise NotPaired(f"{len(cuts)} thresholds for {len(runs)} trainings")
    known = [_known(run) for run in runs]
    if any(each != known[0] for each in known[1:]):
        raise NotPaired(_OTHERS)
    tables = [step_table(run, truth, scope) for run in runs]
    table = tables[0]

    def figure(of: Callable[[StepTable, FlagThresholds], Statistic], questions: int) -> Floats | None:
        if not questions:
            return None
        statistics = [of(each, cut) for each, cut in zip(tables, cuts, strict=True)]
        blocks = resampled_counts(questions, resamples, seed, columns=len(table.scores))
        return np.concatenate([_mean(statistics, drawn) for drawn in (np.ones((1, questions)), *blocks)])

    located = numbered(table.lowest.clusters)[1] if len(table.lowest.clusters) else 0
    return StepSide(
        truth,
        scope,
        table,
        known[0],
        {
            "f1": figure(lambda each, cut: f1(each.scores < cut.steps, each.wrong, each.clusters), table.questions),
            "auroc": figure(lambda each, _: auroc(1 - each.scores, each.wrong, each.clusters), table.questions),
            "auprc": figure(
                lambda each, _: average_precision(1 - each.scores, each.wrong, each.clusters), table.questions
            ),
            "first_error_f1": figure(lambda each, cut: _first(each.lowest, cut.first_error), located),
        },
    )


def paired_sides(first: StepSide, second: StepSide, *, level: float = LEVEL) -> PairedSteps:
    """All figures of two sides of one truth and scope, made with the same resamples and seed.

    Raises `NotPaired` where the trajectories or the truths about them differ.
    """
    if (first.truth, first.scope, first.known) != (second.truth, second.scope, second.known):
        raise NotPaired(_OTHERS)
    table = first.table
    return PairedSteps(
        truth=first.truth,
        scope=first.scope,
        questions=table.questions,
        trajectories=table.trajectories,
        steps=len(table.scores),
        wrong=float(table.wrong.mean()) if len(table.wrong) else 0.0,
        **{name: _difference(first, second, name, level) for name in first.values},
    )


def paired_steps(
    first: Runs,
    second: Runs,
    truth: TruthKind = "given-prefix",
    scope: Scope = "all",
    thresholds: tuple[Sequence[FlagThresholds], Sequence[FlagThresholds]] | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedSteps:
    """All figures of both sides. `thresholds`: of each run of either side.

    Raises `NotPaired` where the trajectories or the truths about them differ.
    """
    cuts = thresholds or (None, None)
    sides = [
        step_side(runs, truth, scope, cut, resamples=resamples, seed=seed)
        for runs, cut in zip((first, second), cuts, strict=True)
    ]
    return paired_sides(sides[0], sides[1], level=level)


_OTHERS = "the models scored different trajectories: score both on the same ones"


def _known(run: Sequence[JudgedTrajectory]) -> list[tuple[object, ...]]:
    return [(each.question, each.truths, each.right_answer) for each in run]


def _first(firsts: Firsts, cut: float) -> Statistic:
    erroneous, located, passed = located_firsts(firsts, cut)
    return harmonic_shares(located, erroneous, passed, ~erroneous, numbered(firsts.clusters)[0])


def _mean(statistics: Sequence[Statistic], drawn: Floats) -> Floats:
    return np.asarray(np.mean([each(drawn) for each in statistics], axis=0))


def _difference(first: StepSide, second: StepSide, name: str, level: float) -> PairedDifference | None:
    one, other = first.values[name], second.values[name]
    if one is None or other is None:
        return None
    if len(one) != len(other):
        raise NotPaired(f"{len(one) - 1:,} resamples against {len(other) - 1:,}")
    before, after = float(one[0]), float(other[0])
    if np.isnan(before) or np.isnan(after):
        return None
    values = other[1:] - one[1:]
    resamples = len(values)
    values = values[~np.isnan(values)]
    if len(values) <= resamples / 2:
        return None
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    rounding, value = 1e-12, after - before
    beyond = min(int((values <= rounding).sum()), int((values >= -rounding).sum()))
    located = first.table.lowest.clusters
    return PairedDifference(
        first=before,
        second=after,
        difference=Estimate(
            value=value,
            low=min(float(low), value),
            high=max(float(high), value),
            n=numbered(located)[1] if name == "first_error_f1" else first.table.questions,
            method="paired-bootstrap",
            level=level,
        ),
        p=min(1.0, 2 * (beyond + 1) / (len(values) + 1)),
    )
