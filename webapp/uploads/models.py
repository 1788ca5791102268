"""Files on their way in: sent in chunks, resumable, not trusted and not opened by the web process."""

from django.conf import settings
from django.db import models

from webapp.common.models import Entity, TeamEntity


class Upload(TeamEntity):
    """One or more files that somebody sends for a purpose. What nobody finishes is removed when it expires."""

    class Purpose(models.TextChoices):
        """What will be made of it."""

        DATASET = "dataset"
        MODEL = "model"
        JUDGEMENTS = "judgements"

    class State(models.TextChoices):
        """`complete`: every byte is there and every digest fits."""

        RECEIVING = "receiving"
        COMPLETE = "complete"

    purpose = models.CharField(max_length=12, choices=Purpose)
    state = models.CharField(max_length=10, choices=State, default=State.RECEIVING)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    expires = models.DateTimeField()
    preview = models.JSONField(null=True, help_text="What the preview's process found: format, columns, first rows.")

    class Meta:
        indexes = [
            models.Index(fields=["team", "-id"], name="upload_by_team"),
            models.Index(fields=["expires"], name="upload_by_expiry"),
        ]


class UploadFile(Entity):
    """One file of an upload. On disk it has its id for a name; the sender's name is for people only."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField(help_text="Bytes, as announced.")
    received = models.PositiveBigIntegerField(default=0, help_text="Bytes on disk; the next chunk begins here.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Hex; of the whole file, checked at its end.")
    checked = models.BooleanField(default=False, help_text="Its digest was found to fit.")
    modified = models.BigIntegerField(
        null=True, help_text="The sender's time stamp of it (ms), to know it again when it is chosen a second time."
    )

    class Meta:
        constraints = [models.UniqueConstraint("upload", "name", name="one_file_per_name")]

    def __str__(self) -> str:
        return self.name
