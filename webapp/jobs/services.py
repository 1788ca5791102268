"""What people ask of jobs. Each leaves a line in the audit log; what starts something rings its queue on commit."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from pydantic import ValidationError

from meds3core.config.jobs import JOB_SPEC, JobSpec, SearchSpec
from meds3core.config.references import Registered, references
from webapp.accounts.models import Door, Team
from webapp.accounts.services import Actor, audit_write
from webapp.common.invalid import where_and_what
from webapp.jobs.dispatch import ring_on_commit
from webapp.jobs.kinds import KINDS, Kind
from webapp.jobs.models import Job, JobInput, State, TeamShare, Worker
from webapp.jobs.references import references_check
from webapp.jobs.shards import parent_settle, shards_create, shards_queue_again
from webapp.jobs.transitions import ENDED, JobError, event_append, job_move


def job_submit(
    *,
    actor: Actor,
    team: Team,
    spec: JobSpec | Mapping[str, Any],
    title: str = "",
    priority: int = 0,
    origin: Job | None = None,
) -> Job:
    """A new job, waiting in its kind's queue; one that workers share waits as its shards.

    Raises `JobError` for what cannot be run, and `QueueUnreachable` when the job is stored but nobody could be told.
    """
    checked = spec_check(actor=actor, team=team, spec=spec)
    kind = KINDS[checked.kind]
    content = checked.model_dump(mode="json")
    shards = checked.shards if isinstance(checked, SearchSpec) else 1
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    with transaction.atomic():
        TeamShare.objects.get_or_create(team=team)
        job = Job.objects.create(
            team=team,
            kind=checked.kind,
            title=title or kind.label,
            spec=content,
            spec_hash=hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest(),
            queue=kind.queue if shards == 1 else "",
            priority=priority,
            max_failures=kind.max_failures,
            origin=origin,
            created_by=actor.user,
        )
        things = {(one.kind, one.id) for one in references(checked) if isinstance(one, Registered)}
        JobInput.objects.bulk_create(JobInput(job=job, kind=noun, thing=thing) for noun, thing in sorted(things))
        event_append(job_id=job.pk, kind="state", text=f"Submitted by {actor.name}.", data={"state": State.QUEUED})
        audit_write(actor=actor, verb="job.submitted", team=team, subject=str(job.pk), kind=job.kind)
        if shards == 1:
            ring_on_commit(queue=job.queue)
        else:
            shards_create(parent=job, kind=kind, count=shards)
    job.refresh_from_db()
    return job


def spec_check(*, actor: Actor, team: Team, spec: JobSpec | Mapping[str, Any]) -> JobSpec:
    """The specification, if this version can run it and the team has what it refers to. Raises `JobError`."""
    try:
        checked = JOB_SPEC.validate_python(spec)
    except ValidationError as error:
        # Names of fields and rules, no values: a value may be content.
        problems = "; ".join(f"{place or 'it'}: {what}" for place, what in where_and_what(error.errors()))
        raise JobError(f"The settings of the job do not fit. {problems}") from None
    kind = KINDS[checked.kind]
    if not kind.offered:
        raise JobError(f"This version cannot run jobs of the kind {kind.label!r} yet.")
    _operators_only(actor, kind)
    references_check(team=team, spec=checked)
    return checked


def job_cancel(*, actor: Actor, job: Job) -> Job:
    """End it for good: at once when nobody works on it, else after the worker's grace. A cancelled job stays so."""
    by = f"by {actor.name}"
    waiting, running = (State.QUEUED, State.PAUSED), (State.RUNNING, State.PAUSING)
    return _ask(
        actor,
        job,
        "job.cancelled",
        lambda: (
            job_move(job_id=job.pk, sources=waiting, to=State.CANCELLED, text=f"Cancelled {by}.", ended=Now())
            or job_move(job_id=job.pk, sources=running, to=State.CANCELLING, text=f"Cancel asked for {by}.")
        ),
    )


