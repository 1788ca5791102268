"""Does a process reward model find the wrong steps? And how many steps of a policy are right?

The positive class is *error* and its score is 1 − PRM (METHOD.md §8). Step 0 is never judged. First-error F1 is
ProcessBench's (Zheng 2024): the harmonic mean of the share of erroneous trajectories whose first error is located
exactly and the share of error-free ones in which nothing is flagged. Everything is resampled by question.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from meds3core.errors import UserError
from meds3core.evaluation.intervals import (
    LEVEL,
    RESAMPLES,
    Booleans,
    Estimate,
    Floats,
    Integers,
    Statistic,
    cluster_bootstrap,
    clustered_share,
    numbered,
)
from meds3core.evaluation.judging import StepJudge, StepTruth, TruthKind
from meds3core.evaluation.ranking import (
    BINS,
    RocPoint,
    auroc,
    average_precision,
    bin_of,
    expected_calibration_error,
    f1,
    harmonic_shares,
    precision,
    recall,
    roc_curve,
)
from meds3core.types.record import Record
from meds3core.types.samples import QuestionSamples, QuestionScores

FLAG_BELOW = 0.5
"""The threshold where no validation set chose one."""
_CANDIDATES = 200

Scope = Literal["all", "right-answers"]


@dataclass(frozen=True)
class JudgedTrajectory:
    """A scored trajectory and the truth about it. `scores[i]` and `truths[i]` belong to step i + 1."""

    question: str
    scores: tuple[float, ...]
    truths: tuple[StepTruth, ...]
    right_answer: bool
    repeated: tuple[bool, ...] = ()
    """Steps that stand in an earlier one, too: counted there alone, but looked at to locate this one's first error."""


@dataclass(frozen=True)
class StepTable:
    """Known steps (n,) and located trajectories (m,) of one truth, as arrays."""

    scores: Floats
    wrong: Booleans
    clusters: Integers
    questions: int
    trajectories: int
    unjudged: int
    lowest: "Firsts"


@dataclass(frozen=True)
class Firsts:
    """Trajectories whose first error is known: `before` is the lowest score before it (of all where none), `at` its
    own (NaN where there is none)."""

    before: Floats
    at: Floats
    clusters: Integers


class FirstErrorFigures(Record):
    """Locating the first error. `flag_below` was chosen for this figure, apart from the steps' one."""

    flag_below: float
    erroneous: int
    error_free: int
    located: Estimate | None = Field(description="Share of erroneous trajectories with the first error found exactly")
    passed: Estimate | None = Field(description="Share of error-free trajectories in which nothing is flagged")
    f1: Estimate | None


class ReliabilityBin(Record):
    """Steps whose score lies in [low, high): what the PRM said on average, and the share that is right."""

    low: float
    high: float
    steps: int
    said: float
    right: Estimate


class StepFigures(Record):
    """A PRM against the truth about steps. None: undefined, because one of the two classes is missing."""

    truth: TruthKind
    scope: Scope
    questions: int
    trajectories: int
    steps: int
    unjudged: int = Field(description="Steps on which the judge has no verdict; left out of everything")
    wrong: Estimate | None = Field(description="Share of steps that are wrong: what chance would score as AUPRC")
    auroc: Estimate | None
    auprc: Estimate | None
    flag_below: float = Field(description="A step is flagged when its PRM score is lower")
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None
    first_error: FirstErrorFigures
    calibration_error: Estimate | None
    bins: tuple[ReliabilityBin, ...]
    roc: tuple[RocPoint, ...]


class FlagThresholds(Record):
    """Scores below which a step is flagged, for the two figures that need one."""

    steps: float = FLAG_BELOW
    first_error: float = FLAG_BELOW
    chosen_on: str = Field(default="", description="Empty: not chosen on anything, but given")


class PolicySteps(Record):
    """How good a policy's steps are, whatever its answers. A step the judge cannot read is not right."""

    judged: int = Field(description="Responses that the judge knows")
    sound: Estimate = Field(description="Share of responses whose every step and answer are right")
    right_by_luck: Estimate = Field(description="Share of responses with the right answer and a wrong step")
    steps_right: Estimate
    steps_right_given_prefix: Estimate


