"""Puts a backup in the place of this instance's database, secrets and files. What was there is kept beside it."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection

from webapp.jobs.claims import Claim, job_finish, job_stopped
from webapp.jobs.models import DeviceLease, Job, Worker
from webapp.jobs.transitions import LIVE
from workers.backups.archive import FILES, POSTGRES, SECRETS, SQLITE, BackupError, contents_of, unpack
from workers.backups.database import database_load, database_unused
from workers.stack.home import database_prepare
from workers.stack.lock import StackLock


def backup_restore(*, archive: Path, say: Callable[[str], None]) -> None:
    """Check the whole archive first, then exchange. Raises `BackupError`, and `StackRuns` while the stack runs."""
    home = Path(settings.HOME)
    lock = StackLock(home)
    try:
        contents = contents_of(archive)
        wanted = {"sqlite": SQLITE, "postgresql": POSTGRES}[connection.vendor]
        if wanted not in {member.name for member in contents.members}:
            raise BackupError(
                f"{archive} holds a {contents.database} database and this instance runs on {connection.vendor}. "
                "Restore it on the kind of database that it was made of (MEDS3_DATABASE)."
            )
        database_unused()
        files = Path(settings.FILES)
        place = files.parent / f".restore-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        place.mkdir(mode=0o700, parents=True)
        try:
            say(f"checking {len(contents.members)} files of {contents.made}")
            unpack(archive, contents, place)
            database_unused()  # unpacking may have taken an hour
            name = f"before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S}"
            kept = home / name
            _keep_database(kept)
            try:
                database_load(place / wanted)
            except BaseException:
                _put_back_database(kept)
                raise
            if (place / SECRETS).exists():  # none where the environment holds them
                _exchange(place / SECRETS, Path(settings.SECRETS), kept / SECRETS)
            if contents.with_files:
                (place / FILES).mkdir(exist_ok=True)
                _exchange(place / FILES, files, files.parent / name / FILES)  # on the same disk
        finally:
            shutil.rmtree(place, ignore_errors=True)
        applied = database_prepare()
        if applied:
            say(f"database: {applied} migrations applied")
        jobs_settle()
        before = sorted({str(one) for one in (kept, files.parent / name) if one.exists()})
        say(f"restored; what was there before is in {' and '.join(before)}" if before else "restored")
    finally:
        lock.release()


def jobs_settle() -> None:
    """Jobs that ran while the backup was made: no worker has them. They wait again, none of it counted as a failure.

    The backup's own job is done: its archive was just read.
    """
    for job in Job.objects.filter(state__in=LIVE).exclude(queue=""):
        claim = Claim(job.pk, job.attempt)
        job_finish(claim=claim) if job.kind == "backup" else job_stopped(claim=claim)
    Worker.objects.update(current_job=None)
    DeviceLease.objects.all().delete()


def _keep_database(kept: Path) -> None:
    """SQLite's file goes aside; PostgreSQL's tables are replaced in one transaction."""
    if connection.vendor != "sqlite":
        return
    place = Path(settings.DATABASES["default"]["NAME"])
    connection.close()
    for suffix in ("", "-wal", "-shm"):
        path = place.with_name(place.name + suffix)
        if path.exists():
            kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.replace(kept / path.name)


def _put_back_database(kept: Path) -> None:
    """What went aside is there again: the next start must not find an empty place and begin anew."""
    place = Path(settings.DATABASES["default"]["NAME"])
    for suffix in ("", "-wal", "-shm"):
        path = kept / (place.name + suffix)
        if path.exists():
            path.replace(place.with_name(path.name))


def _exchange(new: Path, old: Path, kept: Path) -> None:
    if old.exists() and any(old.iterdir()):
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.move(old, kept)
    elif old.exists():
        old.rmdir()
    old.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.move(new, old)
