"""Reads of jobs. A view, a socket and the API get jobs from here and nowhere else."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, F, Min, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Now
from django.http import Http404

from webapp.accounts.models import Team, User
from webapp.jobs.models import Checkpoint, Job, JobEvent, JobStage, MetricChunk, State, TeamShare, Worker
from webapp.jobs.shards import Standing
from webapp.jobs.transitions import LIVE

PAGE = 50


def jobs_for(*, user: User) -> QuerySet[Job]:
    """The jobs of a person's teams; for an operator also the system team's (self-checks, backups)."""
    mine = Q(team__memberships__user=user)
    if user.is_operator:
        mine |= Q(team__is_system=True)
    return Job.objects.filter(pk__in=Job.objects.filter(mine).values("pk")).select_related("team", "created_by")


def job_of(*, team: Team, job_id: UUID) -> Job:
    """A job of this team. Raises `Http404`, be it another team's or nobody's."""
    found = Job.objects.filter(team=team, pk=job_id).select_related("team", "created_by", "worker").first()
    if found is None:
        raise Http404("There is no such job, or it belongs to another team.")
    return found


def jobs_of(*, team: Team, state: str = "", kind: str = "") -> QuerySet[Job]:
    """A team's jobs without the long columns; shards are left to their parent."""
    rows = Job.objects.filter(team=team, parent=None).select_related("created_by")
    if state:
        rows = rows.filter(state=state)
    if kind:
        rows = rows.filter(kind=kind)
    return rows.defer("spec", "result")


def jobs_page(
    *, team: Team, before: UUID | None = None, state: str = "", kind: str = "", size: int = PAGE
) -> list[Job]:
    """A page of a team's jobs, newest first: those older than the job `before`. Shards are left to their parent."""
    rows = jobs_of(team=team, state=state, kind=kind)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-id")[:size])


def evolution_usable(team: Team, job_id: UUID) -> bool:
    """Whether a loop of the team may take over stages of this one: it is the team's."""
    return Job.objects.filter(team=team, pk=job_id, kind="evolution").exists()


def stages_of(*, job: Job) -> list[JobStage]:
    """A job's named parts: in their planned order, else in the order in which they began."""
    return list(JobStage.objects.filter(job=job).order_by("position", "id"))


def stages_standing(*, job_id: UUID) -> Standing:
    """How far a job is whose parts are all planned beforehand."""
    total = JobStage.objects.filter(job=job_id).count()
    done = JobStage.objects.filter(job=job_id, state=State.SUCCEEDED).count()
    place = f"with {done} of {total} stages done"
    return Standing(done, total, "stages", complete=bool(total) and done == total, place=place)


def events_after(*, job: Job, seq: int, size: int = 500) -> list[JobEvent]:
    """Events after the last one that the reader has, oldest first."""
    return list(JobEvent.objects.filter(job=job, seq__gt=seq).order_by("seq")[:size])


def metrics_of(*, job: Job, name: str | None = None, from_step: int = 0) -> QuerySet[MetricChunk]:
    """A job's curves in the order of their steps."""
    rows = MetricChunk.objects.filter(job=job, first_step__gte=from_step)
    return (rows.filter(name=name) if name else rows).order_by("name", "first_step", "id")


def checkpoints_of(*, job_id: UUID) -> dict[str, Checkpoint]:
    """What is recorded to go on from, by name."""
    return {one.name: one for one in Checkpoint.objects.filter(job_id=job_id).order_by("id")}


def eligible_jobs(*, queue: str) -> QuerySet[Job]:
    """What a worker of the queue may claim, best first: priority, the team with fewest running, age."""
    return under_limit(Job.objects.filter(queue=queue, state=State.QUEUED)).order_by("-priority", "team_running", "id")


def under_limit(rows: QuerySet[Job]) -> QuerySet[Job]:
    """Those whose team may have one more job running; `team_running` says how many it has."""
    running = (
        Job.objects.filter(team=OuterRef("team"), state__in=LIVE, lease_expires__isnull=False)
        .order_by()
        .values("team")
        .annotate(count=Count("pk"))
        .values("count")
    )
    limit = TeamShare.objects.filter(team=OuterRef("team")).values("limit")
    return rows.annotate(
        team_running=Coalesce(Subquery(running), 0),
        team_limit=Coalesce(Subquery(limit), Value(settings.JOBS_TEAM_LIMIT)),
    ).filter(team_running__lt=F("team_limit"))


def expired_jobs() -> QuerySet[Job]:
    """Jobs whose worker did not renew its lease in time, by the database's clock."""
    return Job.objects.filter(state__in=LIVE, lease_expires__lt=Now())


def queues_overview() -> list[dict[str, Any]]:
    """For operators: per queue how many jobs wait and run, and since when the oldest waits. No content."""
    return list(
        Job.objects.exclude(queue="")
        .filter(state__in=[State.QUEUED, *LIVE])
        .order_by()
        .values("queue")
        .annotate(
            queued=Count("pk", filter=Q(state=State.QUEUED)),
            running=Count("pk", filter=Q(state__in=LIVE)),
            oldest_queued=Min("created", filter=Q(state=State.QUEUED)),
        )
        .order_by("queue")
    )


def workers_known() -> QuerySet[Worker]:
    """For operators: the workers, with the job that each one has."""
    return Worker.objects.select_related("current_job", "current_job__team").order_by("queue", "name")


def worker_known(*, worker_id: UUID) -> Worker:
    """For operators: one of them. Raises `Http404`."""
    found = workers_known().filter(pk=worker_id).first()
    if found is None:
        raise Http404("There is no such worker.")
    return found


def team_limits(*, slug: str = "") -> list[dict[str, Any]]:
    """For operators: by team, how many of its jobs may run at once, do run and wait."""
    teams = Team.objects.filter(slug=slug) if slug else Team.objects.all()
    own = dict(TeamShare.objects.exclude(limit=None).values_list("team", "limit"))
    counts = {
        row["team"]: row
        for row in Job.objects.filter(team__in=teams, state__in=[State.QUEUED, *LIVE])
        .exclude(queue="")
        .order_by()
        .values("team")
        .annotate(queued=Count("pk", filter=Q(state=State.QUEUED)), running=Count("pk", filter=Q(state__in=LIVE)))
    }
    return [
        {
            "slug": team.slug,
            "name": team.name,
            "limit": own.get(team.pk, settings.JOBS_TEAM_LIMIT),
            "own": team.pk in own,
            "running": counts.get(team.pk, {}).get("running", 0),
            "queued": counts.get(team.pk, {}).get("queued", 0),
        }
        for team in teams.order_by("name")
    ]


def team_known(*, slug: str) -> Team:
    """For operators: any team. Raises `Http404`."""
    found = Team.objects.filter(slug=slug).first()
    if found is None:
        raise Http404("There is no such team.")
    return found