def job_pause(*, actor: Actor, job: Job) -> Job:
    """Stop after a checkpoint and keep the place; `job_resume` goes on from there."""
    by = f"by {actor.name}"
    return _ask(
        actor,
        job,
        "job.paused",
        lambda: (
            job_move(job_id=job.pk, sources=(State.QUEUED,), to=State.PAUSED, text=f"Paused {by}.")
            or job_move(job_id=job.pk, sources=(State.RUNNING,), to=State.PAUSING, text=f"Pause asked for {by}.")
        ),
    )


def job_resume(*, actor: Actor, job: Job) -> Job:
    """Put a paused job back into its queue."""
    return _queue_again(actor, job, "job.resumed", (State.PAUSED,), f"Resumed by {actor.name}.")


def job_retry(*, actor: Actor, job: Job) -> Job:
    """Put a failed or cancelled job back into its queue, with a clean count of failures; it goes on from its place."""
    blank = {"failures": 0, "error_code": "", "error_message": "", "ended": None}
    blank |= {"worked": 0.0, "notice_due": False, "thinned": False}
    return _queue_again(
        actor, job, "job.retried", (State.FAILED, State.CANCELLED), f"Tried again by {actor.name}.", **blank
    )


def job_run_again(*, actor: Actor, job: Job) -> Job:
    """A new job with the same specification."""
    if job.parent_id is not None:
        raise JobError(f"{job} is a part of work that several workers share. Run the whole again.")
    if job.state not in ENDED:
        raise JobError(f"{job} has not ended. Run it again afterwards, or submit another one.")
    return job_submit(actor=actor, team=job.team, spec=job.spec, title=job.title, priority=job.priority, origin=job)


def worker_drain(*, actor: Actor, worker: Worker, draining: bool = True) -> None:
    """Let a worker finish: its job checkpoints and goes back to the queue, and it claims no other; or let it work."""
    Worker.objects.filter(pk=worker.pk).update(draining=draining)
    audit_write(actor=actor, verb="worker.drained" if draining else "worker.released", team=None, subject=worker.name)


def team_limit_set(*, actor: Actor, team: Team, limit: int | None) -> None:
    """How many of the team's jobs run at once; none: as the instance's setting."""
    TeamShare.objects.update_or_create(team=team, defaults={"limit": limit})
    audit_write(actor=actor, verb="team.limited", team=team, subject=team.name, limit=limit)


def _queue_again(actor: Actor, job: Job, verb: str, sources: tuple[State, ...], text: str, **columns: Any) -> Job:
    def move() -> bool:
        moved = job_move(job_id=job.pk, sources=sources, to=State.QUEUED, text=text, **columns)
        if moved and job.queue:
            ring_on_commit(queue=job.queue)
        elif moved:
            shards_queue_again(parent=job, sources=sources, text=text, **columns)
        return moved

    return _ask(actor, job, verb, move)


def _ask(actor: Actor, job: Job, verb: str, move: Any) -> Job:
    """Do it, write it down, and give the job as it is now. Raises `JobError` when the job's state does not allow it."""
    _operators_only(actor, KINDS[job.kind])
    if job.parent_id is not None:
        raise JobError(f"{job} is a part of work that several workers share. Ask it of the whole.")
    with transaction.atomic():
        moved = move() or move()  # it may have changed state between the two tries of one move
        if moved:
            audit_write(actor=actor, verb=verb, team=job.team, subject=str(job.pk), kind=job.kind)
    if moved and not job.queue:
        parent_settle(parent_id=job.pk)  # its shards follow
    present = Job.objects.select_related("team").get(pk=job.pk)
    if not moved:
        word = verb.removeprefix("job.")
        raise JobError(f"{present} is {present.get_state_display().lower()} and cannot be {word} now.")
    return present


def _operators_only(actor: Actor, kind: Kind) -> None:
    allowed = actor.via == Door.SYSTEM or (actor.user is not None and actor.user.is_operator)
    if kind.operators_only and not allowed:
        raise JobError(f"{kind.label} is for the people who run this instance. Ask an operator.")