def judged_trajectories(
    rows: Sequence[QuestionSamples], scores: Mapping[str, QuestionScores], judge: StepJudge
) -> list[JudgedTrajectory]:
    """Samples with their scores and truths.

    Samples that the judge does not know, or that were too long for the reward model (no scores), are left out.
    Raises `UserError` when scores are missing or do not fit the samples' steps.
    """
    found = []
    for row in rows:
        given = scores.get(row.question.id)
        if given is None or len(given.scores) != len(row.samples):
            raise UserError(f"question {row.question.id}: scores do not fit its {len(row.samples)} samples")
        for number, (sample, values) in enumerate(zip(row.samples, given.scores, strict=True)):
            if not values:
                continue
            if len(values) != len(sample.bodies):
                raise UserError(
                    f"question {row.question.id}, sample {number}: {len(values)} scores for {len(sample.bodies)} steps"
                )
            truths = judge.judge(row.question, sample.bodies)
            if truths is not None:
                found.append(
                    JudgedTrajectory(row.question.id, values[1:], truths[1:], right_answer=sample.correct is True)
                )
    return found


def step_figures(
    trajectories: Sequence[JudgedTrajectory],
    truth: TruthKind,
    scope: Scope = "all",
    thresholds: FlagThresholds | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> StepFigures:
    """All figures of one truth and scope."""
    thresholds = thresholds or FlagThresholds()
    table = step_table(trajectories, truth, scope)
    scores, wrong, clusters = table.scores, table.wrong, table.clusters
    flagged = scores < thresholds.steps

    def figure(of: Callable[..., Statistic], *columns: Floats | Booleans) -> Estimate | None:
        if not len(scores):
            return None
        return cluster_bootstrap(
            of(*columns, clusters), table.questions, level=level, resamples=resamples, seed=seed, items=len(scores)
        )

    return StepFigures(
        truth=truth,
        scope=scope,
        questions=table.questions,
        trajectories=table.trajectories,
        steps=len(scores),
        unjudged=table.unjudged,
        wrong=clustered_share(wrong, clusters, level=level, resamples=resamples, seed=seed),
        auroc=figure(auroc, 1 - scores, wrong),
        auprc=figure(average_precision, 1 - scores, wrong),
        flag_below=thresholds.steps,
        precision=figure(precision, flagged, wrong),
        recall=figure(recall, flagged, wrong),
        f1=figure(f1, flagged, wrong),
        first_error=_first_error(table.lowest, thresholds.first_error, level, resamples, seed),
        calibration_error=figure(expected_calibration_error, scores, ~wrong),
        bins=tuple(_reliability(table, level, resamples, seed)),
        roc=roc_curve(1 - scores, wrong) if len(scores) else (),
    )


def choose_thresholds(
    trajectories: Sequence[JudgedTrajectory], truth: TruthKind = "given-prefix", chosen_on: str = "validation"
) -> FlagThresholds:
    """The thresholds with the best F1 on these (validation) trajectories; the lower one where several are equal.

    Where a figure is undefined (no errors at all) its threshold stays `FLAG_BELOW`.
    """
    table = step_table(trajectories, truth, "all")
    if not len(table.scores):
        return FlagThresholds(chosen_on=chosen_on)
    everything = np.unique(table.scores)
    if len(everything) > _CANDIDATES:
        everything = np.unique(np.quantile(everything, np.linspace(0, 1, _CANDIDATES)))
    candidates = np.concatenate([(everything[1:] + everything[:-1]) / 2, [everything[-1] + 1e-9]])
    one = np.ones((1, table.questions))
    by_step = [float(f1(table.scores < cut, table.wrong, table.clusters)(one)[0]) for cut in candidates]
    by_first = [_first_f1(table.lowest, cut) for cut in candidates]
    return FlagThresholds(
        steps=_best(candidates, by_step), first_error=_best(candidates, by_first), chosen_on=chosen_on
    )


def policy_steps(
    rows: Sequence[QuestionSamples],
    judge: StepJudge,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PolicySteps | None:
    """Of a policy's responses; None when the judge knows none of them."""
    sound, lucky, owners = [], [], []
    right, given_prefix, step_owners = [], [], []
    for row in rows:
        for sample in row.samples:
            truths = judge.judge(row.question, sample.bodies)
            if truths is None:
                continue
            all_right = all(truth.right_absolutely is True for truth in truths)
            owners.append(row.question.id)
            sound.append(all_right and sample.correct is True)
            lucky.append(not all_right and sample.correct is True)
            for step in truths[1:]:
                right.append(step.right_absolutely is True)
                given_prefix.append(step.right_given_prefix is True)
                step_owners.append(row.question.id)

    def share(outcomes: list[bool], of: list[str]) -> Estimate:
        found = clustered_share(outcomes, of, level=level, resamples=resamples, seed=seed)
        assert found is not None
        return found

    if not owners or not step_owners:
        return None
    return PolicySteps(
        judged=len(owners),
        sound=share(sound, owners),
        right_by_luck=share(lucky, owners),
        steps_right=share(right, step_owners),
        steps_right_given_prefix=share(given_prefix, step_owners),
    )


def step_table(trajectories: Iterable[JudgedTrajectory], truth: TruthKind, scope: Scope) -> StepTable:
    """What all figures of one truth and scope are computed from."""
    scores: list[float] = []
    wrong: list[bool] = []
    owners: list[str] = []
    firsts: list[tuple[float, float, str]] = []
    count = unjudged = 0
    for trajectory in trajectories:
        if scope == "right-answers" and not trajectory.right_answer:
            continue
        count += 1
        lowest, settled, known = np.inf, False, True
        repeated = trajectory.repeated or (False,) * len(trajectory.scores)
        for score, verdict, again in zip(trajectory.scores, trajectory.truths, repeated, strict=True):
            right = verdict.right(truth)
            if right is None:
                unjudged += not again
                known = known and settled  # what lies after the first error does not matter for locating it
                continue
            if not again:
                scores.append(score)
                wrong.append(not right)
                owners.append(trajectory.question)
            if settled:
                continue
            if right:
                lowest = min(lowest, score)
            elif known:
                firsts.append((lowest, score, trajectory.question))
                settled = True
        if known and not settled and trajectory.scores:
            firsts.append((lowest, np.nan, trajectory.question))
    names = {name: number for number, name in enumerate(dict.fromkeys(owners))}
    return StepTable(
        scores=np.array(scores, dtype=float),
        wrong=np.array(wrong, dtype=bool),
        clusters=np.array([names[owner] for owner in owners], dtype=np.int64),
        questions=len(names),
        trajectories=count,
        unjudged=unjudged,
        lowest=Firsts(
            before=np.array([first[0] for first in firsts], dtype=float),
            at=np.array([first[1] for first in firsts], dtype=float),
            clusters=np.array([names[first[2]] for first in firsts], dtype=np.int64),
        ),
    )


def _reliability(table: StepTable, level: float, resamples: int, seed: int) -> Iterator[ReliabilityBin]:
    """What lies behind the calibration error; empty bins are left out."""
    which = bin_of(table.scores)
    for number in range(BINS):
        inside = which == number
        right = clustered_share(
            ~table.wrong[inside], table.clusters[inside], level=level, resamples=resamples, seed=seed
        )
        if right is not None:
            yield ReliabilityBin(
                low=number / BINS,
                high=(number + 1) / BINS,
                steps=int(inside.sum()),
                said=float(table.scores[inside].mean()),
                right=right,
            )


def located_firsts(firsts: Firsts, flag_below: float) -> tuple[Booleans, Booleans, Booleans]:
    """Per trajectory: has it an error, was its first error the first to be flagged, was nothing flagged in it."""
    erroneous = ~np.isnan(firsts.at)
    clean_so_far = firsts.before >= flag_below
    return erroneous, clean_so_far & (firsts.at < flag_below), clean_so_far


def _first_error(firsts: Firsts, flag_below: float, level: float, resamples: int, seed: int) -> FirstErrorFigures:
    erroneous, located, passed = located_firsts(firsts, flag_below)
    clusters, count = numbered(firsts.clusters)

    def share(hits: Booleans, among: Booleans) -> Estimate | None:
        return clustered_share(hits[among], firsts.clusters[among], level=level, resamples=resamples, seed=seed)

    return FirstErrorFigures(
        flag_below=flag_below,
        erroneous=int(erroneous.sum()),
        error_free=int((~erroneous).sum()),
        located=share(located, erroneous),
        passed=share(passed, ~erroneous),
        f1=cluster_bootstrap(
            harmonic_shares(located, erroneous, passed, ~erroneous, clusters),
            count,
            level=level,
            resamples=resamples,
            seed=seed,
        ),
    )


def _first_f1(firsts: Firsts, flag_below: float) -> float:
    erroneous, located, passed = located_firsts(firsts, flag_below)
    if not len(erroneous):
        return float("nan")
    clusters, count = numbered(firsts.clusters)
    return float(harmonic_shares(located, erroneous, passed, ~erroneous, clusters)(np.ones((1, count)))[0])


def _best(candidates: Floats, figures: Sequence[float]) -> float:
    values = np.array(figures)
    return FLAG_BELOW if np.isnan(values).all() else float(candidates[int(np.nanargmax(values))])
