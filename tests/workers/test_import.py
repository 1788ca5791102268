"""Imports and previews of uploaded files: good ones arrive whole, bad ones leave a clear message and nothing else."""

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from django.conf import settings

from meds3core.data.records import ColumnMapping
from meds3core.errors import Cancelled, UserError
from meds3core.sandbox.questions import generate
from tests.workers.attempts import claimed, context_of, done
from tests.workers.people import operator, team
from webapp.datasets.intake import imports_sweep
from webapp.datasets.models import Dataset, DatasetVersion, QuestionRow, RejectedRow
from webapp.datasets.selectors import questions_of
from webapp.jobs import claims, services
from webapp.jobs.claims import job_fail
from webapp.jobs.models import Job, State
from webapp.jobs.transitions import JobError, StaleAttempt
from webapp.uploads.importing import import_submit, preview_of, preview_request
from webapp.uploads.models import Upload
from webapp.uploads.services import AnnouncedFile, UploadError, chunk_store, upload_complete, upload_create
from workers.kinds import import_file
from workers.runners import runner_for

pytestmark = pytest.mark.django_db

MARKER = "zebrastripes"
GOOD = '{"id": "1", "question": "Is it?", "answer": "yes"}\n'


@pytest.fixture(autouse=True)
def no_files():
    yield
    shutil.rmtree(Path(settings.FILES) / "uploads", ignore_errors=True)


@pytest.fixture
def ward(db):
    return team("Ward 7")


def uploaded(ward, content, name="ward questions.jsonl"):
    content = content.encode() if isinstance(content, str) else content
    upload = upload_create(actor=operator(), team=ward, purpose="dataset", files=[AnnouncedFile(name, len(content))])
    file = upload.files.get()
    for at in range(0, len(content), 8 << 20):
        chunk_store(file=file, offset=at, content=io.BytesIO(content[at : at + (8 << 20)]))
    return upload_complete(actor=operator(), upload=upload)


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def asked(ward, content, *, name="ward questions.jsonl", **how):
    return import_submit(actor=operator(), upload=uploaded(ward, content, name), **how)


def refused(job):
    """What the person is told when the job is done by a worker and comes to nothing."""
    claim = claimed(job)
    with pytest.raises(UserError) as caught:
        runner_for(job.kind)(context_of(job, claim))
    job_fail(claim=claim, code=caught.value.code, message=str(caught.value))
    return str(caught.value)


def nothing_left():
    return (
        not Dataset.objects.filter(deleted=None).exists() and not DatasetVersion.objects.filter(deleted=None).exists()
    )


# --- good files ----------------------------------------------------------------------------------------------------


def test_questions_arrive_as_they_are_and_bad_rows_are_named(ward):
    questions = generate("train", 1200, seed=3)
    content = [json.loads(question.model_dump_json()) for question in questions]
    content.insert(700, {"id": "x", "question": f"{MARKER}?", "answer": ""})
    result = done(asked(ward, lines(*content), name="clinic.jsonl"))
    version = DatasetVersion.objects.get(pk=result["dataset"])
    assert (result["questions"], result["rejected"]) == (1200, 1)
    assert (version.ready, version.number, version.dataset.name, version.source_name) == (
        True, 1, "clinic", "clinic.jsonl",
    )  # fmt: skip
    assert list(questions_of(version_id=version.pk)) == questions
    row = RejectedRow.objects.get(version=version)
    assert (row.row, row.reason) == (701, "answer: the answer is missing")
    assert version.statistics["questions"] == 1200 and version.content_hash


