"""Uploads: announced, sent in chunks, resumed, completed, discarded, forgotten; nothing half-written is left."""

import asyncio
import hashlib
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from tests.web.people import signed_in, token
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Action, Role, actions_of
from webapp.common.bodies import BoundedBodies, limit_of
from webapp.common.files import Store, folder_of
from webapp.uploads import services
from webapp.uploads.models import Upload, UploadFile
from webapp.uploads.names import display_name
from webapp.uploads.selectors import file_path, upload_usable

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def bearer(world):
    return {"Authorization": f"Bearer {token(world.by_role[Role.MANAGER], world.team, Role.MANAGER)}"}


@pytest.fixture(autouse=True)
def no_files():
    yield
    shutil.rmtree(Path(settings.FILES) / "uploads", ignore_errors=True)


def announce(bearer, *files, purpose="dataset", **headers):
    body = {"purpose": purpose, "files": list(files)}
    return Client().post("/api/v1/teams/ward-7/uploads", body, "application/json", headers={**bearer, **headers})


def send(bearer, file_id, content, offset=0):
    url = f"/api/v1/teams/ward-7/uploads/files/{file_id}?offset={offset}"
    return Client().put(url, content, "application/octet-stream", headers=bearer)


def complete(bearer, upload_id):
    return Client().post(f"/api/v1/teams/ward-7/uploads/{upload_id}/complete", headers=bearer)


def begun(bearer, name="q.csv", size=256_000, **more):
    answer = announce(bearer, {"name": name, "size": size, **more})
    assert answer.status_code == 201, answer.content
    return answer.json()["id"], answer.json()["files"][0]["id"]


def folders():
    root = Path(settings.FILES) / "uploads"
    return list(root.iterdir()) if root.exists() else []


def test_a_file_is_sent_in_parts_cut_off_and_resumed(world, bearer):
    upload_id, file_id = begun(bearer, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert send(bearer, file_id, CONTENT[:100_000]).json()["received"] == 100_000
    assert complete(bearer, upload_id).status_code == 422
    assert not upload_usable(world.team, upload_id)
    # The line was cut: the sender does not know how far it came, and asks.
    again = send(bearer, file_id, CONTENT[:100_000])
    assert (again.status_code, again.json()["received"]) == (409, 100_000)
    assert again["Content-Type"] == "application/problem+json"
    status = Client().get(f"/api/v1/teams/ward-7/uploads/{upload_id}", headers=bearer).json()
    assert status["files"][0]["received"] == 100_000
    assert send(bearer, file_id, CONTENT[100_000:], 100_000).status_code == 200
    assert complete(bearer, upload_id).json()["state"] == "complete"
    assert upload_usable(world.team, upload_id) and not upload_usable(world.other_team, upload_id)
    assert file_path(UploadFile.objects.get(pk=file_id)).read_bytes() == CONTENT
    assert send(bearer, file_id, b"more", len(CONTENT)).status_code == 422


def test_what_a_crash_left_behind_the_count_is_written_over(bearer):
    upload_id, file_id = begun(bearer)
    send(bearer, file_id, CONTENT[:1000])
    with file_path(UploadFile.objects.get(pk=file_id)).open("ab") as file:
        file.write(b"written but never counted")
    send(bearer, file_id, CONTENT[1000:], 1000)
    assert complete(bearer, upload_id).status_code == 200
    assert file_path(UploadFile.objects.get(pk=file_id)).read_bytes() == CONTENT


def test_more_bytes_than_announced_are_not_taken(bearer):
    upload_id, file_id = begun(bearer, size=10)
    assert send(bearer, file_id, b"x" * 11).status_code == 422
    assert UploadFile.objects.get(pk=file_id).received == 0
    assert send(bearer, file_id, b"").status_code == 422
    assert send(bearer, file_id, b"y" * 10).status_code == 200
    assert complete(bearer, upload_id).status_code == 200
    assert file_path(UploadFile.objects.get(pk=file_id)).read_bytes() == b"y" * 10


def test_a_file_that_arrived_changed_is_refused_and_sent_anew(bearer):
    upload_id, file_id = begun(bearer, sha256=hashlib.sha256(CONTENT).hexdigest())
    send(bearer, file_id, CONTENT[:-1] + b"?")
    answer = complete(bearer, upload_id)
    assert answer.status_code == 422 and "differs" in answer.json()["detail"]
    row = UploadFile.objects.get(pk=file_id)
    assert row.received == 0 and not file_path(row).exists()
    send(bearer, file_id, CONTENT)
    assert complete(bearer, upload_id).json()["state"] == "complete"


def test_digests_of_many_files_take_several_calls(bearer, monkeypatch):
    monkeypatch.setattr(services, "CHECK_SECONDS", -1.0)
    digest = hashlib.sha256(b"abc").hexdigest()
    made = announce(
        bearer, {"name": "a", "size": 3, "sha256": digest}, {"name": "b", "size": 3}, purpose="model"
    ).json()
    for file in made["files"]:
        send(bearer, file["id"], b"abc")
    assert complete(bearer, made["id"]).json()["state"] == "receiving"
    monkeypatch.undo()
    assert complete(bearer, made["id"]).json()["state"] == "complete"


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ([{"name": "a.csv", "size": (2 << 30) + 1}], "GiB"),
        ([{"name": "a.csv", "size": 0}], ""),
        ([{"name": "a.csv", "size": 5, "sha256": "xyz"}], "64"),
        ([{"name": "a.csv", "size": 5}, {"name": "b.csv", "size": 5}], "one file"),
        ([], ""),
    ],
)
def test_what_is_not_taken_at_all(bearer, files, word):
    answer = announce(bearer, *files)
    assert answer.status_code == 422 and word in answer.content.decode()
    assert not Upload.objects.exists() and not folders()


