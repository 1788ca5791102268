"""Evaluations as a matrix of benchmarks, models and strategies."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from meds3core.report.table_files import ENDINGS
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import team_page
from webapp.common.paging import Page, page_of
from webapp.evaluations import selectors
from webapp.evaluations.matrix import Matrix, Way, columns_of, matrix_of, ranking_table
from webapp.evaluations.selectors import EvaluationFilter
from webapp.evaluations.views.tables import table_answer

SIZE = 100
NEWEST = "newest"


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_list(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's evaluations: those on the same ground ranked together, the others apart with the reason."""
    wanted = EvaluationFilter.of(request.GET)
    page, matrix = _matrix(request, team, wanted)
    role = request.membership.role
    job = next((each.job for each in page.rows if each.job), None) if wanted.job else None
    context = {
        "team": team,
        "page": page,
        "matrix": matrix,
        "shown": {way.label for way in matrix.columns},
        "sort": matrix.sort.label if matrix.sort else NEWEST,
        "choices": selectors.measured_with(team=team),
        "benchmark": str(wanted.benchmark or ""),
        "model": str(wanted.model or ""),
        "job": job,
        "is_filtered": wanted != EvaluationFilter(),
        "query": request.GET.urlencode(),
        "forms": ENDINGS,
        "may_submit": may(role, Action.JOB_SUBMIT),
        "is_first": not {"before", "after"} & set(request.GET),
    }
    return render(request, "evaluations/list.html", context)


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_list_table(request: HttpRequest, team: Team, form: str) -> HttpResponse:
    """The matrix as it is shown, as a file."""
    _, matrix = _matrix(request, team, EvaluationFilter.of(request.GET))
    return table_answer(ranking_table(matrix), form, name="Evaluations")


def _matrix(request: Any, team: Team, wanted: EvaluationFilter) -> tuple[Page, Matrix]:
    page = page_of(selectors.evaluations_in_matrix(team=team, wanted=wanted), request.GET, size=SIZE)
    ways = [Way(strategy, n) for strategy, n in selectors.ways_measured(evaluations=page.rows)]
    columns = columns_of(ways, request.GET.getlist("by"))
    results = selectors.results_of(evaluations=page.rows, ways=[(way.strategy, way.n) for way in columns])
    first = columns[0].label if columns else ""
    return page, matrix_of(page.rows, ways, columns, results, request.GET.get("sort", first))
