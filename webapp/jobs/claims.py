"""What workers ask of jobs: claim one, keep its lease, end it; and the sweep, which takes back what was lost.

All by the database's clock, all compare-and-set. Nothing here counts as a failure but a lost lease and a crash.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from webapp.jobs.kinds import KINDS
from webapp.jobs.models import Checkpoint, Job, JobStage, State, TeamShare, Worker
from webapp.jobs.selectors import eligible_jobs, expired_jobs, under_limit
from webapp.jobs.shards import shard_settle_on_commit, standing_of
from webapp.jobs.standing import span
from webapp.jobs.transitions import (
    ENDED,
    StaleAttempt,
    clock,
    event_append,
    in_seconds,
    job_move,
    live_rows,
    refuse_stale,
)

CRASHED = "crashed"
LEASE_LOST = "worker-lost"
TOO_LONG = "too-long"


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in the hands of a worker: every later write names it by these two."""

    job_id: UUID
    attempt: int


# --- workers -------------------------------------------------------------------------------------------------------


def worker_register(
    *, name: str, queue: str, devices: list[Any] | None = None, versions: Mapping[str, str] | None = None
) -> Worker:
    """A worker says that it is there."""
    worker, _ = Worker.objects.update_or_create(
        name=name,
        defaults={
            "host": socket.gethostname(),
            "queue": queue,
            "devices": devices or [],
            "versions": dict(versions or {}),
            "started": Now(),
            "heartbeat": Now(),
            "draining": False,
            "current_job": None,
        },
    )
    worker.refresh_from_db()
    return worker


def worker_heartbeat(*, worker: Worker) -> bool:
    """Say that it lives; says whether it was asked to drain."""
    Worker.objects.filter(pk=worker.pk).update(heartbeat=Now())
    return bool(Worker.objects.filter(pk=worker.pk, draining=True).exists())


# --- leases --------------------------------------------------------------------------------------------------------


def job_claim(*, queue: str, worker: Worker) -> Claim | None:
    """The best eligible job of the queue, with a lease; none when there is nothing to do or the worker drains."""
    if Worker.objects.filter(pk=worker.pk, draining=True).exists():
        return None
    while eligible_jobs(queue=queue).exists():  # no write lock for nothing
        with transaction.atomic():
            # Chosen inside the transaction: on SQLite whoever has the lock gets a job, and nobody took it for nothing.
            best = eligible_jobs(queue=queue).values_list("pk", "team_id", "attempt", "started").first()
            if best is None:
                return None
            job_id, team_id, attempt, started = best
            # On PostgreSQL the limit holds only if claims of one team come one after the other: this row is the gate.
            TeamShare.objects.filter(team_id=team_id).update(claims=F("claims") + 1)
            won = (
                under_limit(Job.objects.filter(pk=job_id, state=State.QUEUED, attempt=attempt))
                .order_by()
                .update(
                    state=State.RUNNING,
                    attempt=F("attempt") + 1,
                    worker=worker,
                    lease_expires=in_seconds(settings.JOBS_LEASE_SECONDS),
                    started=Coalesce(F("started"), Now()),
                    error_code="",
                    error_message="",
                )
            )
            if won:
                place = _place(job_id, begun=started is not None)
                verb = "Started" if started is None else "Resumed" if place else "Started again"
                event_append(
                    job_id=job_id,
                    kind="state",
                    text=f"{verb} on {worker.host}{place}.",
                    data={"state": State.RUNNING, "worker": worker.name},
                )
                Worker.objects.filter(pk=worker.pk).update(current_job=job_id, heartbeat=Now())
                shard_settle_on_commit(job_id=job_id)
                return Claim(job_id, attempt + 1)
    return None


