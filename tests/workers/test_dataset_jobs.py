"""Curriculum, check and export of datasets, done in one attempt over the test's database."""

import csv
import hashlib
import io
import json
import os
import time

import pytest

from meds3core.data.read import load_questions
from meds3core.errors import Cancelled, UserError
from meds3core.sandbox.questions import generate
from meds3core.types.question import Gold, NumberFormat, Question
from tests.workers.attempts import claimed, context_of, done
from tests.workers.people import operator, team
from webapp.accounts.services import system_team
from webapp.common.files import Store, folder_of
from webapp.datasets.exports import exports_expire
from webapp.datasets.models import Dataset, DatasetVersion, QuestionRow
from webapp.datasets.selectors import questions_of
from webapp.datasets.services import dataset_from_questions, version_append, version_begin
from webapp.datasets.statistics import statistics_of
from webapp.jobs import claims, services
from webapp.jobs.transitions import JobError, StaleAttempt
from workers.runners import runner_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def ward():
    return team("Ward 7")


def stored(ward, name, questions):
    return dataset_from_questions(actor=operator(), team=ward, name=name, questions=list(questions))


def ref(version):
    return {"kind": "dataset", "id": str(version.pk)}


def submit(ward, **spec):
    return services.job_submit(actor=operator(), team=ward, spec=spec)


def graded(count, source, **others):
    """Questions of a source whose difficulties go round the four bands."""
    return [
        question.model_copy(update={"source": source, "difficulty": (number % 4) / 4 + 0.1, **others})
        for number, question in enumerate(generate("train", count, seed=7))
    ]


def test_a_curriculum_fills_quotas_and_leaves_out_what_is_held_out(ward):
    pool = graded(80, "easy") + [
        question.model_copy(update={"id": f"h-{question.id}", "text": f"At night: {question.text}", "source": "hard"})
        for question in graded(80, "easy")
    ]
    repeated = pool[0].model_copy(update={"id": "again"})
    version = stored(ward, "Pool", [*pool, repeated])
    held_out = stored(ward, "Benchmark", [pool[5].model_copy(update={"id": "b"})])
    job = submit(
        ward,
        kind="curriculum",
        questions=[ref(version)],
        held_out=[ref(held_out)],
        overlap={"threshold": 1.0},
        settings={"count": 40, "quotas": [["hard", 12]], "seed": 3},
        name="Chosen",
    )
    result = done(job)
    made = DatasetVersion.objects.get(pk=result["version"])
    chosen = list(questions_of(version_id=made.pk))
    assert made.ready
    assert (made.dataset.name, made.parent, made.job) == ("Chosen", version, job)
    assert len(chosen) == made.questions == 40
    assert sum(question.source == "hard" for question in chosen) == 12
    assert result["duplicates_dropped"] == 1
    assert result["held_out_dropped"] >= 1
    assert pool[5].content_hash not in {question.content_hash for question in chosen}
    assert {question.content_hash for question in chosen} <= {question.content_hash for question in pool}


def test_a_curriculum_goes_on_where_an_attempt_broke_off(ward):
    version = stored(ward, "Pool", graded(60, "all"))
    spec = {"kind": "curriculum", "questions": [ref(version)], "settings": {"count": 30}}
    whole = done(submit(ward, **spec))
    job = submit(ward, **spec)
    first = claimed(job)
    expected = list(questions_of(version_id=whole["version"]))
    begun = version_begin(dataset=version.dataset, claim=first)
    version_append(version=begun, questions=expected[:10], claim=first)
    claims.job_stopped(claim=first)
    again = done(job)
    assert again["version"] == str(begun.pk)
    assert list(questions_of(version_id=begun.pk)) == expected
    with pytest.raises(StaleAttempt):
        version_append(version=begun, questions=expected[:1], claim=first)


def test_a_cancelled_curriculum_stops(ward):
    job = submit(ward, kind="curriculum", questions=[ref(stored(ward, "Pool", graded(20, "all")))])
    context = context_of(job, claimed(job))
    context.cancel.cancel()
    with pytest.raises(Cancelled):
        runner_for("curriculum")(context)


def test_a_version_of_another_team_is_not_chosen_from(ward):
    foreign = stored(team("Ward 8"), "Theirs", graded(4, "all"))
    with pytest.raises(JobError):
        submit(ward, kind="curriculum", questions=[ref(foreign)])


