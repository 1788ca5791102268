"""Pages of training runs: the list, one run, several beside each other."""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import team_page
from webapp.common.paging import page_of
from webapp.jobs import overviews
from webapp.jobs.models import Job
from webapp.jobs.views.pages import job_context
from webapp.jobs.views.submitting import own_page
from webapp.training.compare import MOST, comparison_of
from webapp.training.methods import METHODS, RUNS
from webapp.training.selectors import models_made, run_of, runs_named, runs_of, things_named

OFFERED = 200
"""Runs to choose from beside those that are compared."""


@team_page(Action.JOB_VIEW)
@require_GET
def training_list(request: HttpRequest, team: Team) -> HttpResponse:
    """Training runs and loops, newest first."""
    rows = overviews.team_jobs(team_id=team.pk, kinds=list(METHODS))
    page = page_of(rows, request.GET)
    made = models_made(jobs=page.rows)
    context = {
        "team": team,
        "page": page,
        "rows": [(job, made.get(job.pk, []), job.kind in RUNS, own_page(job)) for job in page.rows],
        "methods": METHODS,
        "may_submit": may(request.membership.role, Action.JOB_SUBMIT),
        "is_first": not {"before", "after"} & set(request.GET),
    }
    return render(request, "training/list.html", context)


@team_page(Action.JOB_VIEW)
@require_GET
def training_run(request: HttpRequest, team: Team, run_id: uuid.UUID) -> HttpResponse:
    """One run: the page of its job, with what it learns from, and ways to go on from it."""
    found = run_of(team=team, job_id=run_id)
    role = request.membership.role
    context = job_context(found) | {
        "team": team,
        "may_control": may(role, Action.JOB_CONTROL),
        "may_submit": may(role, Action.JOB_SUBMIT),
        "own": True,
        "own_page": "",
        "method": METHODS[found.kind],
        **_learns_from(found),
    }
    return render(request, "training/run.html", context)


def _learns_from(job: Job) -> dict[str, Any]:
    """The model that it begins from and the data, as far as they still exist."""
    things = things_named(jobs=[job])

    def of(name: str) -> Any:
        reference = job.spec.get(name)
        return things.get(uuid.UUID(reference["id"])) if reference and "id" in reference else None

    return {"base": of("policy"), "label_set": of("labels"), "questions": of("questions")}


@team_page(Action.JOB_VIEW)
@require_GET
def training_compare(request: HttpRequest, team: Team) -> HttpResponse:
    """Any number of runs (`?run=`, again and again): curves overlaid, settings that differ, results."""
    wanted = [key for text in request.GET.getlist("run")[: 2 * MOST] if (key := _id(text)) is not None]
    jobs = runs_named(team=team, ids=wanted)
    shown = jobs[:MOST]
    chosen = {job.pk for job in shown}
    others = [job for job in runs_of(team=team)[:OFFERED] if job.pk not in chosen]
    context = {
        "team": team,
        "found": comparison_of(team=team, jobs=shown) if shown else None,
        "others": others,
        "left_out": len(jobs) - len(shown),
        "most": MOST,
    }
    return render(request, "training/compare.html", context)


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