def lease_renew(*, claim: Claim, worker: Worker, worked: float = 0.0) -> State:
    """Keep the job for another lease; gives its state, which says whether to stop. Raises `StaleAttempt`.

    `worked` are the seconds since the last time.
    """
    written = live_rows(job_id=claim.job_id, attempt=claim.attempt).update(
        lease_expires=in_seconds(settings.JOBS_LEASE_SECONDS), worked=F("worked") + worked
    )
    refuse_stale(written=written, job_id=claim.job_id, attempt=claim.attempt)
    Worker.objects.filter(pk=worker.pk).update(heartbeat=Now())
    return job_wish(claim=claim)


def work_count(*, claim: Claim, seconds: float) -> None:
    """Count what was worked since the lease was renewed last. Nothing happens when the attempt is over."""
    live_rows(job_id=claim.job_id, attempt=claim.attempt).update(worked=F("worked") + seconds)


def time_left(*, claim: Claim) -> float:
    """Seconds for which the job may still be worked on, over all its attempts since it was submitted or retried."""
    kind, worked = Job.objects.filter(pk=claim.job_id).values_list("kind", "worked").get()
    return longest_hours(kind) * 3600 - worked


def job_overdue(*, claim: Claim) -> State:
    """It was worked on for longer than jobs of its kind may be. Raises `StaleAttempt`."""
    kind = Job.objects.filter(pk=claim.job_id).values_list("kind", flat=True).get()
    label, hours = KINDS[kind].label, longest_hours(kind)
    longest = span(hours * 3600)
    return job_fail(
        claim=claim,
        code=TOO_LONG,
        message=f"It was worked on for {longest}, the longest that a job of the kind {label} may take",
    )


def longest_hours(kind: str) -> float:
    """How long jobs of a kind may be worked on: the operator's setting, else the kind's own."""
    found: float = settings.JOBS_LONGEST_HOURS.get(kind, KINDS[kind].longest_hours)
    return found


def job_wish(*, claim: Claim) -> State:
    """The live attempt's state: running, pausing or cancelling. Raises `StaleAttempt`."""
    state = live_rows(job_id=claim.job_id, attempt=claim.attempt).values_list("state", flat=True).first()
    refuse_stale(written=state is not None, job_id=claim.job_id, attempt=claim.attempt)
    return State(state)


# --- ends ----------------------------------------------------------------------------------------------------------


def job_finish(*, claim: Claim) -> State:
    """The work is done. A job that was to be cancelled is cancelled nevertheless. Raises `StaleAttempt`."""
    return _end(
        claim,
        (State.RUNNING, State.PAUSING),
        (State.SUCCEEDED, "Finished.", {"ended": Now()}),
        (State.CANCELLING, State.CANCELLED, "Cancelled.", {"ended": Now()}),
    )


def job_fail(*, claim: Claim, code: str, message: str) -> State:
    """It cannot be done, and trying again would not help. Raises `StaleAttempt`."""
    columns = {"ended": Now(), "error_code": code[:40], "error_message": message}
    return _end(
        claim,
        (State.RUNNING, State.PAUSING),
        (State.FAILED, f"Failed: {message}", columns),
        (State.CANCELLING, State.CANCELLED, "Cancelled.", {"ended": Now()}),
    )


def job_stopped(*, claim: Claim) -> State:
    """The child stopped because it was told to: pause, cancel, or drain. Not a failure. Raises `StaleAttempt`."""
    place = _place(claim.job_id)
    return _end(
        claim,
        (State.RUNNING,),
        (State.QUEUED, f"The worker was told to stop; the job goes on elsewhere{place or ' from the beginning'}.", {}),
        (State.PAUSING, State.PAUSED, f"Paused; it will go on{place or ' from the beginning'}.", {}),
        (State.CANCELLING, State.CANCELLED, "Cancelled.", {"ended": Now()}),
    )


def job_crashed(*, claim: Claim, account: str) -> State:
    """The child died or broke. Back to the queue until it has happened too often. Raises `StaleAttempt`."""
    state = _count_failure(claim, code=CRASHED, account=account)
    if state is None:
        raise StaleAttempt(f"attempt {claim.attempt} of job {claim.job_id} is over")
    return state


