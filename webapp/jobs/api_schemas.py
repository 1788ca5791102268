"""What the API says of jobs, and what it takes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from meds3core.config.jobs import JobSpec
from webapp.jobs.curves import MOST_POINTS, POINTS, Curve, group_of, label_of
from webapp.jobs.logs import LARGEST_PART, PART, LogPart
from webapp.jobs.models import Job, JobEvent, JobStage, MetricChunk, State, Worker
from webapp.jobs.transitions import ENDED


class JobIn(Schema):
    """A job to be done. What `spec` refers to is named as `{"kind": …, "id": …}`; a path is refused."""

    spec: JobSpec
    title: str = Field(default="", max_length=200)
    priority: int = Field(default=0, ge=-10, le=10, description="Higher first.")


class JobOut(Schema):
    """Where a job stands."""

    id: UUID
    kind: str
    title: str
    state: State
    ended_for_good: bool = Field(description="Succeeded, failed or cancelled: nothing happens until somebody asks.")
    priority: int
    queue: str
    attempt: int
    failures: int = Field(description="Lost workers and crashes so far.")
    stage: str
    done: int
    total: int | None
    unit: str
    rate: float | None = Field(description="Units a second, of this attempt.")
    seq: int = Field(description="Of its newest event.")
    created: datetime
    created_by: str | None
    started: datetime | None
    ended: datetime | None
    error_code: str
    error_message: str
    origin: UUID | None = Field(description="The job that this one runs again.")
    parent: UUID | None = Field(description="The job whose work this one shares.")

    @staticmethod
    def of(job: Job) -> "JobOut":
        """From the row."""
        return JobOut(**_columns(job))


class JobWhole(JobOut):
    """A job with its specification and, once it has succeeded, its result."""

    spec: dict[str, Any] = Field(description="A JobSpec.")
    result: Any | None

    @staticmethod
    def of(job: Job) -> "JobWhole":
        """From the row."""
        return JobWhole(**_columns(job), spec=job.spec, result=job.result)


def _columns(job: Job) -> dict[str, Any]:
    state = State(job.state)
    same = (
        "kind title priority queue attempt failures stage done total unit rate created started ended error_code "
        "error_message"
    )
    return {name: getattr(job, name) for name in same.split()} | {
        "id": job.pk,
        "state": state,
        "ended_for_good": state in ENDED,
        "seq": job.next_seq - 1,
        "created_by": job.created_by.username if job.created_by else None,
        "origin": job.origin_id,
        "parent": job.parent_id,
    }


class EventOut(Schema):
    """Something that happened to a job."""

    seq: int
    at: datetime
    attempt: int
    kind: str
    text: str
    data: dict[str, Any]

    @staticmethod
    def of(event: JobEvent) -> "EventOut":
        """From the row."""
        return EventOut(
            seq=event.seq, at=event.at, attempt=event.attempt, kind=event.kind, text=event.text, data=event.data
        )


class EventsOut(Schema):
    """Events after a `seq`, oldest first, and the job's state when they were read."""

    items: list[EventOut]
    next: str | None = Field(description="Path and query of the rest; null: these are all there are so far.")
    state: State
    seq: int = Field(description="The last one given here, to ask after next time.")


class StageOut(Schema):
    """A named part of a job."""

    name: str
    state: State
    attempt: int
    started: datetime | None
    ended: datetime | None
    details: dict[str, Any]

    @staticmethod
    def of(stage: JobStage) -> "StageOut":
        """From the row."""
        return StageOut(
            name=stage.name,
            state=State(stage.state),
            attempt=stage.attempt,
            started=stage.started,
            ended=stage.ended,
            details=stage.details,
        )


class MetricOut(Schema):
    """A stretch of one measured curve: a later attempt may measure a step again, and then counts."""

    id: int
    name: str
    attempt: int
    steps: list[int]
    values: list[float | None]

    @staticmethod
    def of(chunk: MetricChunk) -> "MetricOut":
        """From the row."""
        return MetricOut(id=chunk.pk, name=chunk.name, attempt=chunk.attempt, steps=chunk.steps, values=chunk.values)


