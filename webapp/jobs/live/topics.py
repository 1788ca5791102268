"""What can be watched: one job, a team's jobs, the instance, the ends of a person's jobs.

A topic reads the database once for everybody who watches it in this process. All of its methods are called with the
database at hand, one after the other.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from webapp.accounts.models import Team, User
from webapp.jobs import overviews, selectors
from webapp.jobs.live.hints import OPERATIONS, job_group, person_group, team_group
from webapp.jobs.live.parts import changed, event_rows, job_parts, job_row, operations_parts
from webapp.jobs.models import Job, State
from webapp.jobs.standing import kind_label, standing_of
from webapp.jobs.transitions import ENDED

ROWS = 100
"""Jobs of a team that are compared with the database at every check: the newest, and those that have not ended."""


@dataclass(frozen=True, slots=True)
class News:
    """A message for all who watch: what came after the event `after`, up to `last`. Without these: always new."""

    text: str
    after: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Hint:
    """That a job has something up to `seq`; 0: not an event, but points of a curve."""

    job: UUID | None
    seq: int


class Topic(Protocol):
    """Something that is watched. Two of the same group are the same."""

    group: str
    spacing: float
    """Seconds between two reads: hints that come closer are answered together."""

    def begin(self) -> None:
        """Note where things stand, before anybody is told anything."""

    def news(self, hints: Collection[Hint]) -> list[News]:
        """What has changed since; without hints by comparing with the database."""


class JobTopic:
    """One job: its parts, and its events after the last one."""

    spacing = 0.1

    def __init__(self, job_id: UUID) -> None:
        self.group = job_group(job_id)
        self._job_id = job_id
        self._last = 0
        self._parts: dict[str, str] = {}

    def begin(self) -> None:
        """Where the job stands."""
        self._last = (Job.objects.filter(pk=self._job_id).values_list("next_seq", flat=True).first() or 1) - 1

    def news(self, hints: Collection[Hint]) -> list[News]:
        """Events and parts; that there are new points of curves."""
        if not hints:
            known = Job.objects.filter(pk=self._job_id).values_list("next_seq", flat=True).first()
            if known is None or known - 1 <= self._last:
                return []
        found: list[News] = []
        if not hints or any(hint.seq > self._last for hint in hints):
            found = job_news(job_id=self._job_id, after=self._last, parts=self._parts)
            self._last = max((each.last for each in found), default=self._last)
        if any(not hint.seq for hint in hints):
            found.append(News(json.dumps({"type": "job", "metrics": True})))
        return found


EVENTS = 200


def job_news(*, job_id: UUID, after: int, parts: dict[str, str] | None = None) -> list[News]:
    """Messages that bring a page from the event `after` to where the job is now; of several, the last has the parts.

    The row is read first: what it says of the counter is committed, and so are all events up to it. With `parts`
    those that are known already are left out.
    """
    rows = Job.objects.filter(pk=job_id).select_related("team", "created_by", "worker")
    job = rows.first()
    if job is None:
        return []
    found: list[News] = []
    while True:
        events = selectors.events_after(job=job, seq=after, size=EVENTS)
        is_last = len(events) < EVENTS
        last = events[-1].seq if events else after
        if is_last:
            last = max(last, job.next_seq - 1)
        message: dict[str, Any] = {
            "type": "job",
            "after": after,
            "seq": last,
            "state": job.state,
            "attempt": job.attempt,
        }
        told = [event for event in events if event.kind != "progress"]
        if told:
            message["events"] = event_rows(told)
        if is_last:
            if events and events[-1].seq >= job.next_seq:  # newer than the row that was read
                job = rows.get()
                message |= {"state": job.state, "attempt": job.attempt}
            drawn = job_parts(job)
            message["parts"] = drawn if parts is None else changed(drawn, parts)
        found.append(News(json.dumps(message), after, last))
        if is_last:
            return found
        after = last


class TeamTopic:
    """A team's jobs: the rows of those that changed, and how many there are in each state."""

    spacing = 0.25

    def __init__(self, team: Team) -> None:
        self.group = team_group(team.pk)
        self._team = team
        self._known: dict[UUID, tuple[int, str]] = {}

    def begin(self) -> None:
        """Where the jobs stand."""
        self._known = self._present()

    def news(self, hints: Collection[Hint]) -> list[News]:
        """Rows of the jobs that were hinted at, or that differ from what is known."""
        if hints:
            wanted = {hint.job for hint in hints if hint.job}
        else:
            present = self._present()
            wanted = {job for job, standing in present.items() if self._known.get(job) != standing}
        if not wanted:
            return []
        rows = overviews.team_jobs(team_id=self._team.pk)
        jobs = list(rows.filter(Q(pk__in=wanted) | Q(shards__in=wanted)).distinct())
        moved = any(self._known.get(job.pk, (0, ""))[1] != job.state for job in jobs)
        self._known.update({job.pk: (job.next_seq, job.state) for job in jobs})
        message: dict[str, Any] = {"type": "jobs", "rows": [job_row(job) for job in jobs]}
        if moved:
            message["counts"] = overviews.team_counts(team=self._team)
        return [News(json.dumps(message))] if jobs else []

    def _present(self) -> dict[UUID, tuple[int, str]]:
        rows = overviews.team_jobs(team_id=self._team.pk)
        fields = ("pk", "next_seq", "state")
        newest = rows.values_list(*fields)[:ROWS]
        active = rows.filter(state__in=overviews.ACTIVE).values_list(*fields)[:ROWS]
        return {job: (seq, state) for job, seq, state in [*newest, *active]}


