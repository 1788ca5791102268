"""The pages from a file to a dataset: sending, looking, mapping, importing, rows left out. Jobs are put in by hand."""

import io
import json
import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from meds3core.data.preview import preview_file
from meds3core.data.rows import RowError
from meds3core.types.question import Gold, Question, TextFormat
from tests.web.people import signed_in, token
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.rules import Role
from webapp.datasets.models import DatasetVersion
from webapp.datasets.services import (
    dataset_create,
    dataset_from_questions,
    version_append,
    version_begin,
    version_finish,
)
from webapp.jobs.models import Job, State
from webapp.uploads.importing import preview_request
from webapp.uploads.models import Upload
from webapp.uploads.services import AnnouncedFile, chunk_store, upload_complete, upload_create

CSV = "nr,stem,a,b,key\n1,<script>alert(1)</script> Which?,x,y,2\n2,Which else?,x,y,\n"


@pytest.fixture(autouse=True)
def no_files():
    yield
    shutil.rmtree(Path(settings.FILES) / "uploads", ignore_errors=True)


@pytest.fixture
def client(world):
    return signed_in(world.by_role[Role.MANAGER])


@pytest.fixture
def actor(world):
    return Actor(world.by_role[Role.MANAGER])


def sent(world, actor, content=CSV, name="exam.csv"):
    data = content.encode()
    files = [AnnouncedFile(name, len(data))]
    upload = upload_create(actor=actor, team=world.team, purpose="dataset", files=files)
    chunk_store(file=upload.files.get(), offset=0, content=io.BytesIO(data))
    return upload_complete(actor=actor, upload=upload)


def looked_at(upload, actor, tmp_path, content=CSV):
    """As if a worker had done the preview."""
    (tmp_path / "f").write_text(content)
    job = preview_request(actor=actor, upload=upload)
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    seen = preview_file(tmp_path / "f", stem="exam").model_dump(mode="json")
    Upload.objects.filter(pk=upload.pk).update(preview={"job": str(job.pk), **seen})


def url(upload, more=""):
    return f"/t/ward-7/uploads/{upload.pk}/{more}"


COLUMNS = {"into": "new", "name": "Exam", "question": "stem", "answer": "key", "options": ["a", "b"],
           "answer_kind": "choice", "first_index": "1", "id": "nr", "source": "exam 2024"}  # fmt: skip


def test_the_page_that_sends_lists_what_was_begun(world, client, actor):
    page = client.get("/t/ward-7/datasets/upload/").content.decode()
    assert "Drop files here" in page and "upload.js" in page
    upload_create(actor=actor, team=world.team, purpose="dataset", files=[AnnouncedFile("<b>half.csv", 10)])
    upload = sent(world, actor)
    page = client.get("/t/ward-7/datasets/upload/").content.decode()
    assert "&lt;b&gt;half.csv" in page and "Choose the same file again" in page
    assert url(upload) in page
    other = signed_in(world.by_role[Role.OWNER]).get("/t/ward-7/datasets/upload/").content.decode()
    assert "half" not in other


def test_a_file_is_looked_at_by_a_job_and_then_mapped(world, client, actor, tmp_path):
    upload = sent(world, actor)
    page = client.get(url(upload)).content.decode()
    assert f'hx-post="{url(upload, "preview/")}"' in page and not Job.objects.exists()
    answer = client.post(url(upload, "preview/"), headers={"HX-Request": "true"}).content.decode()
    assert "Waiting for a free worker" in answer and f'hx-get="{url(upload)}"' in answer
    assert Job.objects.get().spec["kind"] == "preview"
    looked_at(upload, actor, tmp_path)
    page = client.get(url(upload), headers={"HX-Request": "true"}).content.decode()
    assert "hx-get" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; Which?" in page
    assert "<strong>1 of 2 rows</strong>" in page and "key: the answer is missing" in page
    assert '<option value="stem" selected>' in page


def test_a_changed_mapping_is_looked_at_again(world, client, actor, tmp_path):
    upload = sent(world, actor)
    looked_at(upload, actor, tmp_path)
    answer = client.post(url(upload, "preview/"), COLUMNS | {"answer": "stem"}, headers={"HX-Request": "true"})
    assert "different columns" in answer.content.decode()
    answer = client.post(url(upload, "preview/"), COLUMNS, headers={"HX-Request": "true"}).content.decode()
    assert "hx-get" in answer and "First rows" in answer
    newest = Job.objects.filter(kind="preview").latest("created")
    assert newest.spec["mapping"]["options"] == ["a", "b"] and newest.spec["mapping"]["first_index"] == 1
    Job.objects.filter(pk=newest.pk).update(state=State.FAILED, error_message="The file is a zip archive.")
    assert "The file is a zip archive." in client.get(url(upload, "preview/")).content.decode()


