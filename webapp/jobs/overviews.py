"""Reads for pages and their sockets: a team's list, one job's page, the operators' page. Each is bounded."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404
from django.utils import timezone

from webapp.accounts.models import Membership, Team, User
from webapp.accounts.rules import RULES, Action
from webapp.jobs.kinds import KINDS
from webapp.jobs.models import Checkpoint, DeviceLease, Job, JobEvent, State, Worker
from webapp.jobs.transitions import ENDED, LIVE

ACTIVE = (State.QUEUED, *sorted(LIVE), State.PAUSED)
"""States of jobs that have not ended."""
COUNTED_TO = 1000
"""Counts of a list stop here: "1,000 or more"."""

UNLISTED = [name for name, kind in KINDS.items() if not kind.listed]
"""Kinds that pages ask for behind the scenes."""

# --- a team's jobs -------------------------------------------------------------------------------------------------


def team_jobs(*, team_id: UUID, states: Collection[str] = (), kinds: Collection[str] = ()) -> QuerySet[Job]:
    """A team's jobs for a list, newest first; shards are left to their parent."""
    rows = Job.objects.filter(team=team_id, parent=None).exclude(kind__in=UNLISTED).select_related("created_by", "team")
    if states:
        rows = rows.filter(state__in=states)
    if kinds:
        rows = rows.filter(kind__in=kinds)
    return rows.order_by("-id").defer("spec", "result")


def team_counts(*, team: Team) -> dict[str, int]:
    """How many jobs of the team wait, run, are paused, failed and succeeded; each up to `COUNTED_TO`."""
    rows = Job.objects.filter(team=team, parent=None).exclude(kind__in=UNLISTED).order_by()
    counts = {state: rows.filter(state=state)[:COUNTED_TO].count() for state in (State.FAILED, State.SUCCEEDED)}
    counts |= dict(rows.filter(state__in=ACTIVE).values_list("state").annotate(Count("pk")))
    return {
        "queued": counts.get(State.QUEUED, 0),
        "running": sum(counts.get(state, 0) for state in LIVE),
        "paused": counts.get(State.PAUSED, 0),
        "failed": counts[State.FAILED],
        "succeeded": counts[State.SUCCEEDED],
    }


def team_kinds(*, team: Team) -> list[str]:
    """The kinds of which the team has jobs."""
    kinds = Job.objects.filter(team=team, parent=None).order_by().values_list("kind", flat=True).distinct()
    return sorted(kind for kind in kinds if kind not in UNLISTED)


# --- one job -------------------------------------------------------------------------------------------------------


def told_events(*, job: Job, before: int | None = None, size: int = 100) -> list[JobEvent]:
    """What happened, for reading, newest first: without the reports of progress."""
    rows = JobEvent.objects.filter(job=job).exclude(kind="progress")
    if before is not None:
        rows = rows.filter(seq__lt=before)
    return list(rows.order_by("-seq")[:size])


def shards_of(*, job: Job) -> list[Job]:
    """The parts of a job that several workers share."""
    return list(Job.objects.filter(parent=job).select_related("worker", "team").order_by("id").defer("spec", "result"))


def newest_checkpoints(*, job: Job, size: int = 10) -> tuple[int, list[Checkpoint]]:
    """How many there are, and the newest."""
    rows = Checkpoint.objects.filter(job=job)
    return rows.count(), list(rows.order_by("-id")[:size])


def ended_since(*, user: User, since: datetime, size: int = 5) -> list[Job]:
    """A person's jobs that ended after a moment, newest first, as far as they may see them now.

    Without those that pages asked for behind the scenes.
    """
    teams = Membership.objects.filter(user=user, role__in=RULES[Action.JOB_VIEW]).values("team")
    theirs = Q(team__in=teams) | Q(team__is_system=True, created_by__is_operator=True)
    rows = Job.objects.filter(theirs, created_by=user, parent=None, state__in=ENDED, ended__gt=since)
    rows = rows.exclude(kind__in=UNLISTED)
    return list(rows.select_related("team").order_by("-ended").defer("spec", "result")[:size])


# --- the instance --------------------------------------------------------------------------------------------------


def any_job(*, job_id: UUID) -> Job:
    """For operators: a job of whatever team; a team's is shown without its content. Raises `Http404`."""
    found = Job.objects.filter(pk=job_id).select_related("team", "created_by", "worker").first()
    if found is None:
        raise Http404("There is no such job.")
    return found


def failed_jobs(*, size: int = 25) -> list[Job]:
    """For operators: what failed last. They are shown id, kind, team and cause, never the rest."""
    rows = Job.objects.filter(state=State.FAILED).order_by("-ended").select_related("team")
    return list(rows.defer("spec", "result", "title")[:size])


def own_jobs(*, size: int = 10) -> list[Job]:
    """For operators: the instance's own jobs (self-checks, backups), newest first."""
    rows = Job.objects.filter(team__is_system=True).select_related("team", "created_by")
    return list(rows.order_by("-id").defer("spec", "result")[:size])


def device_leases(*, size: int = 200) -> list[DeviceLease]:
    """For operators: who holds which device until when."""
    return list(DeviceLease.objects.filter(expires__gte=Now()).order_by("host", "device_uuid", "id")[:size])


def alive_since() -> datetime:
    """A worker whose heartbeat is older than this counts as gone."""
    return timezone.now() - timedelta(seconds=settings.JOBS_LEASE_SECONDS)


def workers_summary() -> dict[str, dict[str, int]]:
    """For everybody: how many workers of each queue are alive, how many of these have a job, and how many GPUs."""
    found: dict[str, dict[str, int]] = {}
    for worker in Worker.objects.filter(heartbeat__gte=alive_since(), draining=False):
        counts = found.setdefault(worker.queue, {"alive": 0, "busy": 0, "gpus": 0})
        counts["alive"] += 1
        counts["busy"] += worker.current_job_id is not None
        counts["gpus"] += sum(1 for one in worker.devices if isinstance(one, dict) and "mebibytes" in one)
    return found