def test_two_files_of_one_name_and_a_full_disk_and_too_many_uploads(bearer, settings):
    twice = announce(bearer, {"name": "d/m.json", "size": 5}, {"name": "m.json", "size": 5}, purpose="model")
    assert twice.status_code == 422
    settings.DISK_RESERVE_BYTES = 1 << 60
    full = announce(bearer, {"name": "a.csv", "size": 5})
    assert full.status_code == 422 and "disk" in full.json()["detail"]
    settings.DISK_RESERVE_BYTES, settings.UPLOADS_OPEN = 0, 1
    begun(bearer)
    assert "unfinished" in announce(bearer, {"name": "a.csv", "size": 5}).json()["detail"]


def test_announced_twice_with_one_key_is_one_upload(bearer):
    key = {"Idempotency-Key": "k1"}
    first = announce(bearer, {"name": "a.csv", "size": 5}, **key).json()
    assert announce(bearer, {"name": "a.csv", "size": 5}, **key).json() == first
    assert Upload.objects.count() == 1


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\secret\\q.csv", "q.csv"),
        ("/", "file"),
        ("..", "file"),
        ("a\x00b\x1b[31m\u202ecsv.exe", "ab[31mcsv.exe"),
        ("x" * 500 + ".parquet", "x" * 192 + ".parquet"),
        ("<script>alert(1)<%2Fscript>.csv", "<script>alert(1)<%2Fscript>.csv"),
    ],
)
def test_a_path_in_a_name_leads_nowhere(bearer, sent, kept):
    assert display_name(sent) == kept
    upload_id, file_id = begun(bearer, name=sent, size=3)
    send(bearer, file_id, b"abc")
    (folder,) = folders()
    assert (folder.name, [entry.name for entry in folder.iterdir()]) == (upload_id, [file_id])
    assert UploadFile.objects.get(pk=file_id).name == kept