def rows_since(*, team: Team, have: dict[UUID, int]) -> str:
    """What brings a page of a list up to date: rows newer than what it has, and jobs newer than all."""
    rows = overviews.team_jobs(team_id=team.pk)
    changed_rows = [job for job in rows.filter(pk__in=list(have)) if job.next_seq - 1 > have[job.pk]]
    newest = list(rows.filter(pk__gt=max(have))[:50]) if have else list(rows[:50])
    drawn = [job_row(job) for job in [*changed_rows, *reversed(newest)]]
    return json.dumps({"type": "jobs", "rows": drawn, "counts": overviews.team_counts(team=team)})


class OperationsTopic:
    """The operators' page: the parts that changed."""

    group = OPERATIONS
    spacing = 1.0

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}

    def begin(self) -> None:
        """What it looks like."""
        changed(operations_parts(), self._parts)

    def news(self, hints: Collection[Hint]) -> list[News]:
        """Drawn anew, with or without a hint: heartbeats make none."""
        fresh = changed(operations_parts(), self._parts)
        return [News(json.dumps({"type": "operations", "parts": fresh}))] if fresh else []


class PersonTopic:
    """The ends of a person's own jobs."""

    spacing = 0.1

    def __init__(self, user: User) -> None:
        self.group = person_group(user.pk)
        self._user = user
        self._since = timezone.now()

    def begin(self) -> None:
        """From now on."""
        self._since = timezone.now()

    def news(self, hints: Collection[Hint]) -> list[News]:
        """Jobs that ended since."""
        jobs = overviews.ended_since(user=self._user, since=self._since)
        self._since = max((job.ended for job in jobs if job.ended), default=self._since)
        return [News(end_message(job)) for job in reversed(jobs)]


def end_message(job: Job) -> str:
    """What a page says of a job that ended."""
    said = {
        State.SUCCEEDED: "has finished.",
        State.FAILED: f"has failed: {job.error_message}",
        State.CANCELLED: "was cancelled.",
    }
    url = (
        reverse("operations-job", args=[job.pk]) if job.team.is_system else reverse("job", args=[job.team.slug, job.pk])
    )
    message = {
        "type": "end",
        "job": str(job.pk),
        "title": str(job) or kind_label(job.kind),
        "said": said[State(job.state)],
        "advice": standing_of(job).advice,
        "state": job.state,
        "team": job.team.name,
        "url": url,
        "ended": job.ended.isoformat() if job.ended else "",
    }
    assert job.state in ENDED
    return json.dumps(message)
