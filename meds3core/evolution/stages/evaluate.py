"""A stage that turns one policy's answers and scores into an evaluation."""

from collections.abc import Sequence
from typing import Any, Literal

from meds3core.config.evaluation import EvaluationConfig
from meds3core.decoding.samples import SampleSet, read_samples
from meds3core.decoding.scores import ScoreSet, read_scores
from meds3core.evaluation.judging import ClinicJudge, StepJudge
from meds3core.evaluation.record import StoredEvaluation
from meds3core.evaluation.run import Validation, evaluate
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record

EVALUATION = "evaluation"
"""Folder that this stage makes."""

PRM, ORM = "prm", "orm"
"""Names of the reward models in the report."""


class EvaluateStage(Record):
    """Inputs, each optional but one of the first two: `greedy` and `samples`, sample sets; `prm` and `orm`, their
    scores; `validation`, `validation-prm`, `validation-orm`, the same of the validation questions.

    Makes the folder `evaluation`.
    """

    figures: EvaluationConfig = EvaluationConfig()
    judge: Literal["auto", "none"] = "auto"


EVALUATE = StageKind("evaluate", 1, EvaluateStage, f"{__name__}:run", ("scipy.stats",), seconds_per_unit=0.001)


def run(settings: EvaluateStage, job: StageJob) -> dict[str, Any]:
    """Compute all figures that the inputs allow."""
    greedy, samples, validation = (_samples(job, name) for name in ("greedy", "samples", "validation"))
    given = greedy or samples
    found = evaluate(
        greedy,
        samples,
        _scores(job, "", samples),
        judge_for([row.question for row in given.rows] if given else []) if settings.judge == "auto" else None,
        Validation(validation, _scores(job, "validation-", validation)) if validation else None,
        settings.figures,
    )
    found.write(job.folder / EVALUATION)
    return headline(found)


def judge_for(questions: Sequence[OpenQuestion]) -> StepJudge | None:
    """The clinic's step checker where the questions are the clinic's, else none."""
    judge = ClinicJudge()
    known = any(judge.judge(question, ["?"]) is not None for question in questions[:5])
    return judge if known else None


def headline(stored: StoredEvaluation) -> dict[str, Any]:
    """What a list of stages shows of an evaluation."""
    evaluation = stored.evaluation
    figures: dict[str, Any] = {"policy": evaluation.policy, "questions": evaluation.questions}
    if evaluation.greedy is not None:
        figures["greedy"] = str(evaluation.greedy.micro)
    if evaluation.greedy_steps is not None:
        figures["sound"] = str(evaluation.greedy_steps.sound)
    if evaluation.selection is not None:
        figures["strategy"] = evaluation.selection.chosen.label
        figures["chosen"] = str(evaluation.selection.test)
    return figures


def _samples(job: StageJob, name: str) -> SampleSet | None:
    return next((read_samples(path) for path in job.paths(name)), None)


def _scores(job: StageJob, prefix: str, samples: SampleSet | None) -> dict[str, ScoreSet]:
    return {name: read_scores(path, samples) for name in (PRM, ORM) for path in job.paths(prefix + name)}
