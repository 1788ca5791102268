"""A look through a version: questions much like an earlier one or one of another version, and lengths in tokens."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from django.utils import timezone

from meds3core.config.data_jobs import DatasetCheckSpec
from meds3core.data.check import quantiles
from meds3core.data.overlap import Overlap, QuestionIndex
from meds3core.errors import Cancelled, UserError
from meds3core.progress import ProgressEvent
from meds3core.sandbox.bundled import policy_folder
from meds3core.types.question import Question
from webapp.common.files import Store, folder_of
from webapp.datasets.models import DatasetVersion
from webapp.datasets.selectors import questions_of
from webapp.datasets.services import version_check_store
from webapp.datasets.statistics import Alike, CheckedAgainst, DatasetCheck, TokenCounts
from webapp.jobs import reports
from webapp.jobs.claims import Claim
from webapp.jobs.models import Job
from webapp.registry.models import ModelVersion
from workers import inputs
from workers.context import JobContext

LOOK_EVERY = 200
LISTED = 200
INDEXED = 500_000
"""Questions that are compared with at once; each takes about 2 kB of memory."""


def run(context: JobContext) -> Mapping[str, Any]:
    """Compare, count, and put what was found beside the version's statistics."""
    spec: DatasetCheckSpec = context.spec
    version = DatasetVersion.objects.select_related("dataset").get(pk=inputs.registered(spec.questions, "dataset").id)
    if not Job.objects.filter(pk=context.job_id, team=version.team_id).exists():
        raise UserError("A bundled dataset is for everybody; a team's check would be shown to all. Check one of yours.")
    tokens = _tokens(context, spec, version)
    against, alike = [], []
    for other in (None, *(inputs.registered(each, "dataset").id for each in spec.against)):
        name, found = _compared(context, spec, version, other)
        kinds = Counter(overlap.kind for _, overlap in found)
        against.append(CheckedAgainst(version=other, name=name, by_kind=dict(kinds)))
        alike += [
            Alike(
                position=position,
                other=overlap.other,
                other_version=name,
                kind=overlap.kind,
                containment=round(overlap.containment, 3),
            )
            for position, overlap in found[:LISTED]
        ]
    check = DatasetCheck(
        job=context.job_id,
        made=timezone.now(),
        n=spec.overlap.n,
        threshold=spec.overlap.threshold,
        against=tuple(against),
        alike=tuple(alike[: 5 * LISTED]),
    )
    version_check_store(version_id=version.pk, claim=Claim(context.job_id, context.attempt), check=check, tokens=tokens)
    return {
        "version": str(version.pk),
        "against": [each.model_dump(mode="json") for each in against],
        "tokens": tokens.model_dump(mode="json") if tokens else None,
    }


def _compared(
    context: JobContext, spec: DatasetCheckSpec, version: DatasetVersion, other: UUID | None
) -> tuple[str, list[tuple[int, Overlap]]]:
    """The questions of the version, by position, that are much like one of another version, or an earlier one."""
    if other is None:
        name, count = "", version.questions
    else:
        row = DatasetVersion.objects.select_related("dataset").get(pk=other)
        name, count = str(row), row.questions
    if count > INDEXED:
        raise UserError(f"{name or version} has more than {INDEXED:,} questions; that is too many to compare with.")
    _begin(context, f"Comparing with {name}" if name else "Looking for repetitions")
    index = QuestionIndex(spec.overlap)
    for question in _watched(context, questions_of(version_id=other or version.pk), count, "indexed"):
        index.add(question)
    if other is None:
        places = {question.id: place for place, question in enumerate(questions_of(version_id=version.pk))}
        return name, [(places[overlap.id], overlap) for overlap in index.duplicates()]
    asked = _watched(context, questions_of(version_id=version.pk), version.questions, "compared")
    found = ((place, index.find(question)) for place, question in enumerate(asked))
    return name, [(place, overlap) for place, overlap in found if overlap is not None]


def _tokens(context: JobContext, spec: DatasetCheckSpec, version: DatasetVersion) -> TokenCounts | None:
    """Lengths by a model's own tokenizer; none where it has no file that can be read without its code."""
    folder, name = _tokenizer(spec)
    path = folder / "tokenizer.json"
    if not path.is_file():
        reports.warning_write(
            job_id=context.job_id,
            attempt=context.attempt,
            text="The model has no tokenizer.json; tokens are not counted.",
        )
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    _begin(context, "Counting tokens")
    lengths = array("q")
    for question in _watched(context, questions_of(version_id=version.pk), version.questions, "counted"):
        lengths.append(len(tokenizer.encode(question.text, add_special_tokens=False).ids))
    return TokenCounts(tokenizer=name, lengths=quantiles(lengths))


def _tokenizer(spec: DatasetCheckSpec) -> tuple[Path, str]:
    if spec.model is None:
        return policy_folder(), "the bundled policy"
    row: ModelVersion = inputs.model(spec.model)
    folder = folder_of(Store.MODELS, row.pk)
    if row.is_adapter and row.base is not None and not (folder / "tokenizer.json").is_file():
        folder = folder_of(Store.MODELS, row.base.pk)
    return folder, str(row)


def _watched(context: JobContext, questions: Iterator[Question], total: int, kind: str) -> Iterator[Question]:
    for done, question in enumerate(questions):
        if done % LOOK_EVERY == 0:
            if context.cancel.cancelled:
                raise Cancelled("told to stop")
            context.reporter.emit(ProgressEvent(kind=kind, done=done, total=total))
        yield question


def _begin(context: JobContext, stage: str) -> None:
    reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name=stage[:80])
