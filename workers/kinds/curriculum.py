"""A curriculum: questions of some versions are chosen into a new one (`meds3core.data.curriculum`).

The choice looks at light stand-ins, so that a million candidates fit; whole questions are read for what is chosen.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from meds3core.config.data_jobs import CurriculumSpec
from meds3core.data.curriculum import choose_curriculum
from meds3core.data.overlap import QuestionIndex
from meds3core.errors import Cancelled
from meds3core.progress import ProgressEvent
from meds3core.types.question import Question
from webapp.accounts.actors import Actor
from webapp.accounts.models import Door
from webapp.datasets.derived import dataset_for
from webapp.datasets.models import Dataset, DatasetVersion, QuestionRow
from webapp.datasets.selectors import questions_of
from webapp.datasets.services import BATCH, dataset_create, version_append, version_begin, version_finish
from webapp.jobs import reports
from webapp.jobs.claims import Claim
from webapp.jobs.models import Job
from workers import inputs
from workers.context import JobContext

LOOK_EVERY = 500


class Light(NamedTuple):
    """A candidate without its text."""

    row: int
    id: str
    source: str
    domain: str
    difficulty: float | None
    content_hash: str


class Left(NamedTuple):
    """How many candidates were left out, and why."""

    duplicates: int
    held_out: int


def run(context: JobContext) -> Mapping[str, Any]:
    """Choose and write; the result names the version and says what was missing."""
    spec: CurriculumSpec = context.spec
    claim = Claim(context.job_id, context.attempt)
    sources = [inputs.registered(each, "dataset").id for each in spec.questions]
    reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Choosing")
    candidates, left = _candidates(context, spec, sources)
    choice = choose_curriculum(candidates, {}, spec.settings)
    told = {
        "duplicates_dropped": left.duplicates,
        "held_out_dropped": left.held_out,
        "solved_dropped": choice.solved_dropped,
        "unmeasured": sum(one.difficulty is None for one in choice.chosen),
        "shortfalls": [one.model_dump(mode="json") for one in choice.shortfalls[:200]],
    }
    dataset, parent = _target(context.job_id, spec, sources[0])
    recipe = {"kind": "curriculum", "spec": spec.model_dump(mode="json"), "left_out": told}
    version = version_begin(dataset=dataset, claim=claim, recipe=recipe, parent=parent)
    reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Writing")
    chosen = [candidates[one.index] for one in choice.chosen]
    questions = islice(_questions(chosen), version.questions, None)
    while batch := list(islice(questions, BATCH)):
        _look(context)
        version_append(version=version, questions=batch, claim=claim)
        context.reporter.emit(ProgressEvent(kind="rows", done=version.questions, total=len(chosen)))
    version_finish(version=version, claim=claim)
    return {"version": str(version.pk), "questions": version.questions} | told


def _candidates(context: JobContext, spec: CurriculumSpec, sources: Sequence[UUID]) -> tuple[list[Light], Left]:
    """What may be chosen: nothing twice, nothing that is held out."""
    benchmark = QuestionIndex(spec.overlap)
    for each in spec.held_out:
        for question in questions_of(version_id=inputs.registered(each, "dataset").id):
            benchmark.add(question)
            if len(benchmark) % LOOK_EVERY == 0:
                _look(context)
    total = sum(DatasetVersion.objects.filter(pk__in=sources).values_list("questions", flat=True))
    found: list[Light] = []
    seen: set[str] = set()
    duplicates = held_out = 0
    for number, (light, record) in enumerate(_rows(sources, whole=len(benchmark) > 0)):
        if number % LOOK_EVERY == 0:
            _look(context)
            context.reporter.emit(ProgressEvent(kind="candidates", done=number, total=total))
        if spec.drop_duplicates and light.content_hash in seen:
            duplicates += 1
        elif record is not None and benchmark.find(Question.model_validate(record)) is not None:
            held_out += 1
        else:
            seen.add(light.content_hash)
            found.append(light)
    return found, Left(duplicates, held_out)


def _rows(sources: Sequence[UUID], *, whole: bool) -> Iterator[tuple[Light, Any]]:
    columns = ["pk", "question_id", "source", "domain", "difficulty", "content_hash", *(["record"] if whole else [])]
    for source in sources:
        rows = QuestionRow.objects.filter(version=source).order_by("position").values_list(*columns)
        for row in rows.iterator(chunk_size=1000):
            yield Light(*row[:6]), row[6] if whole else None


def _questions(chosen: Sequence[Light]) -> Iterator[Question]:
    """The whole questions in this order. An id that two versions share gets a number, so that ids differ."""
    used: set[str] = set()
    for start in range(0, len(chosen), BATCH):
        part = chosen[start : start + BATCH]
        records = dict(QuestionRow.objects.filter(pk__in=[each.row for each in part]).values_list("pk", "record"))
        for each in part:
            question = Question.model_validate(records[each.row])
            name, number = question.id, 1
            while name in used:
                number += 1
                name = f"{question.id[:500]}-{number}"
            used.add(name)
            yield question if name == question.id else question.model_copy(update={"id": name})


def _target(job_id: UUID, spec: CurriculumSpec, first: UUID) -> tuple[Dataset, DatasetVersion]:
    if not spec.name:
        return dataset_for(job_id=job_id, version_id=first)
    job = Job.objects.select_related("team", "created_by").get(pk=job_id)
    parent = DatasetVersion.objects.get(pk=first)
    begun = DatasetVersion.objects.select_related("dataset").filter(job=job, deleted=None).first()
    if begun is not None:
        return begun.dataset, parent
    present = Dataset.objects.filter(team=job.team, name=spec.name, deleted=None).first()
    actor = Actor(job.created_by, Door.SYSTEM)
    return present or dataset_create(actor=actor, team=job.team, name=spec.name), parent


def _look(context: JobContext) -> None:
    if context.cancel.cancelled:
        raise Cancelled("told to stop")
