"""What a job's own process writes: progress, events, metrics, checkpoints, the result. Every write is fenced."""

import math
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from webapp.jobs.live.hints import hint_on_commit, job_group
from webapp.jobs.models import Checkpoint, Job, JobStage, MetricChunk, State
from webapp.jobs.transitions import event_append, in_seconds, live_rows, refuse_stale

METRIC_POINTS = 1000
SHORT_CHUNKS = 50
"""Stretches of less than half of these points that are put together."""


def job_folder(job_id: UUID) -> Path:
    """Where a job's files lie, a folder per attempt."""
    return Path(settings.FILES) / "jobs" / str(job_id)


def stage_begin(*, job_id: UUID, attempt: int, name: str, text: str = "") -> None:
    """The job's present part. Raises `StaleAttempt`."""
    with transaction.atomic():
        event_append(job_id=job_id, attempt=attempt, kind="stage", text=text or name, data={"stage": name})
        live_rows(job_id=job_id, attempt=attempt).update(
            stage=name, stage_started=Now(), done=0, total=None, unit="", rate=None
        )
        stages = JobStage.objects.filter(job_id=job_id)
        stages.filter(state=State.RUNNING).exclude(name=name).update(state=State.SUCCEEDED, ended=Now())
        begun = {"state": State.RUNNING, "attempt": attempt, "started": Now(), "ended": None}
        stages.update_or_create(job_id=job_id, name=name, defaults=begun)


def stages_plan(*, job_id: UUID, attempt: int, stages: Sequence[Mapping[str, Any]]) -> None:
    """All stages of a job that knows them beforehand, in their order; those that are `done` already are kept so.

    Each has a `name`, `done`, and `details`. Raises `StaleAttempt`.
    """
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        known = set(JobStage.objects.filter(job_id=job_id).values_list("name", flat=True))
        JobStage.objects.bulk_create(
            JobStage(
                job_id=job_id, name=one["name"], state=State.QUEUED, attempt=attempt, position=place,
                details=one["details"],
            )
            for place, one in enumerate(stages)
            if one["name"] not in known
        )  # fmt: skip
        rows = JobStage.objects.filter(job_id=job_id)
        done = [one["name"] for one in stages if one["done"]]
        rows.filter(name__in=done).exclude(state=State.SUCCEEDED).update(state=State.SUCCEEDED, attempt=attempt)
        rows.exclude(name__in=done).update(state=State.QUEUED, attempt=attempt, started=None, ended=None)


def stage_write(
    *, job_id: UUID, attempt: int, name: str, state: State | None = None, text: str = "", **details: Any
) -> None:
    """What became of one of the planned stages; other stages are left as they are. Raises `StaleAttempt`."""
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        row = JobStage.objects.get(job_id=job_id, name=name)
        row.details |= details
        changed: dict[str, Any] = {"details": row.details, "attempt": attempt}
        if state is not None:
            changed["state"] = state
            changed["started" if state == State.RUNNING else "ended"] = Now()
            Job.objects.filter(pk=job_id).update(stage=name)
        JobStage.objects.filter(pk=row.pk).update(**changed)
        if text:
            event_append(job_id=job_id, attempt=attempt, kind="stage", text=text, data={"stage": name})


def progress_write(
    *, job_id: UUID, attempt: int, done: int, total: int | None, unit: str = "", rate: float | None = None
) -> None:
    """How far it is; an event at most once a second. Raises `StaleAttempt`."""
    with transaction.atomic():
        rows = live_rows(job_id=job_id, attempt=attempt)
        refuse_stale(written=rows.update(done=done, total=total, unit=unit, rate=rate), job_id=job_id, attempt=attempt)
        due = Q(progress_event_at=None) | Q(progress_event_at__lt=in_seconds(-settings.JOBS_PROGRESS_SECONDS))
        if rows.filter(due).update(progress_event_at=Now()):
            data = {"done": done, "total": total, "unit": unit, "rate": rate}
            event_append(job_id=job_id, attempt=attempt, kind="progress", data=data)


def warning_write(*, job_id: UUID, attempt: int, text: str, **data: Any) -> None:
    """Something a person should know and the job survives. Raises `StaleAttempt`."""
    event_append(job_id=job_id, attempt=attempt, kind="warning", text=text, data=data)


