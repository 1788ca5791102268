"""API of evaluations."""

import uuid
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from meds3core.data.tables import CsvForm
from meds3core.evaluation.choices import SampleChoice, choices_of, ways_of
from meds3core.evaluation.compare import Comparison, WayComparison
from meds3core.evaluation.outcomes import GREEDY
from meds3core.evaluation.record import Evaluation as Figures
from meds3core.evaluation.record import QuestionRow
from meds3core.report.result_tables import ResultTable, comparison_tables, tables_of
from meds3core.report.table_files import ENDINGS, TableFormat, table_text
from webapp.accounts.api_auth import team_operation
from webapp.accounts.rules import Action
from webapp.common.api_answers import ApiPage, Paging, Reading, api_page
from webapp.common.downloads import content_download
from webapp.evaluations import selectors, services
from webapp.evaluations.comparing import comparison_of, figures_of, index_of, way_comparison_of
from webapp.evaluations.models import Evaluation, QuestionResult

router = Router(tags=["evaluations"])

BASE = "/teams/{team_slug}/evaluations"
ONE = BASE + "/{evaluation_id}"
TYPES = {"csv": "text/csv; charset=utf-8", "markdown": "text/markdown; charset=utf-8", "latex": "application/x-tex"}


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


class Found(Schema):
    """Which evaluations; without a filter all."""

    benchmark: uuid.UUID | None = None
    model: uuid.UUID | None = Field(default=None, description="As policy or as reward model.")
    job: uuid.UUID | None = Field(default=None, description="That made them, e.g. an evolution.")


class QuestionOut(Schema):
    """One question with everything that was answered to it, and what each strategy makes of all samples."""

    row: QuestionRow
    choices: list[SampleChoice]


class TableAsked(Schema):
    """A table as a file. `cells`: in CSV, exact, or such that a spreadsheet runs none of them."""

    form: TableFormat = "csv"
    cells: CsvForm = "exact"


class ComparisonAsked(Schema):
    """On what: all questions, which must be the same, or those that both have."""

    shared: bool = False


@router.get(BASE, response=ApiPage[EvaluationOut], summary="Evaluations of a team")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_list(
    request: HttpRequest, team_slug: str, paging: Query[Paging], found: Query[Found]
) -> ApiPage[EvaluationOut]:
    """The team's evaluations, newest first. A new one is a job of the kind `evaluation`."""
    wanted = selectors.EvaluationFilter(benchmark=found.benchmark, model=found.model, job=found.job)
    rows = selectors.evaluations_found(team=request.team, wanted=wanted)  # type: ignore[attr-defined]
    return api_page(request, rows, EvaluationOut.of, paging)


@router.get(ONE, response=EvaluationOut, summary="One evaluation")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_show(request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID) -> EvaluationOut:
    """Its headline."""
    return EvaluationOut.of(_found(request, evaluation_id))


@router.get(
    ONE + "/strategies",
    response=list[StrategyOut],
    summary="Strategies of an evaluation",
)
@team_operation(Action.EVALUATION_VIEW)
def evaluation_strategies(request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID) -> Any:
    """Every strategy, the most accurate first."""
    return selectors.strategies_of(evaluation=_found(request, evaluation_id), size=10_000)


@router.get(
    ONE + "/answers",
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


@router.get(ONE + "/figures", response=Figures, summary="All figures of an evaluation")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_figures(request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID) -> Any:
    """The whole record: strategies, groups, steps, calibration, robustness, each with its interval."""
    return figures_of(_found(request, evaluation_id))


@router.get(ONE + "/answers/{int:position}", response=QuestionOut, summary="One question of an evaluation")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_question(request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID, position: int) -> Any:
    """All answers with their steps, verdicts and scores, and which sample each strategy chose."""
    found = _found(request, evaluation_id)
    index = index_of(found)
    if position >= len(index):
        raise Http404("no such question")
    row = index.row(position)
    return QuestionOut(row=row, choices=list(choices_of(row, ways_of(figures_of(found)))))


@router.get(ONE + "/tables/{slug:table}", summary="A table of an evaluation as CSV, Markdown or LaTeX")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_table(
    request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID, table: str, asked: Query[TableAsked]
) -> HttpResponse:
    """`strategies`, `groups`, `steps`, `calibration` or `robustness`."""
    found = _found(request, evaluation_id)
    return _file(tables_of(figures_of(found)), table, asked, found.name)


@router.get(ONE + "/against/{uuid:against_id}", response=Comparison, summary="An evaluation against another")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_compare(
    request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID, against_id: uuid.UUID, asked: Query[ComparisonAsked]
) -> Any:
    """Differences are this one minus the other, question by question. 422 `not-comparable` says why not."""
    second, first = _found(request, evaluation_id), _found(request, against_id)
    return comparison_of(first=first, second=second, shared=asked.shared)


@router.get(ONE + "/against/{uuid:against_id}/ways", response=WayComparison, summary="A way to answer against another")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_compare_ways(
    request: HttpRequest,
    team_slug: str,
    evaluation_id: uuid.UUID,
    against_id: uuid.UUID,
    asked: Query[ComparisonAsked],
    by: str = GREEDY,
    other_by: str = GREEDY,
) -> Any:
    """`by`: `greedy`, `sound`, `chosen` or a strategy's label, of this one; `other_by` of the other, or of itself."""
    second, first = _found(request, evaluation_id), _found(request, against_id)
    return way_comparison_of(first=first, second=second, first_way=other_by, second_way=by, shared=asked.shared)


@router.get(ONE + "/against/{uuid:against_id}/tables/{slug:compared}", summary="A table of a comparison")
@team_operation(Action.EVALUATION_VIEW)
def evaluation_compare_table(
    request: HttpRequest,
    team_slug: str,
    evaluation_id: uuid.UUID,
    against_id: uuid.UUID,
    compared: str,
    asked: Query[TableAsked],
    how: Query[ComparisonAsked],
) -> HttpResponse:
    """As CSV, Markdown or LaTeX: `differences`, or `changes` for the questions won and lost."""
    second, first = _found(request, evaluation_id), _found(request, against_id)
    found = comparison_of(first=first, second=second, shared=how.shared)
    return _file(comparison_tables(found), compared, asked, f"{second.name} against {first.name}")


@router.delete(ONE, response={204: None}, summary="Delete an evaluation")
@team_operation(Action.EVALUATION_CHANGE)
def evaluation_delete(request: HttpRequest, team_slug: str, evaluation_id: uuid.UUID) -> HttpResponse:
    """Its rows and files."""
    services.evaluation_delete(actor=request.auth.actor, evaluation=_found(request, evaluation_id))  # type: ignore[attr-defined]
    return HttpResponse(status=204)


def _found(request: HttpRequest, evaluation_id: uuid.UUID) -> Evaluation:
    return selectors.evaluation_for(team=request.team, evaluation_id=evaluation_id)  # type: ignore[attr-defined]


def _file(tables: dict[str, ResultTable], table: str, asked: TableAsked, name: str) -> HttpResponse:
    if table not in tables:
        raise Http404("no such table")
    text = table_text(tables[table], asked.form, csv_form=asked.cells)
    return content_download(text, name=f"{name} {table}.{ENDINGS[asked.form]}", content_type=TYPES[asked.form])
