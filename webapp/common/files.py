"""Where stored files lie: one folder per thing that has a row, below `settings.FILES`. The rows say what is in them."""

from enum import StrEnum
from pathlib import Path
from uuid import UUID

from django.conf import settings


class Store(StrEnum):
    """Kinds of stored things that have files."""

    UPLOADS = "uploads"
    MODELS = "models"
    LABELS = "labels"
    EVALUATIONS = "evaluations"
    EXPORTS = "exports"


def folder_of(store: Store, thing: UUID) -> Path:
    """The folder of one stored thing; it need not exist yet."""
    return Path(settings.FILES) / store.value / str(thing)
