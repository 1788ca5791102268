"""Jobs and what they leave behind. The Job row is the truth; a message in the queue only says "look".

Rows are written by `services` (people), `claims` (supervisors, the sweep) and `reports` (a job's own process), all of
them through the compare-and-set of `transitions`.
"""

from django.conf import settings
from django.db import models

from webapp.common.models import Entity, TeamEntity


class State(models.TextChoices):
    """Where a job stands. `transitions.MOVES` says what may follow what."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    PAUSING = "pausing", "Pausing"
    PAUSED = "paused", "Paused"
    CANCELLING = "cancelling", "Cancelling"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Worker(Entity):
    """A worker process that claims jobs: what it has, what it does, when it was last heard of."""

    name = models.CharField(max_length=120, unique=True)
    host = models.CharField(max_length=120)
    queue = models.CharField(max_length=16)
    devices = models.JSONField(default=list)
    versions = models.JSONField(default=dict)
    started = models.DateTimeField()
    heartbeat = models.DateTimeField(help_text="By the database's clock.")
    draining = models.BooleanField(default=False, help_text="Takes no new job; lets the present one checkpoint.")
    current_job = models.ForeignKey("Job", null=True, on_delete=models.SET_NULL, related_name="+")

    def __str__(self) -> str:
        return self.name


class Job(TeamEntity):
    """A piece of long work. A job that shards share (`parent` of theirs) has no queue and is never claimed itself."""

    kind = models.CharField(max_length=20)
    title = models.CharField(max_length=200, blank=True)
    spec = models.JSONField(help_text="A JobSpec (meds3core.config.jobs).")
    spec_hash = models.CharField(max_length=32)
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="shards")
    origin = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="repeats")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    queue = models.CharField(max_length=16, blank=True)
    priority = models.SmallIntegerField(default=0, help_text="Higher first.")
    attempt = models.PositiveIntegerField(default=0, help_text="Raised by every claim; a write names its attempt.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Lost leases and crashes, nothing else.")
    max_failures = models.PositiveSmallIntegerField(default=3)
    worker = models.ForeignKey(Worker, null=True, on_delete=models.SET_NULL, related_name="jobs")
    lease_expires = models.DateTimeField(null=True, help_text="By the database's clock.")
    started = models.DateTimeField(null=True, help_text="The first attempt.")
    ended = models.DateTimeField(null=True)

    stage = models.CharField(max_length=80, blank=True)
    stage_started = models.DateTimeField(null=True)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True)
    unit = models.CharField(max_length=40, blank=True)
    rate = models.FloatField(null=True, help_text="Units a second, of this attempt.")
    progress_event_at = models.DateTimeField(null=True)

    next_seq = models.PositiveBigIntegerField(default=1)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    result = models.JSONField(null=True)

    worked = models.FloatField(default=0, help_text="Seconds of workers' time over all attempts; anew with a retry.")
    notice_due = models.BooleanField(default=False, help_text="Its end is still to be told by mail (workers.sweep).")
    thinned = models.BooleanField(default=False, help_text="Old progress events are gone.")

    class Meta:
        indexes = [
            models.Index(fields=["queue", "state", "-priority", "id"], name="job_to_claim"),
            models.Index(fields=["team", "-id"], name="job_by_team"),
            models.Index(fields=["team", "state", "-id"], name="job_by_team_and_state"),
            models.Index(fields=["team", "kind", "-id"], name="job_by_team_and_kind"),
            models.Index(fields=["state", "lease_expires"], name="job_by_lease"),
            models.Index(fields=["state", "-ended"], name="job_by_end"),
            models.Index(fields=["ended"], condition=models.Q(thinned=False), name="job_to_thin"),
            models.Index(fields=["ended"], condition=models.Q(notice_due=True), name="job_to_tell"),
        ]

    def __str__(self) -> str:
        return self.title or self.kind


class JobInput(models.Model):
    """What a job's specification refers to, one row each: lineage, and what depends on a thing before it is deleted."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="inputs")
    kind = models.CharField(max_length=12, help_text="As in `Registered.kind`.")
    thing = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint("job", "kind", "thing", name="one_row_per_input")]
        indexes = [models.Index(fields=["kind", "thing"], name="jobs_by_input")]


