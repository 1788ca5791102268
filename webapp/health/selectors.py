"""Reads for those who run the instance: numbers, kinds, states and team names, no content."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, DurationField, ExpressionWrapper, F, Q, Sum
from django.db.models.functions import Now

from webapp.jobs.models import DeviceLease, Job, JobStage, MetricChunk, State, Worker
from webapp.jobs.transitions import ENDED, LIVE, in_seconds


def workers_alive(*, queue: str) -> int:
    """Workers of the queue that were heard of within a lease."""
    heard = in_seconds(-settings.JOBS_LEASE_SECONDS)
    return Worker.objects.filter(queue=queue, heartbeat__gte=heard).count()


def workers_by_queue() -> list[dict[str, Any]]:
    """Per queue: how many workers are known, alive, busy and draining."""
    heard = Q(heartbeat__gte=in_seconds(-settings.JOBS_LEASE_SECONDS))
    counted = {
        "alive": Count("pk", filter=heard),
        "busy": Count("pk", filter=heard & Q(current_job__isnull=False)),
        "draining": Count("pk", filter=heard & Q(draining=True)),
    }
    return list(Worker.objects.order_by().values("queue").annotate(known=Count("pk"), **counted).order_by("queue"))


def device_leases_by_device() -> list[dict[str, Any]]:
    """Per host and device: how much of it is leased."""
    rows = DeviceLease.objects.filter(expires__gte=Now()).order_by()
    counted = rows.values("host", "device_uuid").annotate(leases=Count("pk"), share=Sum("memory_share"))
    return list(counted.order_by("host", "device_uuid"))


def job_counts() -> list[dict[str, Any]]:
    """Per kind and state: how many jobs there are."""
    return list(Job.objects.order_by().values("kind", "state").annotate(count=Count("pk")).order_by("kind", "state"))


def job_durations(*, bounds: Sequence[float]) -> list[dict[str, Any]]:
    """Of ended jobs, per kind: how many took at most each of `bounds` seconds (`le_0`, …), all of them, their sum."""
    took = ExpressionWrapper(F("ended") - F("started"), output_field=DurationField())
    within = {
        f"le_{index}": Count("pk", filter=Q(took__lte=timedelta(seconds=bound))) for index, bound in enumerate(bounds)
    }
    ended = Job.objects.filter(state__in=ENDED, started__isnull=False, ended__isnull=False).annotate(took=took)
    return list(
        ended.order_by().values("kind").annotate(count=Count("pk"), seconds=Sum("took"), **within).order_by("kind")
    )


def jobs_live(*, size: int = 8) -> list[Job]:
    """Jobs in the hands of workers, the oldest first."""
    rows = Job.objects.filter(state__in=LIVE, parent=None).select_related("team")
    return list(rows.defer("spec", "result").order_by("id")[:size])


def job_present(*, job_id: UUID) -> Job:
    """A job as it stands now."""
    return Job.objects.select_related("team").get(pk=job_id)


def stages_of(*, job_id: UUID) -> list[JobStage]:
    """A job's stages in the order in which they began."""
    return list(JobStage.objects.filter(job=job_id).order_by("position", "id"))


def jobs_live_count() -> int:
    """How many jobs are in the hands of workers."""
    return Job.objects.filter(state__in=LIVE, lease_expires__isnull=False).count()


def tokens_per_second() -> dict[str, float]:
    """Per kind of running job: the newest speed that its jobs measured, added up."""
    speeds: dict[str, float] = {}
    running = Job.objects.filter(state=State.RUNNING).values_list("pk", "kind")
    for job_id, kind in running:
        newest = MetricChunk.objects.filter(job=job_id, name="tokens per second").order_by("-id").first()
        if newest is not None and newest.values:
            speeds[kind] = speeds.get(kind, 0.0) + float(newest.values[-1])
    return speeds