def leases_reclaim() -> list[UUID]:
    """Take back every job whose lease has run out; gives their ids."""
    lost = []
    for job in expired_jobs().select_related("worker"):
        seen = job.worker.heartbeat if job.worker else job.lease_expires
        who = f"The worker {job.worker.name}" if job.worker else "The worker"
        account = f"{who} vanished at {clock(seen)}"
        # Still expired: a supervisor may have renewed it since.
        if _count_failure(Claim(job.pk, job.attempt), LEASE_LOST, account, lease_expires__lt=Now()):
            lost.append(job.pk)
    return lost


def _count_failure(claim: Claim, code: str, account: str, **only: Any) -> State | None:
    job = Job.objects.filter(pk=claim.job_id).values_list("failures", "max_failures").first()
    if job is None:
        return None
    failures, most = job[0] + 1, job[1]
    place = _place(claim.job_id) or " from the beginning"
    counted = {"failures": failures}
    if failures >= most:
        times = f" This has happened {failures} times; the job is not tried again by itself." if failures > 1 else ""
        ended = counted | {"ended": Now(), "error_code": code, "error_message": f"{account}.{times}"}
        queued = (State.FAILED, f"{account}.{times}", ended)
        paused = (State.PAUSING, *queued)
    else:
        queued = (State.QUEUED, f"{account}; the job goes on{place} as soon as a worker is free.", counted)
        paused = (State.PAUSING, State.PAUSED, f"{account}; the job is paused and will go on{place}.", counted)
    cancelled = (State.CANCELLING, State.CANCELLED, f"{account}. Cancelled.", counted | {"ended": Now()})
    try:
        return _end(claim, (State.RUNNING,), queued, paused, cancelled, only={"failures": failures - 1, **only})
    except StaleAttempt:
        return None


def _end(
    claim: Claim,
    sources: tuple[State, ...],
    plain: tuple[State, str, dict[str, Any]],
    *others: tuple[State, State, str, dict[str, Any]],
    only: Mapping[str, Any] | None = None,
) -> State:
    """From whichever state the job is in to what follows it there. The state may change meanwhile: twice round."""
    ways = [(sources, *plain), *(((source,), to, text, columns) for source, to, text, columns in others)]
    for origin, to, text, columns in ways * 2:
        with transaction.atomic():
            if job_move(
                job_id=claim.job_id, attempt=claim.attempt, sources=origin, to=to, text=text, only=only, **columns
            ):
                Worker.objects.filter(current_job=claim.job_id).update(current_job=None)
                _stages_stop(claim.job_id, to)
                shard_settle_on_commit(job_id=claim.job_id, told=text if to in (State.QUEUED, State.FAILED) else "")
                return to
    raise StaleAttempt(f"attempt {claim.attempt} of job {claim.job_id} is over")


def _stages_stop(job_id: UUID, to: State) -> None:
    """No part of a job runs that does not run itself: its parts end with it, or wait for the next attempt."""
    columns = {"state": to, "ended": Now()} if to in ENDED else {"state": State.QUEUED}
    JobStage.objects.filter(job_id=job_id, state=State.RUNNING).update(**columns)


def _place(job_id: UUID, *, begun: bool = True) -> str:
    """Where a job goes on, for sentences: " from tree 1,210", " with 7 of 21 stages done", or nothing."""
    last = Checkpoint.objects.filter(job_id=job_id).exclude(label="").order_by("-id").values_list("label", flat=True)
    if label := last.first():
        return f" from {label}"
    job = Job.objects.select_related("parent").get(pk=job_id)
    standing = standing_of(job.parent or job)
    if standing and standing.done:
        following = f"from {standing.unit.removesuffix('s')} {standing.done + 1:,}"
        return f" {standing.place or following}"
    return " from where it was" if begun and KINDS[job.kind].goes_on else ""
