"""Copies of the database: SQLite's own backup, or `pg_dump` and `pg_restore` for PostgreSQL."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.db import connection

from workers.backups.archive import POSTGRES, SQLITE, BackupError, BackupFailed

LEAVING_SECONDS = 3
"""How long connections of processes that have just ended may take to go."""


def database_dump(folder: Path) -> Path:
    """A consistent copy of the database as a file in `folder`, while others go on writing."""
    if connection.vendor == "sqlite":
        return _sqlite_dump(folder / SQLITE)
    path = folder / POSTGRES
    _postgres("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")
    return path


def database_unused() -> None:
    """Raises `BackupError` while anybody else is connected: a web process that goes on would write into what is
    replaced beneath it. SQLite's file is exchanged under the lock of the stack, which is all that uses it.
    """
    if connection.vendor == "sqlite":
        return
    until = time.monotonic() + LEAVING_SECONDS
    while (others := _others_connected()) and time.monotonic() < until:
        time.sleep(0.2)
    if others:
        count = f"{others} other connection{'' if others == 1 else 's'}"
        raise BackupError(
            f"The database is in use: it has {count}. Stop the web processes, the workers, the sweep and whatever else "
            "is connected to it, on every host, then restore again. Nothing was changed."
        )


def _others_connected() -> int:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # a pool opens more than one is told of
    with connection.Database.connect(**connection.get_connection_params()) as own:
        # Who may not see all of other people's connections sees at least that they are somebody's.
        (found,) = own.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND usename IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'"
        ).fetchone()
        return int(found)


def database_load(path: Path) -> None:
    """Put a copy in the place of the database. Raises `BackupError` for one of the other kind of database."""
    wanted = SQLITE if connection.vendor == "sqlite" else POSTGRES
    if path.name != wanted:
        raise BackupError(
            f"This backup holds {path.name}, and this instance runs on {connection.vendor}. Restore it on the kind of "
            "database that it was made of (MEDS3_DATABASE)."
        )
    connection.close()
    if connection.vendor == "sqlite":
        _sqlite_load(path)
    else:
        _postgres(
            "pg_restore", "--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction",
            f"--dbname={settings.DATABASES['default']['NAME']}", str(path),
        )  # fmt: skip


def _sqlite_dump(path: Path) -> Path:
    # A copy made in steps begins anew whenever somebody writes meanwhile; within one read transaction it does not.
    source = sqlite3.connect(f"file:{settings.DATABASES['default']['NAME']}?mode=ro", uri=True, timeout=30)
    target = sqlite3.connect(path)
    try:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(target, pages=-1)
        target.execute("PRAGMA journal_mode=DELETE")
        (found,) = target.execute("PRAGMA integrity_check").fetchone()
        if found != "ok":
            raise BackupFailed("the copy of the database is damaged")
    finally:
        target.close()
        source.close()
    return path


def _sqlite_load(path: Path) -> None:
    place = Path(settings.DATABASES["default"]["NAME"])
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.restored")
    shutil.copyfile(path, draft)
    draft.chmod(0o600)
    for suffix in ("-wal", "-shm"):
        place.with_name(place.name + suffix).unlink(missing_ok=True)
    draft.replace(place)


def _postgres(program: str, *arguments: str) -> None:
    chosen = settings.DATABASES["default"]
    environment = dict(os.environ)
    for name, key in (
        ("PGHOST", "HOST"),
        ("PGPORT", "PORT"),
        ("PGUSER", "USER"),
        ("PGPASSWORD", "PASSWORD"),
        ("PGDATABASE", "NAME"),
    ):
        if chosen.get(key):
            environment[name] = str(chosen[key])
    if "sslmode" in chosen.get("OPTIONS", {}):
        environment["PGSSLMODE"] = str(chosen["OPTIONS"]["sslmode"])
    command: Sequence[str] = [postgres_program(program), *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        # Messages of these programs name tables and rows by number; the last line says what was wrong.
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise BackupFailed(f"{program} failed and said: {said[:300]}")


def postgres_program(name: str) -> str:
    """One of PostgreSQL's programs. Raises `BackupError`."""
    packaged = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parents[1].name), reverse=True
    )
    found = str(packaged[0]) if packaged else shutil.which(name)
    if found is None:
        raise BackupError(f"{name} is not installed on this machine (apt-get install postgresql-client).")
    return found
