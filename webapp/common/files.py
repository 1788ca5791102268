"""Where stored files lie: one folder per thing that has a row, below `settings.FILES`. The rows say what is in them."""

import os
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


def folder_sync(folder: Path) -> None:
    """Have everything below a folder, and its names, on the disk before somebody is told that it is there."""
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def name_sync(path: Path) -> None:
    """Have the name of something that was renamed on the disk."""
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
