"""Tables of results as files."""

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from meds3core.report.result_tables import ResultTable, tables_of
from meds3core.report.table_files import ENDINGS, table_text
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import team_page
from webapp.common.downloads import content_download
from webapp.evaluations import selectors
from webapp.evaluations.comparing import figures_of

TYPES = {"csv": "text/csv; charset=utf-8", "markdown": "text/markdown; charset=utf-8", "latex": "application/x-tex"}


def table_answer(table: ResultTable, form: str, *, name: str) -> HttpResponse:
    """A table as a download. From pages people open CSV in spreadsheets, so theirs runs nothing there; programs ask
    the API for the exact form. Raises `Http404` for a form that there is not."""
    if form not in ENDINGS:
        raise Http404("no such form of a table")
    text = table_text(table, form, csv_form="spreadsheet")  # type: ignore[arg-type]
    ending = ENDINGS[form]  # type: ignore[index]
    return content_download(text, name=f"{name} {table.name}.{ending}", content_type=TYPES[form])


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_table(request: HttpRequest, team: Team, evaluation_id: uuid.UUID, table: str, form: str) -> HttpResponse:
    """A table of an evaluation as CSV, Markdown or LaTeX."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    tables = tables_of(figures_of(found))
    if table not in tables:
        raise Http404("The evaluation has no such table.")
    return table_answer(tables[table], form, name=found.name)