def test_columns_are_mapped_and_a_second_file_is_a_second_version(ward):
    csv = "nr;stem;a;b;c;key\n7;Which?;x;y;z;2\n8;Which else?;x;y;z;9\n"
    mapping = ColumnMapping(question="stem", answer="key", id="nr", options=("a", "b", "c"), first_index=1)
    upload = uploaded(ward, csv, "a.csv")
    first = done(import_submit(actor=operator(), upload=upload, name="Mine", mapping=mapping, source="exam 2024"))
    version = DatasetVersion.objects.get(pk=first["dataset"])
    (question,) = questions_of(version_id=version.pk)
    assert (question.id, question.gold.value, question.source) == ("7", "B", "exam 2024")
    assert RejectedRow.objects.get(version=version).reason.startswith("key: ")
    second = done(import_submit(actor=operator(), upload=uploaded(ward, GOOD), into=version))
    newer = DatasetVersion.objects.get(pk=second["dataset"])
    assert (newer.dataset_id, newer.number, newer.parent_id) == (version.dataset_id, 2, version.pk)
    with pytest.raises(UploadError, match="already"):
        asked(ward, GOOD, name="Mine.csv")


def test_a_script_stays_text_and_a_path_in_a_name_leads_nowhere(ward):
    text = "<script>alert(1)</script> Is it?"
    result = done(asked(ward, lines({"question": text, "answer": "yes"}), name="../../../etc/passwd.jsonl"))
    version = DatasetVersion.objects.get(pk=result["dataset"])
    assert version.dataset.name == "passwd" and next(questions_of(version_id=version.pk)).text == text


# --- bad files -----------------------------------------------------------------------------------------------------


def zip_bomb():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("q.csv", b"\0" * 50_000_000)
    return out.getvalue()


def parquet(table, **options):
    out = io.BytesIO()
    pa.parquet.write_table(table, out, **options)
    return out.getvalue()


WIDE = ",".join(f"column{number}" for number in range(10_000))

