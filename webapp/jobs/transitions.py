"""How a job changes state: one compare-and-set UPDATE, with its event in the same transaction.

A write of a worker names the attempt it is for. Once the job has gone on without it, the row does not match any more,
nothing is written, and `StaleAttempt` is raised.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.formats import date_format

from meds3core.errors import AppError, UserError
from webapp.jobs.live.hints import OPERATIONS, hint_on_commit, job_group, person_group, team_group
from webapp.jobs.models import Job, JobEvent, State
from webapp.webhooks.firing import webhooks_fire
from webapp.webhooks.models import Event

LIVE = frozenset({State.RUNNING, State.PAUSING, State.CANCELLING})
"""A worker holds the job's lease."""

ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

MOVES: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.PAUSED, State.CANCELLED}),
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.QUEUED, State.PAUSING, State.CANCELLING}),
    State.PAUSING: frozenset({State.PAUSED, State.CANCELLING, State.SUCCEEDED, State.FAILED}),
    State.PAUSED: frozenset({State.QUEUED, State.CANCELLED}),
    State.CANCELLING: frozenset({State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
}
"""What may follow each state."""


CALLED: Mapping[State, Event] = {
    State.SUCCEEDED: Event.JOB_SUCCEEDED,
    State.FAILED: Event.JOB_FAILED,
    State.CANCELLED: Event.JOB_CANCELLED,
    State.PAUSED: Event.JOB_PAUSED,
}
"""What webhooks are told when a job comes to a state."""


class JobError(UserError):
    """Somebody asked of a job what its state or the rules do not allow; the message says what to do instead."""

    code = "job"


class StaleAttempt(AppError):
    """The job has gone on without this attempt: whoever writes must stop, and nothing was written."""

    code = "stale-attempt"


def job_move(
    *,
    job_id: UUID,
    sources: Collection[State],
    to: State,
    text: str,
    attempt: int | None = None,
    data: Mapping[str, Any] | None = None,
    only: Mapping[str, Any] | None = None,
    **columns: Any,
) -> bool:
    """Change state if the job is in one of `sources` (and at this attempt, and matches `only`); else change nothing.

    Sets `columns` along with it and writes the event `text`. Says whether it happened.
    """
    wrong = [source for source in sources if to not in MOVES[source]]
    if wrong:
        raise ValueError(f"a job does not go from {wrong[0]} to {to}")
    rows = Job.objects.filter(pk=job_id, state__in=sources, **(only or {}))
    if attempt is not None:
        rows = rows.filter(attempt=attempt)
    if to not in LIVE:
        columns |= {"worker": None, "lease_expires": None}
    if to in (State.SUCCEEDED, State.FAILED):
        columns |= {"notice_due": True}
    with transaction.atomic():
        if not rows.update(state=to, **columns):
            return False
        event_append(job_id=job_id, kind="state", text=text, data={"state": str(to), **(data or {})})
        if to in CALLED:
            for team_id in Job.objects.filter(pk=job_id, parent=None).values_list("team_id", flat=True):
                webhooks_fire(team_id=team_id, event=CALLED[to], thing=job_id)
    return True


def event_append(
    *, job_id: UUID, kind: str, text: str = "", data: Mapping[str, Any] | None = None, attempt: int | None = None
) -> int:
    """One event with the next `seq`. With `attempt`: raises `StaleAttempt` unless that attempt is the live one.

    The counter's row stays locked until the transaction ends, so events are committed in the order of `seq`. Open pages
    are told when it has committed.
    """
    key = Job._meta.pk.get_db_prep_value(job_id, connection)
    table = connection.ops.quote_name(Job._meta.db_table)
    fence, values = "", [key]
    if attempt is not None:
        live = sorted(LIVE)
        fence = f" AND attempt = %s AND state IN ({', '.join(['%s'] * len(live))})"
        values += [attempt, *live]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET next_seq = next_seq + 1 WHERE id = %s{fence}"
                " RETURNING next_seq, attempt, team_id, created_by_id",
                values,
            )
            rows = cursor.fetchall()
        if not rows:
            raise StaleAttempt(f"attempt {attempt} of job {job_id} is over")
        seq, present, team_id, person_id = rows[0][0] - 1, rows[0][1], rows[0][2], rows[0][3]
        JobEvent.objects.create(
            job_id=job_id, seq=seq, at=Now(), attempt=present, kind=kind, text=text[:500], data=dict(data or {})
        )
        groups = [job_group(job_id), team_group(UUID(str(team_id)))]
        if kind == "state":
            groups.append(OPERATIONS)
            if person_id and (data or {}).get("state") in ENDED:
                groups.append(person_group(UUID(str(person_id))))
        hint_on_commit(groups=groups, job_id=job_id, seq=int(seq))
    return int(seq)


def live_rows(*, job_id: UUID, attempt: int) -> Any:
    """The job's row, as long as this attempt is the live one: what every write of a worker goes through."""
    return Job.objects.filter(pk=job_id, attempt=attempt, state__in=LIVE)


def refuse_stale(*, written: int, job_id: UUID, attempt: int) -> None:
    """Raise `StaleAttempt` when an UPDATE of `live_rows` met no row."""
    if not written:
        raise StaleAttempt(f"attempt {attempt} of job {job_id} is over")


def in_seconds(seconds: float) -> Any:
    """A moment from now, by the database's clock."""
    return Now() + timedelta(seconds=seconds)


def clock(moment: datetime) -> str:
    """A time of day in sentences, "02:14"."""
    return date_format(timezone.localtime(moment), "H:i")
