"""A stage that measures one reward model: the samples of each policy scored, a strategy chosen on validation questions,
errors looked for in the steps. It keeps what pairing over seeds and models needs: outcomes by question, and the areas
under the curve of every resample, which are those of the same questions for every model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import Field

from meds3core.config.decoding import ScorerConfig
from meds3core.data.write import atomic_text
from meds3core.decoding.curves import PASS, CurvePoint, compute_curves
from meds3core.decoding.samples import SampleSet, read_samples
from meds3core.decoding.scores import ScoreSet, score_samples
from meds3core.evaluation.intervals import Floats, resampled_counts
from meds3core.evaluation.judging import ClinicJudge, RememberedJudge, StepJudge, TruthKind
from meds3core.evaluation.ranking import auroc
from meds3core.evaluation.steps import (
    FlagThresholds,
    JudgedTrajectory,
    Scope,
    StepFigures,
    choose_thresholds,
    judged_trajectories,
    step_figures,
)
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.prm.loading import load_scorer
from meds3core.progress import ProgressEvent, ProgressSink
from meds3core.types.record import Record
from meds3core.types.samples import QuestionScores

FIGURES = "figures.json"
CONSENSUS = "self-consistency"
TRUTHS: tuple[TruthKind, ...] = ("absolute", "given-prefix")
SCOPES: tuple[Scope, ...] = ("all", "right-answers")
_DIGITS = 6


class RewardStage(Record):
    """Inputs: `model`, a PRM's folder; `samples` and `validation`, sample sets of each policy in turn.

    Makes `figures.json`, and the scores beside it.
    """

    policies: tuple[str, ...] = Field(min_length=1)
    limit: int | None = Field(default=None, ge=1, description="Only the first held-out questions")
    ns: tuple[int, ...] = (2, 4, 8, 16)
    scorer: ScorerConfig = ScorerConfig()
    resamples: int = Field(default=1000, ge=100)
    seed: int = 0


REWARD = StageKind(
    "reward", 1, RewardStage, f"{__name__}:run", ("meds3core.prm.scorer", "scipy.stats"), seconds_per_unit=0.004
)


class Choice(Record):
    """The PRM strategy that did best on the validation questions with all samples; and self-consistency there."""

    strategy: str
    aggregator: str
    accuracy: float
    consensus: float


class Area(Record):
    """Area under the ROC curve for finding wrong steps. None: one of the two classes is missing."""

    truth: TruthKind
    scope: Scope
    value: float | None
    draws: tuple[float, ...] = Field(default=(), description="By resample of the questions")


class AtN(Record):
    """Expected correctness with n samples, question by question."""

    n: int
    chosen: tuple[float, ...]
    consensus: tuple[float, ...]
    oracle: float = Field(description="Share of questions with a right answer among the n, on average")


class PolicyReward(Record):
    """A reward model on one policy's samples."""

    policy: str
    choice: Choice
    validation_area: float | None = Field(description="Wrong steps of validation samples, absolutely, all answers")
    question_ids: tuple[str, ...]
    by_n: tuple[AtN, ...]
    areas: tuple[Area, ...]
    thresholds: FlagThresholds
    found: StepFigures = Field(description="With these thresholds: absolutely, all answers; no curve")

    def area(self, truth: TruthKind, scope: Scope) -> Area:
        """One of the four."""
        return next(each for each in self.areas if (each.truth, each.scope) == (truth, scope))

    def at(self, n: int) -> AtN:
        """One of the numbers of samples."""
        return next(each for each in self.by_n if each.n == n)


class RewardFigures(Record):
    """What the stage writes."""

    policies: tuple[PolicyReward, ...]

    def of(self, policy: str) -> PolicyReward:
        """One policy's."""
        return next(each for each in self.policies if each.policy == policy)


@dataclass
class _Offset:
    """Several scorings as one piece of progress."""

    sink: ProgressSink
    total: int
    before: int = 0

    def emit(self, event: ProgressEvent) -> None:
        done = None if event.done is None else self.before + event.done
        self.sink.emit(event.model_copy(update={"done": done, "total": self.total}))


def run(settings: RewardStage, job: StageJob) -> dict[str, Any]:
    """Score and measure."""
    sets = {
        policy: (first_questions(read_samples(test), settings.limit), read_samples(validation))
        for policy, test, validation in zip(
            settings.policies, job.paths("samples"), job.paths("validation"), strict=True
        )
    }
    scorer = load_scorer(job.path("model"), settings.scorer)
    sink = _Offset(job.sink, sum(len(each.rows) for pair in sets.values() for each in pair))
    scores: dict[str, list[ScoreSet]] = {}
    try:
        for policy, pair in sets.items():
            for role, samples in zip(("samples", "validation"), pair, strict=True):
                folder = job.folder / f"{policy}-{role}"
                scores.setdefault(policy, []).append(
                    score_samples(samples, scorer, folder, sink=sink, cancel=job.cancel)
                )
                sink.before += len(samples.rows)
    finally:
        scorer.close()
    figures = RewardFigures(
        policies=tuple(
            policy_reward(policy, sets[policy], scores[policy], ClinicJudge(), settings) for policy in settings.policies
        )
    )
    with atomic_text(job.folder / FIGURES) as file:
        file.write(figures.model_dump_json() + "\n")
    return {each.policy: f"{each.choice.strategy} {each.choice.aggregator}" for each in figures.policies}


