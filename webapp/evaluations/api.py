"""API of evaluations."""

import uuid
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema

from webapp.accounts.api_auth import team_operation
from webapp.accounts.rules import Action
from webapp.common.api_answers import ApiPage, Paging, Reading, api_page
from webapp.evaluations import selectors, services
from webapp.evaluations.models import Evaluation, QuestionResult

router = Router(tags=["evaluations"])


class EvaluationOut(Schema):
    """An evaluation's headline; everything else is in its files and rows."""

    id: uuid.UUID
    name: str
    created: datetime
    job: uuid.UUID | None
    stage: str
    benchmark: uuid.UUID | None
    policy: uuid.UUID | None
    scorer: uuid.UUID | None
    questions: int
    comparability: dict[str, Any]
    figures: dict[str, Any]

    @classmethod
    def of(cls, row: Evaluation) -> "EvaluationOut":
        """From its row."""
        return cls(
            id=row.pk,
            name=row.name,
            created=row.created,
            job=row.job_id,
            stage=row.stage,
            benchmark=row.benchmark_id,
            policy=row.policy_id,
            scorer=row.scorer_id,
            questions=row.questions,
            comparability=row.comparability,
            figures=row.figures,
        )


class StrategyOut(Schema):
    """One strategy at one n, with the interval of its accuracy."""

    strategy: str
    n: int
    accuracy: float
    low: float
    high: float
    answered: float


class AnswerOut(Schema):
    """One question: what was answered, and how often each strategy is right."""

    position: int
    question_hash: str
    answers: dict[str, Any]

    @classmethod
    def of(cls, row: QuestionResult) -> "AnswerOut":
        """From its row."""
        return cls(position=row.position, question_hash=row.question_hash, answers=row.answers)


@router.get("/teams/{team_slug}/evaluations", response=ApiPage[EvaluationOut], summary="Evaluations of a team")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_list(request: HttpRequest, team_slug: str, paging: Query[Paging]) -> ApiPage[EvaluationOut]:
    """The team's evaluations, newest first. A new one is a job of the kind `evaluation`."""
    return api_page(request, selectors.evaluations_of(team=request.team), EvaluationOut.of, paging)  # type: ignore[attr-defined]


@router.get("/teams/{team_slug}/evaluations/{evaluation_id}", response=EvaluationOut, summary="One evaluation")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_show(request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID) -> EvaluationOut:
    """Its headline."""
    return EvaluationOut.of(_found(request, evaluation_id))


@router.get(
    "/teams/{team_slug}/evaluations/{evaluation_id}/strategies",
    response=list[StrategyOut],
    summary="Strategies of an evaluation",
)
@team_operation(Action.EVALUATION_VIEW)
def evaluation_strategies(request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID) -> Any:
    """Every strategy, the most accurate first."""
    return selectors.strategies_of(evaluation=_found(request, evaluation_id), size=10_000)


@router.get(
    "/teams/{team_slug}/evaluations/{evaluation_id}/answers",
    response=ApiPage[AnswerOut],
    summary="Answers question by question",
)
@team_operation(Action.EVALUATION_VIEW)
def evaluation_answers(
    request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID, reading: Query[Reading]
) -> ApiPage[AnswerOut]:
    """In the order of the benchmark."""
    rows = _found(request, evaluation_id).answers.all()
    return api_page(request, rows, AnswerOut.of, reading, key="position")


@router.delete("/teams/{team_slug}/evaluations/{evaluation_id}", response={204: None}, summary="Delete an evaluation")
@team_operation(Action.EVALUATION_CHANGE)
def evaluation_delete(request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID) -> HttpResponse:
    """Its rows and files."""
    services.evaluation_delete(actor=request.auth.actor, evaluation=_found(request, evaluation_id))  # type: ignore[attr-defined]
    return HttpResponse(status=204)


def _found(request: HttpRequest, evaluation_id: uuid.UUID) -> Evaluation:
    return selectors.evaluation_for(team=request.team, evaluation_id=evaluation_id)  # type: ignore[attr-defined]