def metrics_append(*, job_id: UUID, attempt: int, name: str, steps: Sequence[int], values: Sequence[float]) -> None:
    """Points of a curve, in the order of their steps. Raises `StaleAttempt`."""
    numbers = [value if math.isfinite(value) else None for value in values]
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        _chunks_write(job_id, attempt, name, steps, numbers)
        _chunks_join(job_id, attempt, name)
        hint_on_commit(groups=[job_group(job_id)], job_id=job_id, seq=0)  # no event: open pages fetch the new points


def _chunks_write(job_id: UUID, attempt: int, name: str, steps: Sequence[int], values: Sequence[float | None]) -> None:
    MetricChunk.objects.bulk_create(
        MetricChunk(
            job_id=job_id,
            attempt=attempt,
            name=name,
            first_step=steps[at],
            last_step=steps[min(at + METRIC_POINTS, len(steps)) - 1],
            points=min(METRIC_POINTS, len(steps) - at),
            steps=list(steps[at : at + METRIC_POINTS]),
            values=list(values[at : at + METRIC_POINTS]),
        )
        for at in range(0, len(steps), METRIC_POINTS)
    )


def _chunks_join(job_id: UUID, attempt: int, name: str) -> None:
    """Put short stretches together once there are many: a run of days would leave a hundred thousand of them.

    They get a new, higher id, so whoever reads on after the last id that they have gets these points once more.
    """
    rows = MetricChunk.objects.filter(job_id=job_id, attempt=attempt, name=name)
    newest = dict(rows.order_by("-first_step", "-id").values_list("id", "points")[:SHORT_CHUNKS])
    if len(newest) < SHORT_CHUNKS or max(newest.values()) >= METRIC_POINTS // 2:
        return
    short = list(rows.filter(pk__in=newest).order_by("id").values_list("steps", "values"))
    steps = [step for some, _ in short for step in some]
    if any(before >= after for before, after in pairwise(steps)):
        return  # measured twice in one attempt: which one counts follows from their order
    rows.filter(pk__in=newest).delete()
    _chunks_write(job_id, attempt, name, steps, [value for _, some in short for value in some])


def checkpoint_record(
    *, job_id: UUID, attempt: int, name: str, path: Path, digest: str = "", label: str = "", told: bool = False
) -> None:
    """A file or folder that a later attempt may trust: written under another name, synced and renamed before.

    A later checkpoint of the same name takes its place. `told` writes an event. Raises `StaleAttempt`.
    """
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the name too must survive a power cut before it is recorded
    finally:
        os.close(descriptor)
    below = path.relative_to(job_folder(job_id))
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        Checkpoint.objects.filter(job_id=job_id, name=name).delete()  # anew, so that the newest has the highest id
        Checkpoint.objects.create(
            job_id=job_id, attempt=attempt, name=name, path=str(below), digest=digest, label=label, at=Now()
        )
        if told:
            event_append(job_id=job_id, attempt=attempt, kind="checkpoint", text=f"Saved at {label or name}.")


def result_store(*, job_id: UUID, attempt: int, result: Mapping[str, Any]) -> None:
    """What the job found; it counts when the job has succeeded. Raises `StaleAttempt`."""
    written = live_rows(job_id=job_id, attempt=attempt).update(result=dict(result))
    refuse_stale(written=written, job_id=job_id, attempt=attempt)


def error_store(*, job_id: UUID, attempt: int, code: str, message: str) -> None:
    """Why the child gives up, in words for a person; the supervisor ends the job. Raises `StaleAttempt`."""
    written = live_rows(job_id=job_id, attempt=attempt).update(error_code=code[:40], error_message=message)
    refuse_stale(written=written, job_id=job_id, attempt=attempt)


def error_of(*, job_id: UUID) -> tuple[str, str]:
    """Code and message that the child stored."""
    code, message = Job.objects.filter(pk=job_id).values_list("error_code", "error_message").get()
    return code, message


def attempt_hold(*, job_id: UUID, attempt: int) -> None:
    """Lock the job's row for this transaction, as long as this attempt is the live one. Raises `StaleAttempt`."""
    written = live_rows(job_id=job_id, attempt=attempt).update(attempt=attempt)
    refuse_stale(written=written, job_id=job_id, attempt=attempt)
