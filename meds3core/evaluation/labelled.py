"""A reward model against labelled steps (ProcessBench, PRM800K, people's own): no policy, no samples, no rule."""

from collections.abc import Iterable, Sequence
from typing import Unpack

from meds3core.errors import ContextOverflow, UserError
from meds3core.evaluation.intervals import LEVEL, RESAMPLES, Resampling
from meds3core.evaluation.judging import LabelJudge
from meds3core.evaluation.record import JudgedSteps
from meds3core.evaluation.steps import FlagThresholds, JudgedTrajectory, Scope, StepFigures, step_figures
from meds3core.labels.prefix import prefix_hashes
from meds3core.prm.base import ScoreItem, TrajectoryScorer
from meds3core.types.labels import LabelledTrajectory

_AT_ONCE = 64
_SCOPES: tuple[Scope, ...] = ("all", "right-answers")


def score_labelled(
    trajectories: Sequence[LabelledTrajectory], scorer: TrajectoryScorer, *, threshold: float = 0.5
) -> list[JudgedTrajectory]:
    """Every labelled trajectory with its scores and truths; what is too long for the model is left out.

    A label of at least `threshold` calls its step right. Raises `UserError` for an outcome reward model.
    """
    return score_together(trajectories, [scorer], threshold=threshold)[0]


def score_together(
    trajectories: Sequence[LabelledTrajectory], scorers: Sequence[TrajectoryScorer], *, threshold: float = 0.5
) -> list[list[JudgedTrajectory]]:
    """The same as each of several reward models scores them; what is too long for one of them is left out of all.

    A step that several trajectories share is counted once, and questions of equal text are one.
    """
    given = [step_scores(trajectories, scorer) for scorer in scorers]
    judge = LabelJudge(trajectories, threshold)
    found: list[list[JudgedTrajectory]] = [[] for _ in scorers]
    counted: set[str] = set()
    for trajectory, scores in zip(trajectories, zip(*given, strict=True), strict=True):
        truths = judge.judge(trajectory.question, trajectory.bodies)
        if truths is not None and all(scores):
            names = list(prefix_hashes(trajectory.question, trajectory.bodies))[1:]
            repeated = tuple(name in counted for name in names)
            counted.update(names)
            name, right = trajectory.question.text_hash, trajectory.correct is True
            for own, values in zip(found, scores, strict=True):
                own.append(JudgedTrajectory(name, values[1:], truths[1:], right, repeated))
    return found


def judged_steps(
    name: str,
    content_hash: str,
    trajectories: Sequence[LabelledTrajectory],
    scorer: TrajectoryScorer,
    thresholds: FlagThresholds | None = None,
    **options: Unpack[Resampling],
) -> JudgedSteps:
    """A reward model on a label set, for an evaluation's record."""
    judged = score_labelled(trajectories, scorer)
    return JudgedSteps(
        name=name,
        content_hash=content_hash,
        trajectories=len(judged),
        too_long=len(trajectories) - len(judged),
        steps=labelled_figures(judged, thresholds, **options) if judged else (),
    )


def labelled_figures(
    judged: Sequence[JudgedTrajectory],
    thresholds: FlagThresholds | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[StepFigures, ...]:
    """Over all trajectories, and over those whose final answer is right. Labels say whether a step adds an error."""
    return tuple(
        step_figures(judged, "given-prefix", scope, thresholds, level=level, resamples=resamples, seed=seed)
        for scope in _SCOPES
    )


def step_scores(trajectories: Sequence[LabelledTrajectory], scorer: TrajectoryScorer) -> list[tuple[float, ...]]:
    """A score per body, step 0's first, of each trajectory; none of one that is too long for the model.

    Raises `UserError` for an outcome reward model.
    """
    if scorer.info.kind != "prm":
        raise UserError(f"{scorer.info.model} gives one score a trajectory: steps need a process reward model")
    found: list[tuple[float, ...]] = []
    for start in range(0, len(trajectories), _AT_ONCE):
        found.extend(_score(trajectories[start : start + _AT_ONCE], scorer))
    return found


def _score(block: Sequence[LabelledTrajectory], scorer: TrajectoryScorer) -> Iterable[tuple[float, ...]]:
    items = [ScoreItem(trajectory.question, trajectory.bodies) for trajectory in block]
    try:
        return [scores.values for scores in scorer.score(items)]
    except ContextOverflow:
        return [_one(item, scorer) for item in items]


def _one(item: ScoreItem, scorer: TrajectoryScorer) -> tuple[float, ...]:
    try:
        return scorer.score([item])[0].values
    except ContextOverflow:
        return ()