BAD = {
    "a zip bomb renamed": (zip_bomb(), "a zip archive"),
    "gzip": (b"\x1f\x8b\x08\x00" + b"x" * 100, "compressed with gzip"),
    "UTF-16": ("\ufeffquestion,answer\nIs it?,yes\n".encode("utf-16-le"), "UTF-16"),
    "a PDF": (b"%PDF-1.7 ...", "a PDF document"),
    "blank": (b"  \n\n", "is empty"),
    "no gold": (lines({"question": f"{MARKER}?"}, {"question": "Is it?"}), "row 1, answer: the answer is missing"),
    "no question": (lines({MARKER: 1}), "no known shape"),
    "an empty array": (b"[]", "no row"),
    "a header alone": (b"question,answer\n", "a header and no rows"),
    "wrong JSON": (b'{"question": "Is it?", \n', "not valid JSON"),
    "bytes that are no text": (b'{"question": "\xff"}\n', "not UTF-8"),
    "NUL bytes": (b"\0" * 10_000, "not valid JSON"),
    "NUL characters": (lines({"question": "Is\0it?", "answer": "yes"}), "NUL"),
    "names that are no text": (
        b'{"question": "Which?", "options": {"A\\u0000": 1e400, "B": "x"}, "answer": "A"}\n'
        b'{"question": "Which?", "options": {"A\\ud800": 1e400, "B": "x"}, "answer": "A", "\\u0000": 1}\n',
        "row 1, options.A",
    ),
    "deep nesting": (b"[" * 200_000, ""),
    "ten thousand columns": (f"{WIDE}\n{WIDE}\n".encode(), "10,000 columns; at most 1,000"),
    "ten thousand fields": (lines(dict.fromkeys(WIDE.split(","), 1)), "10,000 columns; at most 1,000"),
    "wide Parquet": (
        parquet(pa.table({name: [1] for name in WIDE.split(",")})),
        "10,000 columns; at most 1,000",
    ),
    "damaged Parquet": (b"PAR1" + os.urandom(5000) + b"PAR1", "not a readable Parquet"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_with_a_reason_and_leaves_nothing(ward, what):
    content, reason = BAD[what]
    upload = uploaded(ward, content, "q.csv")
    job = import_submit(actor=operator(), upload=upload)
    message = refused(job)
    assert reason in message
    assert str(settings.FILES) not in message and MARKER not in message and str(upload.files.get().pk) not in message
    assert nothing_left()
    look = preview_request(actor=operator(), upload=upload)
    try:
        done(look)
    except UserError as error:
        assert str(settings.FILES) not in str(error)
    else:
        upload.refresh_from_db()
        assert preview_of(upload).loaded == 0


def test_bad_rows_beside_good_ones(ward):
    rows = [
        GOOD.encode(),
        b'{"id": "1", "question": "Is it again?", "answer": "yes"}\n',
        b'{"id": "3", "question": "' + b"x" * 10_100_000 + b'", "answer": "yes"}\n',
        b'{"id": "4", "question": "\xff", "answer": "yes"}\n',
        b"not json\n",
        b'{"id": "6", "question": "Is it still?", "answer": "no"}\n',
    ]
    result = done(asked(ward, b"".join(rows)))
    assert (result["questions"], result["rejected"]) == (2, 4)
    reasons = dict(RejectedRow.objects.values_list("row", "reason"))
    assert reasons[2] == "id: the id of row 1 again" and "10 MB" in reasons[3] and "UTF-8" in reasons[4]
    assert set(reasons) == {2, 3, 4, 5}


def test_a_file_that_wants_too_much_memory_or_time_ends_its_reader_alone(ward, settings):
    settings.IMPORT_MEMORY_BYTES = 300 << 20
    # One page of a Parquet file that is small on disk and half a gigabyte in memory.
    bomb = parquet(pa.table({"question": ["x" * (1 << 20)] * 512, "answer": ["yes"] * 512}), compression="zstd")
    assert len(bomb) < 1 << 20
    assert "memory" in refused(asked(ward, bomb, name="bomb.parquet"))
    assert nothing_left()
    settings.IMPORT_MEMORY_BYTES, settings.IMPORT_SECONDS = 1 << 30, 0
    slow = lines(*({"id": str(number), "question": "Is it? " * 40, "answer": "yes"} for number in range(60_000)))
    assert "too long" in refused(asked(ward, slow, name="slow.jsonl"))
    assert nothing_left()


# --- interruptions -------------------------------------------------------------------------------------------------


def many(count):
    return lines(*({"id": str(number), "question": f"Is {number} it?", "answer": "yes"} for number in range(count)))


class Killed(BaseException):
    pass


def attempt(job, claim, *, stop_after=None, by=Killed, monkeypatch=None, cancel=False):
    """Do an attempt; after so many batches it is killed, or told to stop."""
    context, written = context_of(job, claim), []
    append = import_file.version_append

    def counted(**all):
        append(**all)
        written.append(1)
        if len(written) == stop_after:
            if cancel:
                context.cancel.cancel()
            else:
                raise by

    monkeypatch.setattr(import_file, "version_append", counted)
    try:
        return runner_for(job.kind)(context)
    finally:
        monkeypatch.setattr(import_file, "version_append", append)


def test_a_killed_import_goes_on_behind_what_is_stored(ward, monkeypatch):
    content = many(1400) + GOOD + "not json\n" + GOOD.replace('"1"', '"last"')
    job = asked(ward, content, source="exam")
    with pytest.raises(Killed):
        attempt(job, claimed(job), stop_after=2, monkeypatch=monkeypatch)
    begun = DatasetVersion.objects.get()
    assert not begun.ready and begun.questions == 1000
    Job.objects.update(state=State.QUEUED)
    result = done(job)
    version = DatasetVersion.objects.get()
    assert version.pk == begun.pk and version.ready
    assert (result["questions"], result["rejected"]) == (1401, 2)
    assert [row.position for row in QuestionRow.objects.order_by("position")] == list(range(1401))
    calm = done(asked(ward, content, name="calm.jsonl", source="exam"))
    assert DatasetVersion.objects.get(pk=calm["dataset"]).content_hash == version.content_hash
    # A third attempt, after the version was finished but before the job's end was written, changes nothing.
    Job.objects.filter(pk=job.pk).update(state=State.QUEUED)
    assert done(job) == result


def test_a_stale_attempt_writes_nothing(ward, monkeypatch):
    job = asked(ward, many(1200))
    old = claimed(job)
    Job.objects.update(state=State.QUEUED)
    new = claimed(job)
    with pytest.raises(StaleAttempt):
        runner_for(job.kind)(context_of(job, old))
    assert not DatasetVersion.objects.exists() and new.attempt == 2


def test_a_pause_keeps_the_place_and_a_cancel_leaves_nothing(ward, monkeypatch):
    job = asked(ward, many(3000))
    claim = claimed(job)
    services.job_pause(actor=operator(), job=job)
    with pytest.raises(Cancelled):
        attempt(job, claim, stop_after=2, cancel=True, monkeypatch=monkeypatch)
    assert DatasetVersion.objects.get(deleted=None).questions >= 1000
    claims.job_stopped(claim=claim)
    services.job_resume(actor=operator(), job=job)
    claim = claimed(job)
    services.job_cancel(actor=operator(), job=job)
    with pytest.raises(Cancelled):
        attempt(job, claim, stop_after=1, cancel=True, monkeypatch=monkeypatch)
    assert nothing_left()


def test_what_a_cancelled_import_could_not_remove_the_sweep_does(ward, monkeypatch):
    job = asked(ward, many(1200))
    with pytest.raises(Killed):
        attempt(job, claimed(job), stop_after=1, monkeypatch=monkeypatch)
    assert imports_sweep() == 0 and not nothing_left()
    Job.objects.update(state=State.CANCELLED)
    assert imports_sweep() == 1 and nothing_left()


# --- previews ------------------------------------------------------------------------------------------------------


def seen(ward, content, name="q.csv", **how):
    upload = uploaded(ward, content, name)
    result = done(preview_request(actor=operator(), upload=upload, **how))
    upload.refresh_from_db()
    return preview_of(upload), result


def test_a_preview_tells_format_columns_and_what_they_mean(ward):
    rows = "".join(f"{number},Which of {MARKER}?,x,y,z,{number % 3 + 1},cardiology\n" for number in range(30))
    found, result = seen(ward, "nr,stem,a,b,c,key,topic\n" + rows + "31,Why?,x,y,z,7,cardiology\n")
    assert (found.format, found.column_count, found.known_shape) == ("csv", 7, False)
    assert found.guess == ColumnMapping(
        question="stem", answer="key", id="nr", options=("a", "b", "c"), first_index=1, domain="topic"
    )
    assert (found.tried, found.loaded, found.whole, len(found.rows)) == (31, 30, True, 20)
    assert found.rows[1].gold == "B" and found.rows[1].options[1] == "B. y" and found.rows[1].row == 2
    assert MARKER not in json.dumps(result)
    wrong, _ = seen(ward, "nr,stem,key\n1,Which?,\n", mapping=ColumnMapping(question="stem", answer="key"))
    assert wrong.rows[0].problem == "key: the answer is missing"


def test_a_preview_knows_the_published_shape(ward):
    record = {"id": 1, "conversations": [{"from": "human", "value": "Which?\nA. x\nB. y"}], "eval": {"answer": "B"}}
    found, _ = seen(ward, json.dumps([record]), "MedQA.json")
    assert (found.format, found.known_shape, found.mapping) == ("json", True, None)
    assert found.rows[0].source == "MedQA" and found.rows[0].gold == "B"
    assert [column.name for column in found.columns] == ["id", "conversations", "eval", "eval.answer"]


def test_one_that_is_not_waited_for_any_more_is_cancelled(ward):
    upload = uploaded(ward, GOOD)
    first = preview_request(actor=operator(), upload=upload)
    preview_request(actor=operator(), upload=upload, source="other")
    first.refresh_from_db()
    assert first.state == State.CANCELLED


def test_an_upload_that_is_not_complete_is_not_imported(ward):
    upload = upload_create(actor=operator(), team=ward, purpose="dataset", files=[AnnouncedFile("a.csv", 5)])
    with pytest.raises(UploadError, match="not here yet"):
        import_submit(actor=operator(), upload=upload)
    Upload.objects.update(state=Upload.State.COMPLETE)
    upload.refresh_from_db()
    job = import_submit(actor=operator(), upload=upload)
    assert "cannot be opened" in refused(job)
    Upload.objects.all().delete()
    with pytest.raises(JobError):
        services.job_run_again(actor=operator(), job=Job.objects.get(pk=job.pk))
