"""Room for files and the size of the database, for operators."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection


@dataclass(frozen=True)
class Storage:
    """Room of the disk that holds the files."""

    free: int
    total: int
    database: int | None
    """Bytes of the database, where it can be known."""

    @property
    def used_percent(self) -> int:
        """Of the whole disk, by whatever is on it."""
        return round(100 * (self.total - self.free) / self.total) if self.total else 0

    @property
    def is_short(self) -> bool:
        """Whether jobs may soon fail for want of room."""
        return self.free < self.total / 10 or self.free < 5 << 30


def storage() -> Storage | None:
    """Room for files; none where the folder does not answer."""
    folder = Path(settings.FILES)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        found = shutil.disk_usage(folder)
    except OSError:
        return None
    return Storage(found.free, found.total, _database_bytes())


def _database_bytes() -> int | None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])
    try:
        file = Path(connection.settings_dict["NAME"])
        log = file.with_name(f"{file.name}-wal")
        return file.stat().st_size + (log.stat().st_size if log.exists() else 0)
    except OSError:
        return None
