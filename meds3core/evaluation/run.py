"""From samples and scores to an evaluation: METHOD.md §8 in order, nothing drawn, no model loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from meds3core.config.evaluation import EvaluationConfig
from meds3core.decoding.samples import SampleSet, shapes_of
from meds3core.decoding.scores import ScoreSet
from meds3core.decoding.strategies import OUTCOME, sample_score
from meds3core.errors import ConfigError
from meds3core.evaluation.accuracy import accuracy_figures, check_gold
from meds3core.evaluation.comparability import basis_of, pair
from meds3core.evaluation.faithfulness import FaithfulnessFigures
from meds3core.evaluation.intervals import Estimate, Resampling, cluster_bootstrap
from meds3core.evaluation.judging import RememberedJudge, StepJudge, TruthKind
from meds3core.evaluation.ranking import auroc
from meds3core.evaluation.record import Evaluation, QuestionRow, Response, ScorerFigures, StoredEvaluation
from meds3core.evaluation.robustness import TransformFigures
from meds3core.evaluation.selection import Candidates, require_disjoint, select
from meds3core.evaluation.stages import right_by_question
from meds3core.evaluation.steps import (
    FlagThresholds,
    Scope,
    choose_thresholds,
    judged_trajectories,
    policy_steps,
    step_figures,
)
from meds3core.prm import aggregate
from meds3core.types.question import Question
from meds3core.types.samples import QuestionSamples, QuestionScores, Sample, SampleSource

_TRUTHS: tuple[TruthKind, ...] = ("given-prefix", "absolute")
_SCOPES: tuple[Scope, ...] = ("all", "right-answers")
_DIGITS = 6


@dataclass(frozen=True)
class Validation:
    """Samples and scores of other questions, on which strategy and thresholds are chosen. Same names of scores."""

    samples: SampleSet
    scores: Mapping[str, ScoreSet] = field(default_factory=dict)


@dataclass(frozen=True)
class Probes:
    """What the robustness and faithfulness probes found."""

    robustness: tuple[TransformFigures, ...] = ()
    faithfulness: FaithfulnessFigures | None = None


def evaluate(
    greedy: SampleSet | None,
    samples: SampleSet | None,
    scores: Mapping[str, ScoreSet] | None = None,
    judge: StepJudge | None = None,
    validation: Validation | None = None,
    config: EvaluationConfig | None = None,
    *,
    probes: Probes | None = None,
) -> StoredEvaluation:
    """All figures that these inputs allow.

    `greedy`: one answer per question at temperature 0. `samples`: several, of the same questions or of some of them.
    `scores`: of the samples, by the name the report shall use. Raises `ConfigError` where the sets do not belong
    together, `NoGold` without gold answers, `NotComparable` when greedy answers and samples used different prompts.
    """
    scores, config, probes = scores or {}, config or EvaluationConfig(), probes or Probes()
    judge = RememberedJudge(judge) if judge is not None else None
    source = _check(greedy, samples, scores, validation)
    options = Resampling(level=config.level, resamples=config.resamples, seed=config.seed)
    test = validating = selection = None
    if samples is not None:
        test = Candidates(samples, scores, config)
        if validation is not None:
            validating = Candidates(validation.samples, validation.scores, config)
        selection = select(test, validating, config, right_by_question(greedy.rows) if greedy else None)
    rows = _rows(greedy, samples, scores, judge, test)
    failed = {failure.id for given in (greedy, samples) if given is not None for failure in given.failures}
    questions = [row.question for row in rows]
    evaluation = Evaluation(
        policy=source.policy,
        policy_hash=source.policy_hash,
        prompt=source.prompt,
        prompt_hash=source.prompt_hash,
        questions=len(rows),
        failed=tuple(sorted(failed)),
        shapes=shapes_of(questions),
        greedy_source=greedy.source if greedy else None,
        sample_source=samples.source if samples else None,
        judge=judge.name if judge else "",
        config=config,
        greedy=accuracy_figures(greedy.rows, **options) if greedy else None,
        sampled=accuracy_figures(samples.rows, **options) if samples else None,
        greedy_steps=policy_steps(greedy.rows, judge, **options) if greedy and judge else None,
        sampled_steps=policy_steps(samples.rows, judge, **options) if samples and judge else None,
        scorers={
            name: _scorer(samples, given, judge, validation, name, config)
            for name, given in scores.items()
            if samples is not None
        },
        selection=selection,
        grid=test.figures if test else (),
        robustness=probes.robustness,
        faithfulness=probes.faithfulness,
        notes=tuple(_notes(greedy, samples, failed, validation, judge)),
    )
    return StoredEvaluation(evaluation, rows)


def _check(
    greedy: SampleSet | None,
    samples: SampleSet | None,
    scores: Mapping[str, ScoreSet],
    validation: Validation | None,
) -> SampleSource:
    """Refuse what does not belong together; the source that names the policy."""
    if greedy is None and samples is None:
        raise ConfigError("there is nothing to evaluate: give greedy answers, samples, or both")
    for given in (greedy, samples):
        if given is not None:
            check_gold(given.rows)
    if greedy is not None and greedy.source.temperature > 0:
        raise ConfigError(f"the greedy answers were drawn at temperature {greedy.source.temperature}, not 0")
    if greedy is not None and samples is not None:
        if greedy.source.policy_hash != samples.source.policy_hash:
            raise ConfigError(
                f"the greedy answers are of policy {greedy.source.policy} ({greedy.source.policy_hash[:8]}), the "
                f"samples of {samples.source.policy} ({samples.source.policy_hash[:8]}): draw both from one"
            )
        pair(
            basis_of(greedy.source, [row.question for row in greedy.rows]),
            basis_of(samples.source, [row.question for row in samples.rows]),
            shared=True,
        )
    if scores and samples is None:
        raise ConfigError("scores were given without the samples that they are of")
    if samples is not None and validation is not None:
        require_disjoint(samples, validation.samples)
        if validation.scores.keys() != scores.keys():
            raise ConfigError("the validation samples need scores by the same reward models as the test samples")
        for name, given_scores in validation.scores.items():
            if given_scores.source.model_hash != scores[name].source.model_hash:
                raise ConfigError(f"scores {name!r} of the validation samples are another model's")
        if validation.samples.source.policy_hash != samples.source.policy_hash:
            raise ConfigError("the validation samples are another policy's: draw them from the one evaluated")
    chosen = greedy or samples
    assert chosen is not None
    return chosen.source


def _rows(
    greedy: SampleSet | None,
    samples: SampleSet | None,
    scores: Mapping[str, ScoreSet],
    judge: StepJudge | None,
    test: Candidates | None,
) -> tuple[QuestionRow, ...]:
    """A row for each question of either set, the greedy set's order first."""
    questions: dict[str, Question] = {}
    for given in (greedy, samples):
        for row in given.rows if given else ():
            assert isinstance(row.question, Question)
            if questions.setdefault(row.question.id, row.question).content_hash != row.question.content_hash:
                raise ConfigError(f"question {row.question.id} differs between greedy answers and samples")
    first = {row.question.id: row.samples[0] for row in greedy.rows} if greedy else {}
    drawn = {row.question.id: row.samples for row in samples.rows} if samples else {}
    scored = {name: {row.question_id: row.scores for row in given.rows} for name, given in scores.items()}
    columns: dict[str, dict[str, float]] = {identity: {} for identity in questions}
    for key, point in test.points.items() if test else ():
        for identity, value in zip(test.question_ids if test else (), point.correct, strict=True):
            columns[identity][key.label] = round(value, _DIGITS)
    return tuple(
        QuestionRow(
            question=question,
            greedy=_response(question, first[identity], {}, judge) if identity in first else None,
            samples=tuple(
                _response(question, sample, {name: by_id[identity][number] for name, by_id in scored.items()}, judge)
                for number, sample in enumerate(drawn.get(identity, ()))
            ),
            strategies=columns[identity],
        )
        for identity, question in questions.items()
    )