def test_a_check_finds_what_is_alike_and_counts_tokens(ward):
    questions = graded(12, "all")
    shouted = questions[3].model_copy(update={"id": "loud", "text": questions[3].text.upper()})
    version = stored(ward, "Training", [*questions, shouted])
    benchmark = stored(
        ward, "Benchmark", [questions[7].model_copy(update={"id": "held", "text": questions[7].text + " "})]
    )
    alike = {"n": 50, "threshold": 1.0}  # the clinic's questions share their wording
    done(submit(ward, kind="dataset-check", questions=ref(version), against=[ref(benchmark)], overlap=alike))
    version.refresh_from_db()
    found = statistics_of(version)
    assert found.check is not None
    own, other = found.check.against
    assert own.by_kind == {"normalised": 1}
    assert other.by_kind == {"normalised": 1}
    assert {(each.position, each.other_version) for each in found.check.alike} == {(12, ""), (7, "Benchmark v1")}
    assert found.tokenizer == "the bundled policy"
    assert found.tokens["min"] > 5
    assert found.questions == 13


def exported(ward, version, **more):
    job = submit(ward, kind="export", what=ref(version), **more)
    result = done(job)
    path = folder_of(Store.EXPORTS, job.pk) / result["file"]
    content = path.read_bytes()
    assert result["bytes"] == len(content)
    assert result["sha256"] == hashlib.sha256(content).hexdigest()
    return path, result


NASTY = [
    "=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(1)", "\tx", "\rx", "-3.5", "+7", "a,b\n\"c\"", "naïve – Σ", "=1"
]  # fmt: skip


def test_an_export_gives_the_questions_back(ward, tmp_path):
    questions = graded(30, "all")
    path, result = exported(ward, stored(ward, "A set, with = signs", questions))
    assert path.name == "A-set-with-signs-v1.jsonl"
    assert result["rows"] == 30
    assert list(load_questions(path).questions) == questions


def test_csv_is_exact_or_for_spreadsheets(ward):
    questions = [
        Question(id=f"q{number}", text=text, answer_format=NumberFormat(), gold=Gold(value="-3.5"))
        for number, text in enumerate(NASTY)
    ]
    version = stored(ward, "Nasty", questions)
    path, result = exported(ward, version, format="csv")
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    assert [row["question"] for row in rows] == NASTY
    assert result["neutralised"] == 0
    path, result = exported(ward, version, format="csv", form="spreadsheet")
    text = path.read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    changed = [row["question"] for row in rows]
    assert changed == ["'" + each if each[0] in "=+-@\t\r" and each not in ("-3.5", "+7") else each for each in NASTY]
    assert {row["answer"] for row in rows} == {"-3.5"}
    assert result["neutralised"] == 7


def test_a_bundled_dataset_is_not_marked_by_a_team(ward):
    version = stored(system_team(), "Benchmark", graded(4, "all"))
    with pytest.raises(UserError, match="bundled"):
        done(submit(ward, kind="dataset-check", questions=ref(version)))


def test_files_of_exports_expire(ward, settings):
    path, _ = exported(ward, stored(ward, "Set", graded(4, "all")))
    assert exports_expire() == 0
    long_ago = time.time() - (settings.EXPORT_DAYS + 1) * 86400
    os.utime(path.parent, (long_ago, long_ago))
    assert exports_expire() == 1
    assert not path.exists()


def test_a_stale_export_leaves_the_newer_file_alone(ward):
    version = stored(ward, "Set", graded(4, "all"))
    job = submit(ward, kind="export", what=ref(version))
    stale = claimed(job)
    claims.job_stopped(claim=stale)
    assert done(job)["rows"] == 4
    with pytest.raises(StaleAttempt):
        runner_for("export")(context_of(job, stale))


def test_rows_and_index_go_in_the_background(ward):
    from webapp.datasets.deletion import dataset_delete, deletions_go_on
    from webapp.datasets.search import matching

    version = stored(ward, "Gone", graded(600, "all"))
    kept = stored(ward, "Kept", graded(3, "all"))
    dataset_delete(actor=operator(), dataset=version.dataset)
    assert QuestionRow.objects.filter(version=version).count() == 600
    assert 0 < deletions_go_on(seconds=0) < 600
    while deletions_go_on(seconds=5):
        pass
    assert list(Dataset.objects.all()) == [kept.dataset]
    assert list(QuestionRow.objects.values_list("version", flat=True).distinct()) == [kept.pk]
    rows = QuestionRow.objects.filter(version=kept)
    word = json.dumps(next(iter(rows)).text)[1:12]
    assert matching(rows, version_id=kept.pk, text=word).exists()
