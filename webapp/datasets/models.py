"""Questions in immutable versions. A version is written by one job, in batches, and seen when it is ready."""

from django.conf import settings
from django.db import models

from webapp.common.models import TeamEntity


class Dataset(TeamEntity):
    """A name under which a team keeps versions of a set of questions."""

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    deleted = models.DateTimeField(null=True, help_text="Nobody sees it any more; its rows go in the background.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "name"], condition=models.Q(deleted=None), name="one_dataset_per_name"
            )
        ]
        indexes = [models.Index(fields=["team", "-id"], name="dataset_by_team")]

    def __str__(self) -> str:
        return self.name


class DatasetVersion(TeamEntity):
    """Questions that never change. What refers to a dataset (`Registered("dataset", id)`) means one version."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(help_text="From 1.")
    job = models.ForeignKey(
        "jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+", help_text="What made it."
    )
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="children")
    recipe = models.JSONField(default=dict, help_text="How it was made: columns of a file, or a curriculum's settings.")
    source_name = models.CharField(max_length=255, blank=True)
    ready = models.BooleanField(default=False)
    questions = models.PositiveIntegerField(default=0, help_text="Stored count.")
    rejected = models.PositiveIntegerField(default=0, help_text="Rows of the file that are no question.")
    content_hash = models.CharField(max_length=32, blank=True)
    statistics = models.JSONField(default=dict, help_text="webapp.datasets.statistics.Statistics.")
    deleted = models.DateTimeField(null=True, help_text="Nobody sees it any more; its rows go in the background.")

    class Meta:
        constraints = [models.UniqueConstraint("dataset", "number", name="one_version_per_number")]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.number}"


class QuestionRow(models.Model):
    """One question of a version: columns to filter by, and the whole record (`meds3core.types.question.Question`)."""

    id = models.BigAutoField(primary_key=True)
    # No index of its own: others begin with it, and PostgreSQL would take it where a range of positions is asked for.
    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="rows", db_index=False)
    position = models.PositiveIntegerField(help_text="From 0, in the order of the file.")
    question_id = models.CharField(max_length=512)
    content_hash = models.CharField(max_length=32)
    folded = models.TextField(help_text="The text as searches see it (webapp.datasets.search.folded).")
    source = models.CharField(max_length=120, blank=True)
    domain = models.CharField(max_length=120, blank=True)
    answer_kind = models.CharField(max_length=12)
    difficulty = models.FloatField(null=True, help_text="1 − pass rate, where it was measured.")
    record = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint("version", "position", name="one_question_per_position"),
            models.UniqueConstraint("version", "question_id", name="one_question_per_id"),
        ]
        indexes = [
            models.Index(fields=["version", "source", "position"], name="question_by_source"),
            models.Index(fields=["version", "domain", "position"], name="question_by_domain"),
            models.Index(fields=["version", "answer_kind", "position"], name="question_by_answer_kind"),
            models.Index(fields=["content_hash"], name="question_by_content"),
            models.Index(  # of those that were measured: an import has none and pays nothing
                fields=["version", "difficulty"],
                name="question_by_difficulty",
                condition=models.Q(difficulty__isnull=False),
            ),
        ]

    @property
    def text(self) -> str:
        """As a policy reads it."""
        return str(self.record["text"])


class RejectedRow(models.Model):
    """A row of an imported file that is no question, and why. The reason holds row and field, never the value."""

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="rejections")
    row = models.PositiveBigIntegerField(help_text="From 1, as a person counts the file's rows.")
    reason = models.CharField(max_length=500)

    class Meta:
        indexes = [models.Index(fields=["version", "row"], name="rejection_by_row")]
