"""A job that several workers share: a parent without queue and lease, and shards with the same specification that are
claimed like any job. What people ask of the parent is passed down; how the parent stands is derived from its shards.

`parent_settle` does both. It is called when a shard has changed state, and by the sweep for what was missed; any number
of processes may call it at once.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Now

from webapp.jobs.dispatch import ring_on_commit
from webapp.jobs.kinds import KINDS, Kind
from webapp.jobs.models import Job, State
from webapp.jobs.transitions import ENDED, LIVE, event_append, in_seconds, job_move

PARTLY_DONE = "shards-failed"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far shared work is, over all shards and attempts."""

    done: int
    total: int
    unit: str
    complete: bool
    result: Mapping[str, Any] | None = None
    """Of the whole, once it is complete."""
    place: str = ""
    """How a sentence says where it goes on; empty: from the next of its units."""


def shards_create(*, parent: Job, kind: Kind, count: int) -> None:
    """The shards of a new parent, waiting in the kind's queue. Within the transaction that makes the parent."""
    copied = ("team_id", "kind", "spec", "spec_hash", "priority", "max_failures", "created_by_id")
    same = {name: getattr(parent, name) for name in copied}
    for number in range(1, count + 1):
        shard = Job.objects.create(
            **same, title=f"{parent.title[:180]}, part {number} of {count}", parent=parent, queue=kind.queue
        )
        event_append(job_id=shard.pk, kind="state", text="Waiting for a worker.", data={"state": State.QUEUED})
        ring_on_commit(queue=kind.queue)


def shards_queue_again(*, parent: Job, sources: tuple[State, ...], text: str, **columns: Any) -> None:
    """Put those shards back into their queue that are in one of these states."""
    for shard_id, queue in parent.shards.filter(state__in=sources).values_list("pk", "queue"):
        if job_move(job_id=shard_id, sources=sources, to=State.QUEUED, text=text, **columns):
            ring_on_commit(queue=queue)


def standing_of(job: Job) -> Standing | None:
    """How far the work of a kind that shards share is; none for other kinds."""
    name = KINDS[job.kind].standing
    if not name:
        return None
    module, _, attribute = name.rpartition(".")
    # By name: the app that has the work imports jobs.
    found: Callable[..., Standing] = getattr(import_module(module), attribute)
    return found(job_id=job.pk)


def shard_settle_on_commit(*, job_id: UUID, told: str = "") -> None:
    """After the present transaction: if the job is a shard, let its parent follow. What was missed the sweep does.

    `told`: something that happened to the shard and that readers of the parent should know.
    """

    def settle() -> None:
        row = Job.objects.filter(pk=job_id, parent__isnull=False).values_list("parent", "title").first()
        if row is None:
            return
        if told:
            part = row[1].rpartition(", ")[2].capitalize()
            event_append(job_id=row[0], kind="warning", text=f"{part}: {told}", data={"shard": str(job_id)})
        parent_settle(parent_id=row[0])

    transaction.on_commit(settle, robust=True)


def parents_open() -> QuerySet[Job]:
    """Parents whose shards may still move."""
    open_shards = Q(shards__state__in=set(State) - ENDED)
    parents = Job.objects.filter(queue="", parent=None)
    return parents.filter(~Q(state__in=ENDED) | open_shards).order_by().distinct()


def parent_settle(*, parent_id: UUID) -> State:
    """Pass down what the parent was asked, then derive how it stands; gives its state."""
    parent = Job.objects.get(pk=parent_id)
    _pass_down(parent)
    states = set(parent.shards.values_list("state", flat=True))
    if states:
        _follow(parent, states)
    return State(Job.objects.values_list("state", flat=True).get(pk=parent_id))


def parent_progress(*, parent_id: UUID) -> None:
    """Write how far the shared work is on the parent's row; at most one event a second."""
    parent = Job.objects.get(pk=parent_id)
    standing = standing_of(parent)
    if standing is None:
        return
    rows = Job.objects.filter(pk=parent_id)
    rate = parent.shards.filter(state__in=LIVE).aggregate(rate=Sum("rate"))["rate"]
    due = Q(progress_event_at=None) | Q(progress_event_at__lt=in_seconds(-settings.JOBS_PROGRESS_SECONDS))
    with transaction.atomic():
        rows.update(done=standing.done, total=standing.total, unit=standing.unit, rate=rate)
        if rows.filter(due).update(progress_event_at=Now()):
            data = {"done": standing.done, "total": standing.total, "unit": standing.unit, "rate": rate}
            event_append(job_id=parent_id, kind="progress", data=data)