class LineOut(Schema):
    """Points in the order of their steps; null where what was measured is no number."""

    steps: list[int]
    values: list[float | None]


class CurveOut(LineOut):
    """A measured curve, or a part of it."""

    name: str
    label: str
    group: str
    points: int = Field(description="In this part, before thinning.")
    exact: bool = Field(description="Whether every point of this part is there.")
    smooth: LineOut | None
    span: int = Field(description="Points over which a smoothed value looks back.")

    @staticmethod
    def of(curve: Curve) -> "CurveOut":
        """From what was read."""
        smooth = LineOut(steps=curve.smooth.steps, values=curve.smooth.values) if curve.smooth else None
        return CurveOut(
            name=curve.name,
            label=label_of(curve.name),
            group=group_of(curve.name),
            points=curve.points,
            exact=curve.exact,
            steps=curve.line.steps,
            values=curve.line.values,
            smooth=smooth,
            span=curve.span,
        )


class CurvesOut(Schema):
    """Curves of a job. After another attempt has begun, what it measures again takes the place of what was there."""

    attempt: int
    items: list[CurveOut]


class CurvePart(Schema):
    """Which part of which curves."""

    name: list[str] = Field(default=[], max_length=200, description="None: all.")
    first: int | None = Field(default=None, ge=0, description="The first step.")
    last: int | None = Field(default=None, ge=0, description="The last step.")
    points: int = Field(
        default=POINTS,
        ge=10,
        le=MOST_POINTS,
        description="Where there are more, the lowest and highest of each stretch.",
    )
    smooth: bool = Field(default=False, description="An exponential mean beside it, worked out of all points.")


class LogOut(Schema):
    """A stretch of a job's log. `next` is the offset to ask for then; at `size` there is no more yet."""

    attempt: int
    offset: int
    next: int
    size: int
    text: str

    @staticmethod
    def of(part: LogPart) -> "LogOut":
        """From what was read."""
        return LogOut(attempt=part.attempt, offset=part.offset, next=part.next, size=part.size, text=part.text)


class LogRange(Schema):
    """Which stretch of which log."""

    attempt: int | None = Field(default=None, ge=1, description="None: the latest.")
    offset: int | None = Field(default=None, ge=0, description="Byte; none: the end of the log.")
    limit: int = Field(default=PART, ge=4, le=LARGEST_PART, description="Bytes.")


class WorkerOut(Schema):
    """A worker: what it has, what it does by id and kind, when it was last heard of. No content."""

    id: UUID
    name: str
    host: str
    queue: str
    devices: list[Any]
    versions: dict[str, Any]
    started: datetime
    heartbeat: datetime
    draining: bool
    job: UUID | None
    job_kind: str | None
    job_team: str | None

    @staticmethod
    def of(worker: Worker) -> "WorkerOut":
        """From the row."""
        job = worker.current_job
        return WorkerOut(
            id=worker.pk,
            name=worker.name,
            host=worker.host,
            queue=worker.queue,
            devices=worker.devices,
            versions=worker.versions,
            started=worker.started,
            heartbeat=worker.heartbeat,
            draining=worker.draining,
            job=job.pk if job else None,
            job_kind=job.kind if job else None,
            job_team=job.team.name if job else None,
        )


class Draining(Schema):
    """Whether a worker is to take no new job and let its present one checkpoint."""

    draining: bool


class QueueOut(Schema):
    """How many jobs wait in a queue and run from it."""

    queue: str
    queued: int
    running: int
    oldest_queued: datetime | None


class TeamLimitOut(Schema):
    """How many jobs of a team may run at once."""

    slug: str
    name: str
    limit: int
    own: bool = Field(description="Whether the team has a limit of its own, or that of the instance.")
    running: int
    queued: int


class TeamLimitIn(Schema):
    """How many jobs of a team may run at once; null: as many as the instance's setting says."""

    limit: int | None = Field(ge=0, le=1000)
