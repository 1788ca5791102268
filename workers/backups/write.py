"""Writes a backup of this instance; the command line and the job `backup` call the same function."""

import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.db import connection

from meds3core.errors import Cancelled
from workers.backups.archive import FILES, SECRETS, Contents, Writer
from workers.backups.database import database_dump

PREFIX = "meds3-"
SKIPPED = (".partial", ".tmp")
"""Endings of names that something is still being written under."""


def backup_write(
    *,
    target: Path | None = None,
    with_files: bool = True,
    tell: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Path, Contents]:
    """The archive and what it holds. `tell` is told bytes done and all; raises `Cancelled` when told to stop."""
    made = datetime.now(UTC)
    path = target or Path(settings.BACKUPS) / f"{PREFIX}{made:%Y%m%d-%H%M%S}.tar"
    writer = Writer(path)
    try:
        with tempfile.TemporaryDirectory(prefix=".database-", dir=path.parent) as folder:
            dump = database_dump(Path(folder))
            sources = [(dump.name, dump), *_below(Path(settings.SECRETS), SECRETS)]
            if with_files:
                files, own = Path(settings.FILES).resolve(), path.parent.resolve()
                among = own.is_relative_to(files)  # archives among the files would grow by one another
                sources += [one for one in _below(files, FILES) if not (among and own in one[1].parents)]
            total = sum(_size(source) for _, source in sources)
            done = 0
            for name, source in sources:
                if cancelled():
                    raise Cancelled("told to stop")
                done += writer.add(name, source)
                tell(done, total)
        contents = Contents(
            made=made.isoformat(timespec="seconds"),
            product=version("meds3-studio"),
            database=connection.vendor,
            with_files=with_files,
            members=tuple(writer.members),
        )
        writer.finish(contents)
    except BaseException:
        writer.discard()
        raise
    return path, contents


def _below(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    for place, _, files in os.walk(folder):  # follows no link
        for file in sorted(files):
            path = Path(place) / file
            if path.is_file() and not path.is_symlink() and not file.endswith(SKIPPED) and not file.startswith("."):
                yield f"{name}/{path.relative_to(folder)}", path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