def _pass_down(parent: Job) -> None:
    match parent.state:
        case State.QUEUED | State.RUNNING:
            return _wake(parent)
        case State.PAUSING | State.PAUSED:
            waiting, running, text = State.PAUSED, State.PAUSING, "Paused with the whole."
        case State.CANCELLING | State.CANCELLED:
            waiting, running, text = State.CANCELLED, State.CANCELLING, "Cancelled with the whole."
        case _:
            return
    idle = (State.QUEUED,) if waiting == State.PAUSED else (State.QUEUED, State.PAUSED)
    busy = (State.RUNNING,) if waiting == State.PAUSED else (State.RUNNING, State.PAUSING)
    ended = {"ended": Now()} if waiting == State.CANCELLED else {}
    for shard_id, state in parent.shards.values_list("pk", "state"):
        if state in idle:
            job_move(job_id=shard_id, sources=idle, to=waiting, text=text, only=_still(parent), **ended)
        elif state in busy:
            job_move(job_id=shard_id, sources=busy, to=running, text=text, only=_still(parent))


def _wake(parent: Job) -> None:
    """A shard that came to its pause only when the whole had been resumed goes on too; its queue is rung by others."""
    for shard_id in parent.shards.filter(state=State.PAUSED).values_list("pk", flat=True):
        text = "Resumed with the whole."
        job_move(job_id=shard_id, sources=(State.PAUSED,), to=State.QUEUED, text=text, only=_still(parent))


def _still(parent: Job) -> dict[str, Any]:
    """Somebody may have asked something else of the whole since it was read.

    No join: Django would put all conditions of the UPDATE into a subquery, where PostgreSQL does not look again after
    it has waited for the row.
    """
    return {"parent__in": Job.objects.filter(pk=parent.pk, state=parent.state)}


def _follow(parent: Job, states: set[str]) -> None:
    """One step or two along `MOVES`; each is compare-and-set, so that of several callers one does it."""
    live = bool(states & LIVE)
    over = states <= ENDED
    match parent.state:
        case State.QUEUED if live or over:
            begun = {} if parent.started else {"started": Now()}
            job_move(job_id=parent.pk, sources=(State.QUEUED,), to=State.RUNNING, text=_begun(parent), **begun)
            if over:
                _finish(parent, (State.RUNNING,))
        case State.RUNNING | State.PAUSING if over:
            _finish(parent, (State.RUNNING, State.PAUSING))
        case State.RUNNING if not live:
            job_move(
                job_id=parent.pk, sources=(State.RUNNING,), to=State.QUEUED, text="No worker is free; it waits for one."
            )
        case State.PAUSING if not live:
            job_move(job_id=parent.pk, sources=(State.PAUSING,), to=State.PAUSED, text="Paused; it keeps its place.")
        case State.CANCELLING if not live:
            job_move(job_id=parent.pk, sources=(State.CANCELLING,), to=State.CANCELLED, text="Cancelled.", ended=Now())


def _begun(parent: Job) -> str:
    return "Started." if parent.started is None else "Resumed."


def _finish(parent: Job, sources: tuple[State, ...]) -> None:
    standing = standing_of(parent)
    assert standing is not None
    progress = {"done": standing.done, "total": standing.total, "unit": standing.unit, "rate": None}
    if standing.complete:
        columns = progress | {"ended": Now(), "result": dict(standing.result or {})}
        job_move(job_id=parent.pk, sources=sources, to=State.SUCCEEDED, text="Finished.", **columns)
        return
    failed = parent.shards.exclude(error_message="").order_by("-ended").values_list("error_message", flat=True).first()
    message = f"{failed or 'Its parts ended before all was done.'} A retry goes on from what is stored."
    columns = progress | {"ended": Now(), "error_code": PARTLY_DONE, "error_message": message}
    job_move(job_id=parent.pk, sources=sources, to=State.FAILED, text=f"Failed: {message}", **columns)
