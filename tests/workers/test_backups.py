"""A backup made while everything goes on, restored into an empty instance: the same rows, files and secrets."""

import json
import os
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.workers.embedded import ROOT, environment, meds3
from workers.backups.archive import LIST, BackupError, Contents, Member, Writer, contents_of, unpack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONTENTS = Contents(made="2026-01-01", product="0", database="sqlite", with_files=True, members=())
FILL = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from pathlib import Path
from django.conf import settings
from webapp.accounts.services import SYSTEM, system_team, team_create, user_create
from webapp.jobs.models import Job
from webapp.jobs.claims import job_claim, worker_register
from webapp.jobs.services import job_submit
from meds3core.config.jobs import BackupSpec, SelfCheckSpec
from webapp.jobs.dispatch import QueueUnreachable
team_create(actor=SYSTEM, name="Ward", owner=user_create(actor=SYSTEM, username="ann"))
worker = worker_register(name="w", queue="cpu")
for spec in (SelfCheckSpec(), BackupSpec()):
    try:
        job_submit(actor=SYSTEM, team=system_team(), spec=spec)
    except QueueUnreachable:
        pass
    assert job_claim(queue="cpu", worker=worker)
folder = Path(settings.FILES) / "models" / "one"
folder.mkdir(parents=True)
(folder / "weights").write_bytes(bytes(range(256)) * 9000)
(folder / "weights.tmp").write_bytes(b"half")
"""
LOOK = """
import django; django.setup()
import json
from pathlib import Path
from django.conf import settings
from webapp.accounts.models import Team, User
from webapp.jobs.models import Job, Worker
files = Path(settings.FILES)
print(json.dumps({
    "people": [one.username for one in User.objects.all()],
    "teams": sorted(one.name for one in Team.objects.all()),
    "jobs": sorted((one.kind, one.state, one.failures) for one in Job.objects.all()),
    "busy": Worker.objects.exclude(current_job=None).count(),
    "files": {str(p.relative_to(files)): len(p.read_bytes()) for p in files.rglob("*") if p.is_file()},
    "key": settings.SECRET_KEY,
}))
"""


def python(code: str, home: Path, **variables: str) -> str:
    given = {"DJANGO_SETTINGS_MODULE": "webapp.config.settings.local", "MEDS3_LOG_LEVEL": "ERROR", **variables}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(home, **given), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


@pytest.fixture
def database():
    """Makes an empty database of the kind that this run of tests uses; gives what names it."""
    url = os.environ.get("MEDS3_DATABASE", "")
    made = []

    def make() -> dict[str, str]:
        if not url.startswith("postgres"):
            return {}
        name = f"backup_{uuid.uuid4().hex[:8]}"
        user, folder, _ = urlsplit(url).netloc.rstrip("@"), *urlsplit(url).path.lstrip("/").rsplit("/", 1)
        with psycopg.connect(host=f"/{folder}", user=user, dbname="postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        made.append(name)
        return {"MEDS3_DATABASE": url.rsplit("/", 1)[0] + "/" + name}

    return make


def test_backup_and_restore(tmp_path, database):
    old, new = tmp_path / "old", tmp_path / "new"
    there, here = database(), database()
    python(FILL, old, **there)
    before = json.loads(python(LOOK, old, **there))
    made = meds3(old, "backup", "--to", str(tmp_path / "archive.tar"), **there)
    assert made.returncode == 0, made.stderr[-2000:]
    assert (tmp_path / "archive.tar").stat().st_mode & 0o077 == 0

    restored = meds3(new, "restore", str(tmp_path / "archive.tar"), **here)
    assert restored.returncode == 0, restored.stderr[-2000:]
    after = json.loads(python(LOOK, new, **here))
    assert after["people"] == before["people"] == ["ann"]
    assert after["teams"] == before["teams"]
    assert after["files"] == {"models/one/weights": 256 * 9000}  # nothing half-written
    assert after["key"] == before["key"]
    assert before["jobs"] == [["backup", "running", 0], ["self-check", "running", 0]]
    # What ran waits again, without blame; the backup that is being read is done.
    assert after["jobs"] == [["backup", "succeeded", 0], ["self-check", "queued", 0]]
    assert (before["busy"], after["busy"]) == (1, 0)

    again = meds3(new, "restore", str(tmp_path / "archive.tar"), **here)
    assert again.returncode == 0 and "before-restore-" in again.stdout
    assert json.loads(python(LOOK, new, **here)) == after


def test_where_the_environment_holds_the_secrets_there_are_none_to_restore(tmp_path, database):
    old, new, archive = tmp_path / "old", tmp_path / "new", tmp_path / "archive.tar"
    keys = {"MEDS3_SECRET_KEY": "s" * 50, "MEDS3_VAULT_KEYS": "v" * 50}
    there, here = database() | keys, database() | keys
    python(FILL, old, **there)
    assert meds3(old, "backup", "--to", str(archive), **there).returncode == 0
    with tarfile.open(archive) as tar:
        assert not [name for name in tar.getnames() if name.startswith("secrets")]
    restored = meds3(new, "restore", str(archive), **here)
    assert restored.returncode == 0, restored.stderr[-2000:]
    after = json.loads(python(LOOK, new, **here))
    assert (after["people"], after["files"]) == (["ann"], {"models/one/weights": 256 * 9000})


def test_a_database_that_others_use_is_not_replaced(tmp_path, database):
    home, archive, here = tmp_path / "home", tmp_path / "archive.tar", database()
    if not here:
        pytest.skip("SQLite's file is guarded by the lock of the stack")
    python(FILL, home, **here)
    assert meds3(home, "backup", "--to", str(archive), **here).returncode == 0
    before = json.loads(python(LOOK, home, **here))
    user, path = urlsplit(here["MEDS3_DATABASE"]).netloc.rstrip("@"), urlsplit(here["MEDS3_DATABASE"]).path
    folder, name = path.lstrip("/").rsplit("/", 1)
    with psycopg.connect(host=f"/{folder}", user=user, dbname=name):
        refused = meds3(home, "restore", str(archive), **here)
        assert refused.returncode != 0
        assert "in use: it has 1 other connection" in " ".join((refused.stdout + refused.stderr).split())
        assert json.loads(python(LOOK, home, **here)) == before
    restored = meds3(home, "restore", str(archive), **here)
    assert restored.returncode == 0, restored.stderr[-2000:]


def test_a_restore_that_cannot_write_the_database_leaves_the_one_that_is_there(tmp_path, database):
    home, archive, here = tmp_path / "home", tmp_path / "archive.tar", database()
    if here:
        pytest.skip("PostgreSQL restores in one transaction")
    python(FILL, home)
    assert meds3(home, "backup", "--to", str(archive)).returncode == 0
    before = json.loads(python(LOOK, home))
    (home / ".studio.sqlite3.restored").mkdir()  # in the place of the draft, as a full disk would be
    assert meds3(home, "restore", str(archive)).returncode != 0
    assert json.loads(python(LOOK, home)) == before


def test_a_damaged_or_changed_archive_changes_nothing(tmp_path, database):
    home, here = tmp_path / "home", database()
    python(FILL, home, **here)
    archive = tmp_path / "archive.tar"
    assert meds3(home, "backup", "--to", str(archive), **here).returncode == 0
    before = json.loads(python(LOOK, home, **here))
    whole = archive.read_bytes()

    spot = whole.index(bytes(range(256)) * 4)
    damaged = {
        "is damaged": whole[:spot] + b"\xff" + whole[spot + 1 :],
        "no whole backup": whole[: len(whole) // 2],
    }
    for said, content in damaged.items():
        archive.write_bytes(content)
        refused = meds3(home, "restore", str(archive), **here)
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr
    archive.write_bytes(whole)
    with tarfile.open(archive, "a") as tar:
        tar.add(__file__, "files/../../escaped")
    refused = meds3(home, "restore", str(archive), **here)
    assert refused.returncode == 2 and "not in its list" in refused.stderr
    assert not (tmp_path / "escaped").exists()
    assert json.loads(python(LOOK, home, **here)) == before


def test_a_link_in_the_place_of_the_draft_is_not_followed(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / ".made.tar.partial").symlink_to(tmp_path / "mine")
    writer = Writer(tmp_path / "made.tar")
    writer.add("files/one", Path(__file__))
    writer.finish(CONTENTS.model_copy(update={"members": tuple(writer.members)}))
    assert (tmp_path / "mine").read_bytes() == b"mine"
    made = tmp_path / "made.tar"
    assert made.is_file() and not made.is_symlink() and made.stat().st_mode & 0o077 == 0


def test_a_member_of_holes_is_not_unpacked(tmp_path):
    (tmp_path / "files").mkdir()
    with (tmp_path / "files" / "large").open("wb") as file:
        file.truncate(64 << 20)
    listed = CONTENTS.model_copy(update={"members": (Member(name="files/large", bytes=64 << 20, sha256="0" * 64),)})
    (tmp_path / LIST).write_text(listed.model_dump_json())
    archive = tmp_path / "archive.tar"
    subprocess.run(["tar", "-S", "-cf", archive, "-C", tmp_path, "files/large", LIST], check=True)
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(BackupError, match="not in its list"):
        unpack(archive, contents_of(archive), tmp_path / "into")
    assert not (tmp_path / "into").exists()