class TeamShare(models.Model):
    """How many jobs of a team may run at once. Its row is also where claims of one team wait for each other."""

    team = models.OneToOneField("accounts.Team", primary_key=True, on_delete=models.CASCADE, related_name="+")
    limit = models.PositiveSmallIntegerField(null=True, help_text="None: the instance's setting.")
    claims = models.PositiveBigIntegerField(default=0)


class JobStage(models.Model):
    """A part of a long job with a name of its own. An evolution's are all known beforehand, and some run at once."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="stages")
    name = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    attempt = models.PositiveIntegerField()
    position = models.PositiveIntegerField(default=0)
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)
    details = models.JSONField(default=dict, help_text="kind, expected seconds, done, total, figures: what is known.")

    class Meta:
        constraints = [models.UniqueConstraint("job", "name", name="one_stage_per_name")]


class JobEvent(models.Model):
    """What a person reads about a job. `seq` counts from 1 in the order of commits.

    Without gaps, until the job has been over for a while: then most of its progress is forgotten (`thinning`).
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField()
    at = models.DateTimeField(help_text="By the database's clock.")
    attempt = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, help_text="state, stage, progress, warning, checkpoint")
    text = models.CharField(max_length=500, blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint("job", "seq", name="one_event_per_seq")]  # also the index to read by


class MetricChunk(models.Model):
    """A stretch of one measured curve: up to 1,000 points, written every 2 s at most.

    Many short ones are put together as they come (`reports.metrics_append`), so that a long run is read in time.
    A value is None where what was measured is no number.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="metrics")
    attempt = models.PositiveIntegerField()
    name = models.CharField(max_length=80)
    first_step = models.PositiveBigIntegerField()
    last_step = models.PositiveBigIntegerField(null=True, help_text="None: written by an earlier version.")
    points = models.PositiveIntegerField(default=0, help_text="How many; 0: written by an earlier version.")
    steps = models.JSONField()
    values = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["job", "name", "first_step"], name="metrics_of_a_job")]


class Checkpoint(models.Model):
    """A file or folder from which a later attempt goes on. Recorded only when it is synced and has its final name."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="checkpoints")
    attempt = models.PositiveIntegerField()
    name = models.CharField(max_length=120)
    path = models.CharField(max_length=500, help_text="Below the job's folder, `<attempt>/…`.")
    digest = models.CharField(max_length=32, blank=True)
    label = models.CharField(max_length=80, blank=True, help_text='In sentences: "tree 1,210".')
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint("job", "name", name="one_checkpoint_per_name")]


class Device(models.Model):
    """A GPU, or `cpu:0`, of a host. Its row is where those who lease it wait for each other."""

    host = models.CharField(max_length=120)
    device_uuid = models.CharField(max_length=80)
    leases_taken = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint("host", "device_uuid", name="one_row_per_device")]


class DeviceLease(models.Model):
    """A share of a device's memory, held by a job or by chat until it expires."""

    host = models.CharField(max_length=120)
    device_uuid = models.CharField(max_length=80)
    holder = models.CharField(max_length=120, help_text="`job:<id>` or `chat:<worker>`.")
    memory_share = models.FloatField(help_text="0 < share ≤ 1; the shares of a device add up to 1 at most.")
    expires = models.DateTimeField(help_text="By the database's clock.")

    class Meta:
        constraints = [
            models.UniqueConstraint("host", "device_uuid", "holder", name="one_lease_per_holder"),
            models.CheckConstraint(
                condition=models.Q(memory_share__gt=0, memory_share__lte=1), name="share_of_a_device"
            ),
        ]
