"""API of a team's jobs: submit, watch, steer."""

import time
from collections.abc import Callable
from uuid import UUID

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Schema
from pydantic import Field

from webapp.accounts.api_auth import actor_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.common.api_answers import ApiPage, Paging, Reading, answer_made, api_page, next_page
from webapp.common.idempotency import idempotent
from webapp.jobs import selectors, services
from webapp.jobs.api_schemas import (
    CurveOut,
    CurvePart,
    CurvesOut,
    EventOut,
    EventsOut,
    JobIn,
    JobOut,
    JobWhole,
    LogOut,
    LogRange,
    MetricOut,
    StageOut,
)
from webapp.jobs.curves import curves_of
from webapp.jobs.kinds import KINDS
from webapp.jobs.logs import log_read
from webapp.jobs.models import Job, State

router = Router(tags=["jobs"])

LONGEST_WAIT = 25
"""Seconds; proxies cut what is silent for half a minute or a minute."""
LOOK_SECONDS = 0.5


def job_accepted(job: Job) -> HttpResponse:
    """What an operation answers that submitted a job: 202, where the job is, and how it stands."""
    place = reverse("api-1:job_show", kwargs={"team_slug": job.team.slug, "job_id": job.pk})
    return answer_made(JobOut.of(job), location=place, status=202)


@router.post("/teams/{team_slug}/jobs", response={202: JobOut}, operation_id="job_submit")
@team_operation(Action.JOB_SUBMIT)
@idempotent
def job_submit(request: HttpRequest, team_slug: str, body: JobIn) -> HttpResponse:
    """Submit a job of any kind. It waits in its queue for a worker. Imports need the noun's `change` scope besides."""
    _allowed(request, team_slug, body.spec.kind)
    job = services.job_submit(
        actor=actor_of_call(request),
        team=request.team,  # type: ignore[attr-defined]
        spec=body.spec,
        title=body.title,
        priority=body.priority,
    )
    return job_accepted(job)


@router.get("/teams/{team_slug}/jobs", response=ApiPage[JobOut], operation_id="job_list")
@team_operation(Action.JOB_VIEW)
def job_list(
    request: HttpRequest, team_slug: str, paging: Query[Paging], state: State | None = None, kind: str = ""
) -> ApiPage[JobOut]:
    """The team's jobs, newest first."""
    rows = selectors.jobs_of(team=request.team, state=state or "", kind=kind)  # type: ignore[attr-defined]
    return api_page(request, rows, JobOut.of, paging)


@router.get("/teams/{team_slug}/jobs/{job_id}", response=JobWhole, operation_id="job_show", url_name="job_show")
@team_operation(Action.JOB_VIEW)
def job_show(request: HttpRequest, team_slug: str, job_id: UUID) -> JobWhole:
    """One job, with its specification and its result."""
    return JobWhole.of(_job(request, job_id))


class _After(Schema):
    """Which events, and whether to wait for them."""

    after: int = Field(default=0, ge=0, description="The `seq` of the last event that you have.")
    limit: int = Field(default=200, ge=1, le=500)
    wait: float = Field(default=0, ge=0, le=LONGEST_WAIT, description="Seconds to wait for an event if there is none.")


@router.get("/teams/{team_slug}/jobs/{job_id}/events", response=EventsOut, operation_id="job_events")
@team_operation(Action.JOB_VIEW)
def job_events(request: HttpRequest, team_slug: str, job_id: UUID, which: Query[_After]) -> EventsOut:
    """What happened after the last event that you have; with `wait` the answer comes when something has.

    Old progress events are thinned out, so a `seq` may be missing.
    """
    job = _job(request, job_id)
    until = time.monotonic() + which.wait
    while not (found := selectors.events_after(job=job, seq=which.after, size=which.limit + 1)):
        if time.monotonic() >= until:
            break
        _let_go()
        time.sleep(min(LOOK_SECONDS, max(0.0, until - time.monotonic())))
    shown = found[: which.limit]
    last = shown[-1].seq if shown else which.after
    return EventsOut(
        items=[EventOut.of(event) for event in shown],
        next=next_page(request, after=last) if len(found) > len(shown) else None,
        state=State(_job(request, job_id).state),
        seq=last,
    )


def _let_go() -> None:
    """Give the connection back while nobody asks it anything: there are few, and many may wait."""
    if not connection.in_atomic_block:
        connection.close()


@router.get("/teams/{team_slug}/jobs/{job_id}/log", response=LogOut, operation_id="job_log")
@team_operation(Action.JOB_VIEW)
def job_log(request: HttpRequest, team_slug: str, job_id: UUID, part: Query[LogRange]) -> LogOut:
    """A stretch of the log; its end unless an offset is given."""
    job = _job(request, job_id)
    return LogOut.of(log_read(job=job, attempt=part.attempt, offset=part.offset, size=part.limit))


