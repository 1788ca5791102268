"""Searches: the list, one search while it runs and after, and what is asked of it."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from meds3core.config.jobs import TreeScoringSpec
from meds3core.config.references import Registered
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import actor_of, team_page
from webapp.common.paging import page_of
from webapp.jobs.models import Job
from webapp.jobs.standing import MAY
from webapp.jobs.transitions import JobError
from webapp.jobs.views.pages import places
from webapp.jobs.views.submitting import submitted
from webapp.registry.models import ModelKind
from webapp.trees import overviews, selectors
from webapp.trees.deletion import search_delete, search_dependants
from webapp.trees.figures import kept_figures
from webapp.trees.histograms import drawn
from webapp.trees.mosaic import mosaic

STOP_POLLING = 286
"""What htmx takes for "do not ask again"."""


@team_page(Action.TREE_VIEW)
@require_GET
def search_list(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's searches, newest first."""
    page = page_of(overviews.searches_open(team=team, rows=selectors.searches_of(team=team)), request.GET)
    inputs = overviews.inputs_of(jobs=page.rows)
    context = {
        "team": team,
        "page": page,
        "rows": [(job, inputs[job.pk]) for job in page.rows],
        "may_submit": may(request.membership.role, Action.JOB_SUBMIT),
    }
    return render(request, "trees/search_list.html", context)


@team_page(Action.TREE_VIEW)
@require_GET
def search(request: HttpRequest, team: Team, search_id: uuid.UUID) -> HttpResponse:
    """One search: how it stands, what its trees are like, and the list of them."""
    job = selectors.search_of(team=team, job_id=search_id)
    role = request.membership.role
    standing = _standing(job)
    context = standing | _trees(request, job, standing["counts"]) | places(job, for_operators=False)
    context |= {
        "team": team,
        "inputs": overviews.inputs_of(jobs=[job])[job.pk],
        "may_control": may(role, Action.JOB_CONTROL),
        "may_submit": may(role, Action.JOB_SUBMIT),
        "may_queue": may(role, Action.QUEUE_CHANGE),
        "asks": {ask: " ".join(sorted(states)) for ask, states in MAY.items()},
        "now": {ask: job.state in states for ask, states in MAY.items()},
        "prms": overviews.model_options(team=team, kind=ModelKind.PRM),
    }
    return render(request, "trees/search.html", context)


@team_page(Action.TREE_VIEW)
@require_GET
def search_part(request: HttpRequest, team: Team, search_id: uuid.UUID, part: str) -> HttpResponse:
    """What changes while a search runs: how it stands, or the list of its trees."""
    job = selectors.search_of(team=team, job_id=search_id)
    if part == "standing":
        answer = render(request, "trees/parts/standing.html", {"team": team, **_standing(job)})
    else:
        counts = selectors.question_counts(job_id=job.pk) if job.kind == "search" else {}
        context = {"team": team, "job": job, "over": overviews.is_over(job), **_trees(request, job, counts)}
        answer = render(request, "trees/parts/trees.html", context)
    if overviews.is_over(job):
        answer.status_code = STOP_POLLING
    return answer


@team_page(Action.JOB_SUBMIT)
@require_POST
def search_score(request: HttpRequest, team: Team, search_id: uuid.UUID) -> HttpResponse:
    """Let a process reward model score the trees of a search."""
    job = selectors.search_of(team=team, job_id=search_id)
    chosen = request.POST.get("model", "")
    offered = dict(overviews.model_options(team=team, kind=ModelKind.PRM))
    if chosen not in offered:
        messages.error(request, "Choose the process reward model that scores the trees.")
        return redirect("search", team.slug, job.pk)
    spec = TreeScoringSpec(
        trees=Registered(kind="trees", id=job.pk), model=Registered(kind="model", id=chosen.rpartition(":")[2])
    )
    return submitted(request, team, spec, f"Scores by {offered[chosen]}", back=("search", team.slug, job.pk))


@team_page(Action.JOB_CONTROL)
def search_remove(request: HttpRequest, team: Team, search_id: uuid.UUID) -> HttpResponse:
    """Say what depends on a search and, when asked again, delete it."""
    job = selectors.search_of(team=team, job_id=search_id)
    if request.method == "POST":
        try:
            search_delete(actor=actor_of(request), job=job)
        except JobError as error:
            messages.error(request, str(error))
            return redirect("search-delete", team.slug, job.pk)
        messages.success(request, f"{job} and its trees are deleted.")
        return redirect("search-list", team.slug)
    context = {
        "team": team,
        "job": job,
        "trees": selectors.trees_count(job_id=job.pk),
        "dependants": search_dependants(job=job),
        "over": overviews.is_over(job),
    }
    return render(request, "trees/search_delete.html", context)


def _standing(job: Job) -> dict[str, Any]:
    counts, failed = selectors.questions_standing(job_id=job.pk) if job.kind == "search" else ({}, {})
    shards, users = selectors.jobs_around(job=job)
    return {
        "job": job,
        "over": overviews.is_over(job),
        "counts": counts,
        "failed": failed,
        "shards": shards,
        "users": users[:20],
    }


def _trees(request: HttpRequest, job: Job, counts: Mapping[str, int]) -> dict[str, Any]:
    stages = [""] if job.kind == "search" else selectors.stages_with_trees(job_id=job.pk)
    stage = request.GET.get("stage", stages[-1] if stages else "")
    query = request.GET.dict()
    rows, narrowed = overviews.trees_narrowed(
        rows=selectors.trees_of(team=job.team, job_id=job.pk, stage=stage), query=query
    )
    figures = kept_figures(rows, job=job, wanted=overviews.narrowing_of(stage=stage, query=query))
    choices = (
        selectors.filter_choices(job_id=job.pk, stage=stage)
        if narrowed
        else {"source": figures.sources, "domain": figures.domains, "stop_reason": sorted(figures.stop_reasons)}
    )
    first = overviews.place_of(query.get("cell") or "0")
    return {
        "figures": figures,
        "drawn": drawn(figures),
        "narrowed": narrowed,
        "mosaic": mosaic(job=job, rows=rows, total=figures.trees, whole=not narrowed, counts=counts, first=first),
        "page": overviews.trees_page(rows=rows, total=figures.trees, query=query),
        "stages": [each for each in stages if each],
        "stage": stage,
        "choices": choices,
        "outcomes": [(word, label) for word, (label, _) in overviews.OUTCOMES.items()],
        "query": query,
        "query_string": request.GET.urlencode(),
        "tree_base": _up_to("tree", job.team.slug, job.pk),
        "growing_base": _up_to("growing-tree", job.team.slug, job.pk, 0),
        "cells_query": _without(request.GET, "cell"),
    }


def _without(query: QueryDict, name: str) -> str:
    query = query.copy()
    query.pop(name, None)
    return f"{query.urlencode()}&" if query else ""


def _up_to(name: str, *arguments: Any) -> str:
    """The address of a page without its last part, to be completed by the hundred."""
    return reverse(name, args=arguments).rstrip("/").rpartition("/")[0] + "/"
