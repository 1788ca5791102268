"""A team's list of jobs, and the page of one job."""

import uuid
from dataclasses import asdict
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_POST

from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import team_page
from webapp.common.navigation import WORK, links
from webapp.common.paging import page_of
from webapp.jobs import overviews, selectors
from webapp.jobs.live.parts import ROWS, standing_context
from webapp.jobs.logs import log_attempts, log_read
from webapp.jobs.models import Job, State
from webapp.jobs.standing import MAY, flat, kind_label
from webapp.jobs.transitions import LIVE
from webapp.jobs.views.steering import steer
from webapp.jobs.views.submitting import OWN_PAGES, own_page

STATES = {
    "active": ("Not ended", overviews.ACTIVE),
    "queued": ("Queued", (State.QUEUED,)),
    "running": ("Running", tuple(sorted(LIVE))),
    "paused": ("Paused", (State.PAUSED,)),
    "succeeded": ("Succeeded", (State.SUCCEEDED,)),
    "failed": ("Failed", (State.FAILED,)),
    "cancelled": ("Cancelled", (State.CANCELLED,)),
}
"""The filters by state: word in the URL, label, states."""

EVENTS = 100


@team_page(Action.JOB_VIEW)
@require_GET
def job_list(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's jobs, newest first."""
    state, kind = request.GET.get("state", ""), request.GET.get("kind", "")
    if state and state not in STATES:
        raise Http404("no such state")
    states = STATES[state][1] if state else ()
    rows = overviews.team_jobs(team_id=team.pk, states=states, kinds=[kind] if kind else [])
    kinds = overviews.team_kinds(team=team)
    context = {
        "team": team,
        "page": page_of(rows, request.GET),
        "state": state,
        "kind": kind,
        "states": [(word, label) for word, (label, _) in STATES.items()],
        "shown_states": " ".join(states),
        "kinds": sorted(((each, kind_label(each)) for each in {*kinds, kind} if each), key=lambda pair: pair[1]),
        "counts": overviews.team_counts(team=team),
        "is_first": not {"before", "after"} & set(request.GET),
        "start": next((link.url for link in links(WORK, path="", membership=request.membership)), ""),
    }
    answer = render(request, "jobs/parts/list.html" if _is_part(request) else "jobs/list.html", context)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


@team_page(Action.JOB_VIEW)
@require_GET
def job_page(request: HttpRequest, team: Team, job_id: uuid.UUID) -> HttpResponse:
    """One job: where it stands, what happened, what it found, and what can be done with it."""
    found = selectors.job_of(team=team, job_id=job_id)
    role = request.membership.role
    context = job_context(found) | {
        "team": team,
        "may_control": may(role, Action.JOB_CONTROL),
        "may_submit": may(role, Action.JOB_SUBMIT),
    }
    return render(request, "jobs/job.html", context)


def job_context(job: Job, *, for_operators: bool = False) -> dict[str, Any]:
    """What the page of a job shows, whoever looks."""
    events = overviews.told_events(job=job, size=EVENTS + 1)
    return {
        "events": events[:EVENTS],
        "older": events[EVENTS - 1].seq if len(events) > EVENTS else None,
        "settings": flat(job.spec)[:ROWS],
        "asks": {ask: " ".join(sorted(states)) for ask, states in MAY.items()},
        "now": {ask: job.state in states for ask, states in MAY.items()},
        "logs": log_attempts(job=job)[::-1],
        "seq": job.next_seq - 1,
        "own_page": "" if for_operators else own_page(job),
        **places(job, for_operators=for_operators),
        **standing_context(job),
    }


def places(job: Job, *, for_operators: bool) -> dict[str, Any]:
    """The URLs that a job's page uses: those of its team, or those of the instance's operators."""
    prefix = "operations-job" if for_operators else "job"
    key = [job.pk] if for_operators else [job.team.slug, job.pk]
    asks = {ask: reverse(f"{prefix}-steer", args=[*key, ask]) for ask in ("pause", "resume", "cancel", "retry")}
    return {
        "for_operators": for_operators,
        "steer": asks | {"again": reverse(f"{prefix}-again", args=key)},
        "events_url": reverse(f"{prefix}-events", args=key),
        "metrics_url": reverse(f"{prefix}-metrics", args=key),
        "log_url": reverse(f"{prefix}-log", args=[*key, 0]).removesuffix("0/"),
        "socket": f"/ws/operations/jobs/{job.pk}/" if for_operators else f"/ws/t/{job.team.slug}/jobs/{job.pk}/",
    }


@team_page(Action.JOB_VIEW)
@require_GET
def job_events(request: HttpRequest, team: Team, job_id: uuid.UUID) -> HttpResponse:
    """Older events, as rows to be put behind those that the page has."""
    return older_events(request, selectors.job_of(team=team, job_id=job_id))


def older_events(request: HttpRequest, job: Job, *, for_operators: bool = False) -> HttpResponse:
    """The answer of `job_events`, whoever asks."""
    before = request.GET.get("before", "")
    if before and (not before.isdecimal() or len(before) > 18):
        raise Http404("no such place")
    events = overviews.told_events(job=job, before=int(before) if before else None, size=EVENTS + 1)
    older = events[EVENTS - 1].seq if len(events) > EVENTS else None
    context = {"events": events[:EVENTS], "older": older, **places(job, for_operators=for_operators)}
    return render(request, "jobs/parts/events.html", context)


@team_page(Action.JOB_VIEW)
@require_GET
def job_log(request: HttpRequest, team: Team, job_id: uuid.UUID, attempt: int) -> HttpResponse:
    """A stretch of an attempt's log from the byte `offset`; without it, its end."""
    return log_part(request, selectors.job_of(team=team, job_id=job_id), attempt)


def log_part(request: HttpRequest, job: Job, attempt: int) -> HttpResponse:
    """The answer of `job_log`, whoever asks."""
    offset = request.GET.get("offset", "")
    if offset and (not offset.isdecimal() or len(offset) > 18):
        raise Http404("no such place")
    part = log_read(job=job, attempt=attempt, offset=int(offset) if offset else None)
    return JsonResponse(asdict(part), headers={"Cache-Control": "no-store"})


@team_page(Action.JOB_CONTROL)
@require_POST
def job_steer(request: HttpRequest, team: Team, job_id: uuid.UUID, ask: str) -> HttpResponse:
    """Pause, resume, cancel or retry; back to the job."""
    job = selectors.job_of(team=team, job_id=job_id)
    steer(request, ask, job)
    return redirect(_back(request, job), team.slug, job_id)


@team_page(Action.JOB_SUBMIT)
@require_POST
def job_again(request: HttpRequest, team: Team, job_id: uuid.UUID) -> HttpResponse:
    """The same once more, as a new job."""
    job = selectors.job_of(team=team, job_id=job_id)
    made = steer(request, "again", job)
    return redirect(_back(request, job), team.slug, made.pk if made else job_id)


def _back(request: HttpRequest, job: Job) -> str:
    """The page from which something was asked of a job: the job's, or that of its kind."""
    return OWN_PAGES.get(job.kind, "job") if request.POST.get("page") == "own" else "job"


def _is_part(request: HttpRequest) -> bool:
    return bool(request.htmx) and not request.htmx.boosted
