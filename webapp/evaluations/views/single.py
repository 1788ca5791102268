"""One evaluation: all of its figures, its files."""

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from meds3core.evaluation.record import EvaluationFileError
from meds3core.report.evaluation_page import provenance_of, totals_of
from meds3core.report.result_tables import tables_of
from meds3core.report.sections import sections_of
from meds3core.report.table_files import ENDINGS
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.annotation.selectors import items_from
from webapp.common.access import actor_of, team_page
from webapp.common.downloads import file_download
from webapp.common.files import Store, folder_of
from webapp.evaluations import selectors, services
from webapp.evaluations.comparing import figures_of

FILES = {
    "report": (services.REPORT, "text/html"),
    "figures": (services.FIGURES, "application/json"),
    "questions": (services.ROWS, "application/x-ndjson"),
}
"""The files of an evaluation by the word in URLs."""


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_page(request: HttpRequest, team: Team, evaluation_id: uuid.UUID) -> HttpResponse:
    """Everything that was measured, each figure with its interval."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    role = request.membership.role
    folder = folder_of(Store.EVALUATIONS, found.pk)
    context = {
        "team": team,
        "evaluation": found,
        "files": [word for word, (name, _) in FILES.items() if (folder / name).exists()],
        "forms": ENDINGS,
        "may_change": may(role, Action.EVALUATION_CHANGE),
        "may_submit": may(role, Action.JOB_SUBMIT),
        "may_queue": may(role, Action.QUEUE_CHANGE),
    }
    try:
        figures = figures_of(found)
    except EvaluationFileError:
        context["is_lost"] = True
        return render(request, "evaluations/evaluation.html", context)
    context |= {
        "totals": totals_of(figures),
        "notes": figures.notes,
        "sections": [(slugify(section.title), section) for section in sections_of(figures)],
        "tables": tables_of(figures).values(),
        "provenance": provenance_of(figures),
        "failed": len(figures.failed),
    }
    return render(request, "evaluations/evaluation.html", context)


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_file(request: HttpRequest, team: Team, evaluation_id: uuid.UUID, which: str) -> HttpResponseBase:
    """The report as one self-contained page, the figures, or the rows of questions, to keep."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    if which not in FILES:
        raise Http404("no such file")
    name, content_type = FILES[which]
    path = folder_of(Store.EVALUATIONS, found.pk) / name
    return file_download(request, path, name=f"{found.name} {name}", content_type=content_type)


@team_page(Action.EVALUATION_CHANGE)
def evaluation_delete(request: HttpRequest, team: Team, evaluation_id: uuid.UUID) -> HttpResponse:
    """Ask, then remove it."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    if request.method == "POST":
        services.evaluation_delete(actor=actor_of(request), evaluation=found)
        messages.success(request, f"{found} is deleted.")
        return redirect("evaluation-list", team.slug)
    context = {"team": team, "evaluation": found, "items": items_from(source=found.pk)}
    return render(request, "evaluations/delete.html", context)