@router.get("/teams/{team_slug}/jobs/{job_id}/metrics", response=ApiPage[MetricOut], operation_id="job_metrics")
@team_operation(Action.JOB_VIEW)
def job_metrics(
    request: HttpRequest, team_slug: str, job_id: UUID, reading: Query[Reading], name: str = ""
) -> ApiPage[MetricOut]:
    """The measured curves in the order in which they were written; `name` gives one of them."""
    chunks = selectors.metrics_of(job=_job(request, job_id), name=name or None)
    return api_page(request, chunks, MetricOut.of, reading, key="id")


@router.get("/teams/{team_slug}/jobs/{job_id}/curves", response=CurvesOut, operation_id="job_curves")
@team_operation(Action.JOB_VIEW)
def job_curves(request: HttpRequest, team_slug: str, job_id: UUID, part: Query[CurvePart]) -> CurvesOut:
    """The measured curves as a drawing needs them: joined over attempts, thinned so that spikes stay, smoothed."""
    job = _job(request, job_id)
    found = curves_of(
        job_id=job.pk, names=part.name, first=part.first, last=part.last, points=part.points, smooth=part.smooth
    )
    return CurvesOut(attempt=job.attempt, items=[CurveOut.of(curve) for curve in found])


@router.get("/teams/{team_slug}/jobs/{job_id}/stages", response=list[StageOut], operation_id="job_stages")
@team_operation(Action.JOB_VIEW)
def job_stages(request: HttpRequest, team_slug: str, job_id: UUID) -> list[StageOut]:
    """The job's named parts, in order."""
    return [StageOut.of(stage) for stage in selectors.stages_of(job=_job(request, job_id))]


# --- steering ------------------------------------------------------------------------------------------------------


@router.post("/teams/{team_slug}/jobs/{job_id}/cancel", response=JobOut, operation_id="job_cancel")
@team_operation(Action.JOB_CONTROL)
def job_cancel(request: HttpRequest, team_slug: str, job_id: UUID) -> JobOut:
    """End it: at once where nobody works on it, else when its worker has stopped it."""
    return _steer(request, job_id, services.job_cancel)


@router.post("/teams/{team_slug}/jobs/{job_id}/pause", response=JobOut, operation_id="job_pause")
@team_operation(Action.JOB_CONTROL)
def job_pause(request: HttpRequest, team_slug: str, job_id: UUID) -> JobOut:
    """Stop it at its next checkpoint and keep the place."""
    return _steer(request, job_id, services.job_pause)


@router.post("/teams/{team_slug}/jobs/{job_id}/resume", response=JobOut, operation_id="job_resume")
@team_operation(Action.JOB_CONTROL)
def job_resume(request: HttpRequest, team_slug: str, job_id: UUID) -> JobOut:
    """Let a paused job go on from its place."""
    return _steer(request, job_id, services.job_resume)


@router.post("/teams/{team_slug}/jobs/{job_id}/retry", response=JobOut, operation_id="job_retry")
@team_operation(Action.JOB_CONTROL)
def job_retry(request: HttpRequest, team_slug: str, job_id: UUID) -> JobOut:
    """Let a failed or cancelled job try again from its place."""
    return _steer(request, job_id, services.job_retry)


@router.post("/teams/{team_slug}/jobs/{job_id}/run-again", response={202: JobOut}, operation_id="job_run_again")
@team_operation(Action.JOB_SUBMIT)
@idempotent
def job_run_again(request: HttpRequest, team_slug: str, job_id: UUID) -> HttpResponse:
    """A new job with the same specification."""
    job = _job(request, job_id)
    _allowed(request, team_slug, job.kind)
    return job_accepted(services.job_run_again(actor=actor_of_call(request), job=job))


def _steer(request: HttpRequest, job_id: UUID, service: Callable[..., Job]) -> JobOut:
    return JobOut.of(service(actor=actor_of_call(request), job=_job(request, job_id)))


def _allowed(request: HttpRequest, team_slug: str, kind: str) -> None:
    """Raises `PermissionDenied` where this kind of job changes what the caller may not change."""
    needs = KINDS[kind].needs if kind in KINDS else None
    if needs is not None:
        request.auth.reach(team_slug, needs)  # type: ignore[attr-defined]


def _job(request: HttpRequest, job_id: UUID) -> Job:
    return selectors.job_of(team=request.team, job_id=job_id)  # type: ignore[attr-defined]