def first_questions(samples: SampleSet, limit: int | None) -> SampleSet:
    """The first questions of a set, under a hash of their own."""
    if limit is None or limit >= len(samples.rows):
        return samples
    return replace(samples, rows=samples.rows[:limit], content_hash=f"{samples.content_hash}[:{limit}]")


def policy_reward(
    policy: str,
    sets: Sequence[SampleSet],
    scores: Sequence[ScoreSet],
    judge: StepJudge,
    settings: RewardStage,
) -> PolicyReward:
    """The figures of one policy; `sets` and `scores` are those of held-out and of validation questions."""
    (test, validation), (test_scores, validation_scores) = sets, scores
    remembered = RememberedJudge(judge)
    choice = choose(validation, validation_scores)
    judged = judged_trajectories(test.rows, _by_id(test_scores), remembered)
    checked = judged_trajectories(validation.rows, _by_id(validation_scores), remembered)
    places = {row.question.id: place for place, row in enumerate(test.rows)}
    thresholds = choose_thresholds(checked, "absolute", f"{len(validation.rows)} validation questions")
    found = step_figures(judged, "absolute", "all", thresholds, resamples=settings.resamples, seed=settings.seed)
    areas = tuple(
        _area(judged, places, truth, scope, settings.resamples, settings.seed) for truth in TRUTHS for scope in SCOPES
    )
    own_places = {row.question.id: place for place, row in enumerate(validation.rows)}
    return PolicyReward(
        policy=policy,
        choice=choice,
        validation_area=_area(checked, own_places, "absolute", "all", 0, 0).value,
        question_ids=tuple(places),
        by_n=_by_n(test, test_scores, choice, settings.ns),
        areas=areas,
        thresholds=thresholds,
        found=found.model_copy(update={"roc": (), "bins": ()}),
    )


def choose(samples: SampleSet, scores: ScoreSet) -> Choice:
    """The PRM strategy and aggregator with the most right answers from all samples; the first of equals."""
    total = samples.source.n
    points = compute_curves(samples, prm=scores, ns=[total]).points
    best = max((point for point in points if point.aggregator is not None), key=lambda point: point.accuracy)
    consensus = next(point for point in points if point.strategy == CONSENSUS)
    assert best.aggregator is not None
    return Choice(
        strategy=best.strategy,
        aggregator=best.aggregator,
        accuracy=best.accuracy,
        consensus=consensus.accuracy,
    )


def _by_n(samples: SampleSet, scores: ScoreSet, choice: Choice, ns: Sequence[int]) -> tuple[AtN, ...]:
    curves = compute_curves(
        samples,
        prm=scores,
        ns=ns,
        strategies=[choice.strategy, CONSENSUS, PASS],
        aggregators=[choice.aggregator],
    )
    return tuple(
        AtN(
            n=n,
            chosen=_rounded(curves.point(choice.strategy, n, choice.aggregator)),
            consensus=_rounded(curves.point(CONSENSUS, n)),
            oracle=curves.point(PASS, n).accuracy,
        )
        for n in ns
    )


def _area(
    judged: Sequence[JudgedTrajectory],
    places: Mapping[str, int],
    truth: TruthKind,
    scope: Scope,
    resamples: int,
    seed: int,
) -> Area:
    scores, wrong, owners = [], [], []
    for one in judged:
        if scope == "right-answers" and not one.right_answer:
            continue
        for score, verdict in zip(one.scores, one.truths, strict=True):
            right = verdict.right(truth)
            if right is not None:
                scores.append(score)
                wrong.append(not right)
                owners.append(places[one.question])
    if not any(wrong) or all(wrong):
        return Area(truth=truth, scope=scope, value=None)
    statistic = auroc(1 - np.array(scores), np.array(wrong), np.array(owners, dtype=np.int64))
    count = max(owners) + 1
    value = float(statistic(np.ones((1, count)))[0])
    # All questions are drawn, whether or not they have steps here: then draw i is the same draw for every model.
    drawn: list[Floats] = [statistic(block[:, :count]) for block in resampled_counts(len(places), resamples, seed)]
    draws = np.concatenate(drawn) if drawn else np.zeros(0)
    return Area(
        truth=truth,
        scope=scope,
        value=value,
        draws=tuple(round(float(value if np.isnan(one) else one), _DIGITS) for one in draws),
    )


def _by_id(scores: ScoreSet) -> dict[str, QuestionScores]:
    return {row.question_id: row for row in scores.rows}


def _rounded(point: CurvePoint) -> tuple[float, ...]:
    return tuple(round(value, _DIGITS) for value in point.correct)