def test_the_import_is_asked_for_once_and_watched_in_place(world, client, actor, tmp_path):
    upload = sent(world, actor)
    looked_at(upload, actor, tmp_path)
    assert client.post(url(upload), COLUMNS | {"name": " "}).status_code == 400
    dataset_create(actor=SYSTEM, team=world.team, name="Taken")
    refused = client.post(url(upload), COLUMNS | {"name": "Taken"})
    assert refused.status_code == 400 and "already" in refused.content.decode()
    assert client.post(url(upload), COLUMNS).status_code == 302
    job = Job.objects.get(kind="import")
    assert (job.title, job.spec["source"], job.spec["mapping"]["id"]) == ("Import into Exam", "exam 2024", "nr")
    page = client.get(url(upload), headers={"HX-Request": "true"}).content.decode()
    assert "waiting for a free worker" in page and f"/jobs/{job.pk}/" in page and "hx-get" in page
    Job.objects.filter(pk=job.pk).update(state=State.FAILED, error_message="None of the rows is a question.")
    page = client.get(url(upload)).content.decode()
    assert "nothing of it is left" in page and "None of the rows is a question." in page and "Import</button>" in page

    version = dataset_from_questions(actor=actor, team=world.team, name="Exam", questions=[question()])
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, result={"dataset": str(version.pk)})
    page = client.get(url(upload)).content.decode()
    assert "1 question imported as version 1 of Exam" in page and "hx-get" not in page


def question():
    return Question(id="1", text="Which?", answer_format=TextFormat(), gold=Gold(value="x"))


def test_a_new_version_goes_beside_the_newest_one(world, client, actor, tmp_path):
    version = dataset_from_questions(actor=actor, team=world.team, name="Exam", questions=[question()])
    upload = sent(world, actor)
    looked_at(upload, actor, tmp_path)
    page = client.get(url(upload) + f"?into={version.dataset_id}").content.decode()
    assert f'<option value="{version.pk}" selected>A new version of Exam' in page
    assert client.post(url(upload), COLUMNS | {"into": str(version.pk)}).status_code == 302
    assert Job.objects.get(kind="import").spec["dataset"]["id"] == str(version.pk)
    assert client.post(url(upload), COLUMNS | {"into": str(upload.pk)}).status_code == 400


def test_known_shapes_need_no_columns(world, client, actor, tmp_path):
    content = json.dumps({"question": "Is it?", "answer": "yes"}) + "\n"
    upload = sent(world, actor, content, "q.jsonl")
    looked_at(upload, actor, tmp_path, content)
    client.post(url(upload), {"into": "new", "name": "Q", "shape": "own", "source": "q"})
    assert Job.objects.get(kind="import").spec["mapping"] is None


def test_rows_left_out_are_listed_and_downloaded(world, client, actor):
    dataset = dataset_create(actor=actor, team=world.team, name="Exam")
    version = version_begin(dataset=dataset)
    errors = [RowError(row=row, field="=cmd()" if row == 3 else "answer", message="missing") for row in range(1, 251)]
    version_append(version=version, questions=[question()], rejected=errors)
    version_finish(version=version)
    assert DatasetVersion.objects.get().rejected == 250
    page = client.get(f"/t/ward-7/datasets/versions/{version.pk}/rejected/").content.decode()
    assert "answer: missing" in page and "?after=200" in page
    assert "250" in client.get(f"/t/ward-7/datasets/versions/{version.pk}/rejected/?after=200").content.decode()
    file = client.get(f"/t/ward-7/datasets/versions/{version.pk}/rejected/file/")
    assert "attachment" in file["Content-Disposition"]
    lines = file.content.decode().splitlines()
    assert len(lines) == 251 and lines[3] == "3,'=cmd(): missing"
    assert client.get(f"/t/ward-7/datasets/versions/{version.pk}/").content.decode().count("rejected/") == 1


def test_a_discarded_upload_is_gone(world, client, actor):
    upload = sent(world, actor)
    assert client.post(url(upload, "discard/")).status_code == 302
    assert not Upload.objects.exists() and client.get(url(upload)).status_code == 404


def test_a_program_has_the_file_looked_at_too(world, client, actor, tmp_path):
    upload = sent(world, actor)
    path = f"/api/v1/teams/ward-7/uploads/{upload.pk}/preview"
    bearer = {"Authorization": f"Bearer {token(actor.user, world.team, Role.MANAGER)}"}
    assert Client().get(path, headers=bearer).status_code == 422
    answer = Client().post(path, {"mapping": {"question": "stem", "answer": "key"}}, "application/json", headers=bearer)
    job = Job.objects.get(kind="preview")
    assert answer.status_code == 202 and str(job.pk) in answer["Location"]
    assert job.spec["mapping"]["question"] == "stem"
    assert Client().generic("POST", path, headers=bearer).status_code == 202
    looked_at(upload, actor, tmp_path)
    seen = Client().get(path, headers=bearer).json()
    assert seen["guess"]["answer"] == "key" and [row["row"] for row in seen["rows"]] == [1, 2]
