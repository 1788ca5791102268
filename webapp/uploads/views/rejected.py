"""Rows of an imported file that are no question: which, and why."""

import uuid

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from meds3core.data.tables import CsvWriter
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import team_page
from webapp.common.downloads import content_download
from webapp.datasets.models import RejectedRow
from webapp.datasets.selectors import rejections_of, version_for
from webapp.datasets.services import REJECTIONS_KEPT

PAGE = 200


@team_page(Action.DATASET_VIEW)
@require_safe
def rejected_rows(request: HttpRequest, team: Team, version_id: uuid.UUID) -> HttpResponse:
    """A page of them, in the order of the file; `?after=` a row."""
    version = version_for(team=team, version_id=version_id)
    after = request.GET.get("after", "")
    last = int(after) if after.isdecimal() and len(after) < 18 else 0
    rows = rejections_of(version=version, after=last, size=PAGE + 1)
    context = {
        "team": team,
        "version": version,
        "rows": rows[:PAGE],
        "after": rows[PAGE - 1].row if len(rows) > PAGE else None,
        "begun": bool(after),
        "kept": REJECTIONS_KEPT,
        "is_cut": version.rejected > REJECTIONS_KEPT,
    }
    return render(request, "uploads/rejected.html", context)


@team_page(Action.DATASET_VIEW)
@require_safe
def rejected_file(request: HttpRequest, team: Team, version_id: uuid.UUID) -> HttpResponseBase:
    """All that are kept, as CSV for spreadsheets: names of columns that look like formulas are neutralised."""
    version = version_for(team=team, version_id=version_id)
    rows = RejectedRow.objects.filter(version=version).order_by("row").values_list("row", "reason")
    lines = CsvWriter("spreadsheet").lines(("row", "reason"), rows.iterator(chunk_size=2000))
    name = f"{version} rejected rows.csv"
    return content_download("".join(lines), name=name, content_type="text/csv; charset=utf-8")