def _response(
    question: Question, sample: Sample, scores: Mapping[str, Sequence[float]], judge: StepJudge | None
) -> Response:
    truths = judge.judge(question, sample.bodies) if judge is not None else None
    sound = None
    if truths is not None:
        sound = sample.correct is True and all(truth.right_absolutely is True for truth in truths)
    return Response(
        bodies=sample.bodies,
        answer=sample.answer,
        correct=sample.correct,
        tokens=sample.generated_tokens,
        cut=sample.finish == "length",
        steps_right=() if truths is None else tuple(truth.right_given_prefix for truth in truths),
        sound=sound,
        scores={name: tuple(round(value, _DIGITS) for value in values) for name, values in scores.items()},
    )


def _scorer(
    samples: SampleSet,
    scores: ScoreSet,
    judge: StepJudge | None,
    validation: Validation | None,
    name: str,
    config: EvaluationConfig,
) -> ScorerFigures:
    options = Resampling(level=config.level, resamples=config.resamples, seed=config.seed)
    ways = [OUTCOME] if scores.source.kind == "orm" else list(config.aggregators or aggregate.AGGREGATORS)
    found = {way: _answer_auroc(samples.rows, scores.rows, way, config) for way in ways}
    figures = ScorerFigures(
        source=scores.source,
        answer_auroc={way: estimate for way, estimate in found.items() if estimate is not None},
        too_long=sum(not values for row in scores.rows for values in row.scores),
    )
    if judge is None or scores.source.kind == "orm":
        return figures
    thresholds = FlagThresholds(steps=config.flag_below, first_error=config.flag_below)
    if validation is not None:
        judged = judged_trajectories(validation.samples.rows, _by_id(validation.scores[name]), judge)
        if judged:
            thresholds = choose_thresholds(judged, chosen_on=f"{len(validation.samples.rows)} validation questions")
    trajectories = judged_trajectories(samples.rows, _by_id(scores), judge)
    if not trajectories:
        return figures
    steps = tuple(
        step_figures(trajectories, truth, scope, thresholds, **options) for truth in _TRUTHS for scope in _SCOPES
    )
    return figures.model_copy(update={"thresholds": thresholds, "steps": steps})


