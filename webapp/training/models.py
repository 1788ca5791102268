"""What is kept of previews of training data: their counts, and some examples token by token."""

from django.db import models

from webapp.common.models import TeamEntity


class DataPreview(TeamEntity):
    """What one training would see. Found again by its key: method, base, data and the settings that matter to it.

    It holds texts of its label set or dataset, and goes with them.
    """

    key = models.CharField(max_length=32)
    method = models.CharField(max_length=8)
    job = models.ForeignKey("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+", help_text="Its maker.")
    policy = models.ForeignKey("registry.ModelVersion", on_delete=models.CASCADE, related_name="+")
    labels = models.ForeignKey("registry.LabelSet", null=True, on_delete=models.CASCADE, related_name="+")
    questions = models.ForeignKey("datasets.DatasetVersion", null=True, on_delete=models.CASCADE, related_name="+")
    settings = models.JSONField(default=dict, help_text="Those that decide what fits.")
    ready = models.BooleanField(default=False)
    counts = models.JSONField(default=dict, help_text="meds3core.training.preview.DataPreview without its examples.")
    examples = models.BinaryField(null=True, help_text="Compressed JSON of the examples.")

    class Meta:
        constraints = [models.UniqueConstraint("team", "key", name="one_preview_per_key")]

    def __str__(self) -> str:
        return f"Preview of {self.labels or self.questions}"
