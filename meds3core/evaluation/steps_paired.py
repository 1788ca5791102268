"""Does one reward model find wrong steps better than another? On the same trajectories, question by question.

Every figure is computed for both on the same resamples of questions, so that their difference has an interval of its
own, which is narrower than what two separate intervals tell. Several trainings of either model (seeds) are averaged
within each resample.
"""

from collections.abc import Callable, Sequence

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
    runs = [*first, *second]
    if not first or not second or not runs[0]:
        raise NotPaired("there is nothing to compare: no trajectory that both models scored")
    _check_same(runs)
    cuts = [*thresholds[0], *thresholds[1]] if thresholds else [FlagThresholds()] * len(runs)
    if len(cuts) != len(runs):
        raise NotPaired(f"{len(cuts)} thresholds for {len(runs)} trainings")
    tables = [step_table(run, truth, scope) for run in runs]
    table, half = tables[0], len(first)

    def figure(of: Callable[[StepTable, FlagThresholds], Statistic], questions: int) -> PairedDifference | None:
        if not questions:
            return None
        statistics = [of(each, cut) for each, cut in zip(tables, cuts, strict=True)]
        sides = (_mean(statistics[:half]), _mean(statistics[half:]))
        return _difference(sides, questions, len(table.scores), level, resamples, seed)

    located = numbered(table.lowest.clusters)[1] if len(table.lowest.clusters) else 0
    return PairedSteps(
        truth=truth,
        scope=scope,
        questions=table.questions,
        trajectories=table.trajectories,
        steps=len(table.scores),
        wrong=float(table.wrong.mean()) if len(table.wrong) else 0.0,
        f1=figure(lambda each, cut: f1(each.scores < cut.steps, each.wrong, each.clusters), table.questions),
        auroc=figure(lambda each, _: auroc(1 - each.scores, each.wrong, each.clusters), table.questions),
        auprc=figure(lambda each, _: average_precision(1 - each.scores, each.wrong, each.clusters), table.questions),
        first_error_f1=figure(lambda each, cut: _first(each.lowest, cut.first_error), located),
    )


def _check_same(runs: Runs) -> None:
    known = [(each.question, each.truths, each.right_answer) for each in runs[0]]
    for run in runs[1:]:
        if [(each.question, each.truths, each.right_answer) for each in run] != known:
            raise NotPaired("the models scored different trajectories: score both on the same ones")


def _first(firsts: Firsts, cut: float) -> Statistic:
    erroneous, located, passed = located_firsts(firsts, cut)
    return harmonic_shares(located, erroneous, passed, ~erroneous, numbered(firsts.clusters)[0])


def _mean(statistics: Sequence[Statistic]) -> Statistic:
    return lambda drawn: np.asarray(np.mean([each(drawn) for each in statistics], axis=0))


def _difference(
    sides: tuple[Statistic, Statistic], questions: int, items: int, level: float, resamples: int, seed: int
) -> PairedDifference | None:
    whole = np.ones((1, questions))
    before, after = (float(side(whole)[0]) for side in sides)
    if np.isnan(before) or np.isnan(after):
        return None
    drawn: list[Floats] = [
        sides[1](block) - sides[0](block) for block in resampled_counts(questions, resamples, seed, columns=items)
    ]
    values = np.concatenate(drawn)
    values = values[~np.isnan(values)]
    if len(values) <= resamples / 2:
        return None
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    rounding, value = 1e-12, after - before
    beyond = min(int((values <= rounding).sum()), int((values >= -rounding).sum()))
    return PairedDifference(
        first=before,
        second=after,
        difference=Estimate(
            value=value,
            low=min(float(low), value),
            high=max(float(high), value),
            n=questions,
            method="paired-bootstrap",
            level=level,
        ),
        p=min(1.0, 2 * (beyond + 1) / (len(values) + 1)),
    )