def _answer_auroc(
    rows: Sequence[QuestionSamples], scores: Sequence[QuestionScores], way: str, config: EvaluationConfig
) -> Estimate | None:
    values, right, clusters = [], [], []
    for number, (row, given) in enumerate(zip(rows, scores, strict=True)):
        for sample, steps in zip(row.samples, given.scores, strict=True):
            values.append(sample_score(steps, way))
            right.append(sample.correct is True)
            clusters.append(number)
    return cluster_bootstrap(
        auroc(np.array(values), np.array(right), np.array(clusters)),
        len(rows),
        level=config.level,
        resamples=config.resamples,
        seed=config.seed,
    )


def _by_id(scores: ScoreSet) -> dict[str, QuestionScores]:
    return {row.question_id: row for row in scores.rows}


def _notes(
    greedy: SampleSet | None,
    samples: SampleSet | None,
    failed: set[str],
    validation: Validation | None,
    judge: StepJudge | None,
) -> list[str]:
    """What a reader must know before the figures."""
    notes = []
    if failed:
        notes.append(f"{len(failed)} questions have no answers because drawing them failed; they are in no figure.")
    if greedy is not None and samples is not None and len(samples.rows) < len(greedy.rows):
        notes.append(
            f"Strategies stand on {len(samples.rows):,} of the {len(greedy.rows):,} questions with greedy answers."
        )
    if samples is not None and validation is None:
        notes.append("No validation set was given: the strategy was fixed beforehand, the grid is exploratory.")
    return notes
