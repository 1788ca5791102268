"""Webhooks of a team, and what was sent to each: a row is written with what it tells of, and waits until it is sent."""

from django.conf import settings
from django.db import models

from webapp.common.models import TeamEntity


class Event(models.TextChoices):
    """What another program can be told of. A call holds ids only; the API tells the rest to who may know it."""

    JOB_SUCCEEDED = "job.succeeded", "A job succeeded"
    JOB_FAILED = "job.failed", "A job failed"
    JOB_CANCELLED = "job.cancelled", "A job was cancelled"
    JOB_PAUSED = "job.paused", "A job was paused"
    DATASET_READY = "dataset.ready", "A version of a dataset is ready"
    LABELS_READY = "labels.ready", "A label set is ready"
    MODEL_READY = "model.ready", "A model is ready"
    EVALUATION_READY = "evaluation.ready", "An evaluation is ready"
    QUEUE_FILLED = "queue.filled", "Items were put into a queue"
    QUEUE_COMPLETED = "queue.completed", "Every item of a queue is judged"
    QUEUE_CLOSED = "queue.closed", "A queue was closed"
    ITEM_COMPLETED = "item.completed", "An item has all the judgements it wants"
    ITEM_ADJUDICATED = "item.adjudicated", "A reviewer decided about an item"
    JUDGEMENT_SAVED = "judgement.saved", "A judgement was saved"


TRIAL = "trial"
"""The event of a call that somebody asked for to see whether it arrives."""


class Webhook(TeamEntity):
    """Another program's address, told of some events of the team. Its secret signs the calls."""

    name = models.CharField(max_length=80)
    url = models.CharField(max_length=500)
    events = models.JSONField(default=list, help_text="Values of `Event`.")
    secret_sealed = models.TextField(help_text="webapp.common.vault; shown once, when it is made.")
    active = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, help_text="The first failure since the last success.")
    switched_off = models.DateTimeField(null=True, help_text="By us, after it failed for long.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "name"], name="one_webhook_per_name")]

    def __str__(self) -> str:
        return self.name


class Delivery(TeamEntity):
    """One call to a webhook: waits until `due`, is tried again after a while, and stays as a line of the log."""

    class State(models.TextChoices):
        """`failed`: not tried again by itself."""

        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=20)
    thing = models.UUIDField(null=True, help_text="What it tells of, of the kind that the event names first.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due = models.DateTimeField(help_text="By the database's clock. While it is sent: when somebody else may try.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Of the last answer.")
    error = models.CharField(max_length=300, blank=True, help_text="Ours, never a word of the other side's.")
    ended = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["state", "due"], name="delivery_to_claim"),
            models.Index(fields=["webhook", "-id"], name="delivery_by_webhook"),
        ]