def test_the_purpose_decides_who_may(world):
    manager = world.by_role[Role.MANAGER]
    narrow = token(manager, world.team, Role.MANAGER, actions_of(Role.MANAGER) - {Action.MODEL_CHANGE})
    headers = {"Authorization": f"Bearer {narrow}"}
    assert announce(headers, {"name": "m", "size": 5}, purpose="model").status_code == 403
    upload_id, file_id = begun(headers, size=3)
    other = token(manager, world.team, Role.MANAGER, actions_of(Role.MANAGER) - {Action.DATASET_CHANGE})
    assert send({"Authorization": f"Bearer {other}"}, file_id, b"abc").status_code == 403
    viewer = signed_in(world.by_role[Role.VIEWER])
    assert viewer.get(f"/api/v1/teams/ward-7/uploads/{upload_id}").status_code == 403


def test_discarded_and_forgotten_uploads_leave_nothing(world, bearer):
    upload_id, file_id = begun(bearer)
    send(bearer, file_id, CONTENT)
    assert Client().delete(f"/api/v1/teams/ward-7/uploads/{upload_id}", headers=bearer).status_code == 204
    assert not folders() and not Upload.objects.exists()

    kept, _ = begun(bearer)
    forgotten, file_id = begun(bearer)
    send(bearer, file_id, CONTENT[:10])
    Upload.objects.filter(pk=forgotten).update(expires=timezone.now() - timedelta(seconds=1))
    ownerless = folder_of(Store.UPLOADS, Upload().pk)
    ownerless.mkdir()
    (ownerless / "part").write_bytes(b"x")
    assert services.uploads_sweep() == 2
    assert [str(one.pk) for one in Upload.objects.all()] == [kept] and not folders()
    assert send(bearer, file_id, CONTENT[10:], 10).status_code == 404


def test_what_a_job_still_reads_stays(world, bearer):
    from webapp.jobs.models import Job, JobInput, State

    upload = Upload.objects.get(pk=begun(bearer)[0])
    job = Job.objects.create(team=world.team, kind="import", spec={}, spec_hash="", queue="cpu")
    JobInput.objects.create(job=job, kind="upload", thing=upload.pk)
    Upload.objects.update(expires=timezone.now() - timedelta(days=1))
    assert services.uploads_sweep() == 0
    with pytest.raises(services.UploadError, match="job uses"):
        services.upload_discard(actor=SYSTEM, upload=upload)
    Job.objects.update(state=State.CANCELLED)
    assert services.uploads_sweep() == 1


# --- bodies --------------------------------------------------------------------------------------------------------


async def reads_all(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})


def asked(path, *, method="PUT", length=None, parts=(), application=None):
    """What a client gets, and how many parts of its body were read."""
    read, sent = [], []

    async def receive():
        read.append(1)
        return {"type": "http.request", "body": parts[len(read) - 1], "more_body": len(read) < len(parts)}

    async def send_(message):
        sent.append(message)

    headers = [(b"content-length", str(length).encode())] if length is not None else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run((application or BoundedBodies(reads_all))(scope, receive, send_))
    return sent[0]["status"], len(read), sent


def test_a_body_that_says_it_is_too_long_is_not_read():
    path = "/api/v1/teams/ward-7/uploads/files/0198c0de-0000-7000-8000-000000000000"
    assert limit_of("PUT", path) == 8 << 20
    status, read, sent = asked(path, length=(8 << 20) + 1, parts=[b"x"])
    assert (status, read) == (413, 0)
    assert json.loads(sent[1]["body"])["code"] == "too-long"
    assert asked(path, length=3, parts=[b"abc"])[:2] == (200, 1)


def test_a_body_that_grows_too_long_is_cut_off():
    part = b"x" * (3 << 20)
    assert asked("/api/v1/teams/ward-7/uploads", method="POST", parts=[part] * 9)[:2] == (413, 2)
    assert asked("/t/ward-7/members/", method="POST", length=2, parts=[b"ab"])[0] == 200


def test_the_site_has_the_guard_in_front():
    from webapp.config.asgi import application

    assert asked("/", method="POST", length=1 << 40, application=application)[:2] == (413, 0)
