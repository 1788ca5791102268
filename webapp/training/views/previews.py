"""Previews of training data: asked for from a form or a run, shown when they are there."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from meds3core.config.jobs import JOB_SPEC
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import actor_of, team_page
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.transitions import ENDED, JobError
from webapp.training import previews
from webapp.training.methods import METHODS, RUNS
from webapp.training.models import DataPreview
from webapp.training.selectors import run_of
from webapp.training.views.forms import training_form

PART = "training/parts/preview.html"


@team_page(Action.JOB_SUBMIT)
@require_POST
def training_preview_create(request: HttpRequest, team: Team, method: str) -> HttpResponse:
    """What the run that the form describes would see."""
    if method not in RUNS:
        raise Http404("there is nothing to preview of this way to train")
    form = training_form(request, team, method, request.POST)
    if not form.is_valid():
        return render(request, PART, {"team": team, "form": form})
    try:
        found = previews.preview_request(actor=actor_of(request), team=team, spec=form.spec)
    except (JobError, QueueUnreachable) as error:
        return render(request, PART, {"team": team, "refused": str(error)})
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("training-preview", team.slug, found.pk)
    found = previews.preview_of(team=team, preview_id=found.pk)
    return render(request, PART, preview_context(team, found))


@team_page(Action.JOB_SUBMIT)
@require_POST
def training_run_preview(request: HttpRequest, team: Team, run_id: uuid.UUID) -> HttpResponse:
    """What a run that exists sees, or saw."""
    job = run_of(team=team, job_id=run_id)
    try:
        found = previews.preview_request(actor=actor_of(request), team=team, spec=JOB_SPEC.validate_python(job.spec))
    except (JobError, QueueUnreachable) as error:
        messages.error(request, str(error))
        return redirect("training-run", team.slug, run_id)
    return redirect("training-preview", team.slug, found.pk)


@team_page(Action.TREE_VIEW)
@require_GET
def training_preview(request: HttpRequest, team: Team, preview_id: uuid.UUID) -> HttpResponse:
    """A preview as a page, or as the part of a page."""
    found = previews.preview_of(team=team, preview_id=preview_id)
    start = request.GET.get("start", "0")
    if not start.isdecimal() or len(start) > 6:
        raise Http404("no such place")
    too_long = request.GET.get("show") == "left-out"
    context = preview_context(team, found, start=int(start), too_long=too_long)
    is_part = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    return render(request, PART if is_part else "training/preview.html", context)


def preview_context(team: Team, found: DataPreview, *, start: int = 0, too_long: bool = False) -> dict[str, Any]:
    """What the part shows."""
    return {
        "team": team,
        "preview": found,
        "method": METHODS[found.method],
        "counts": previews.counts_of(found),
        "examples": previews.examples_of(found, start=start, too_long=too_long),
        "too_long": too_long,
        "over": found.job is None or found.job.state in ENDED,
        "url": reverse("training-preview", args=[team.slug, found.pk]),
    }
