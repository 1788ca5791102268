"""Writes of datasets and their versions.

A version is written in batches and seen when it is finished; then it never changes:

    version = version_begin(dataset=dataset, claim=claim, recipe={...}, source_name="medqa.jsonl")
    version_append(version=version, questions=batch, rejected=errors, claim=claim)     # a few hundred rows at a time
    version_finish(version=version, claim=claim)

With a `claim` (a job writes) every batch is fenced: once the job has gone on without this attempt nothing is written
and `StaleAttempt` is raised. A later attempt gets the same unfinished version back from `version_begin`:
`version.questions + version.rejected` rows of the input are in it already. Small sets: `dataset_from_questions`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Max
from django.db.models.functions import Now

from meds3core.data.rows import RowError
from meds3core.errors import UserError
from meds3core.types.question import Question
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team
from webapp.common.bulk import key_of, rows_insert
from webapp.datasets.models import Dataset, DatasetVersion, QuestionRow, RejectedRow
from webapp.datasets.search import folded, index_add, index_settle
from webapp.datasets.statistics import (
    CountTokens,
    DatasetCheck,
    TokenCounts,
    content_hash_of,
    overlaps_by_hash,
    statistics_of,
    version_statistics,
)
from webapp.jobs.claims import Claim
from webapp.jobs.transitions import StaleAttempt, live_rows, refuse_stale
from webapp.webhooks.firing import webhooks_fire
from webapp.webhooks.models import Event

BATCH = 500
"""Rows of one write: a few dozen milliseconds."""
REJECTIONS_KEPT = 100_000
"""Rows of a file that are no question and are listed; beyond it they are counted."""
COLUMN = 120
"""Characters of a source or domain that lists filter by; the record has the whole."""


class DatasetError(UserError):
    """Somebody asked of a dataset what cannot be; the message says what to do instead."""

    code = "dataset"


# --- datasets ------------------------------------------------------------------------------------------------------


def dataset_create(*, actor: Actor, team: Team, name: str, description: str = "") -> Dataset:
    """A dataset without versions. Raises `DatasetError` when the team has one of this name."""
    try:
        with transaction.atomic():
            made = Dataset.objects.create(
                team=team, name=_named(name), description=description.strip(), created_by=actor.user
            )
            audit_write(actor=actor, verb="dataset.created", team=team, subject=made.name, dataset=str(made.pk))
    except IntegrityError:
        raise DatasetError(f"{team} has a dataset called {_named(name)!r} already. Choose another name.") from None
    return made


def dataset_change(*, actor: Actor, dataset: Dataset, name: str, description: str) -> Dataset:
    """Another name or description. Raises `DatasetError` when the team has another one of this name."""
    before = dataset.name
    dataset.name, dataset.description = _named(name), description.strip()
    try:
        with transaction.atomic():
            dataset.save(update_fields=["name", "description"])
            audit_write(actor=actor, verb="dataset.changed", team=dataset.team, subject=dataset.name, before=before)
    except IntegrityError:
        raise DatasetError(f"{dataset.team} has a dataset called {dataset.name!r} already.") from None
    return dataset


def dataset_from_questions(
    *, actor: Actor, team: Team, name: str, questions: Sequence[Question], description: str = "", source_name: str = ""
) -> DatasetVersion:
    """A small set as a finished version, without a job: of the team's dataset of this name, which is made if need be.

    The same questions again give the version that is there.
    """
    dataset = Dataset.objects.filter(team=team, name=_named(name), deleted=None).first()
    if dataset is None:
        dataset = dataset_create(actor=actor, team=team, name=name, description=description)
    present = dataset.versions.filter(ready=True, deleted=None).order_by("-number").first()
    if present is not None and present.content_hash == content_hash_of(questions):
        return present
    version = version_begin(dataset=dataset, source_name=source_name)
    rest = iter(questions)
    while batch := list(islice(rest, BATCH)):
        version_append(version=version, questions=batch)
    return version_finish(version=version, actor=actor)


# --- versions ------------------------------------------------------------------------------------------------------


def version_begin(
    *,
    dataset: Dataset,
    claim: Claim | None = None,
    recipe: Mapping[str, Any] | None = None,
    source_name: str = "",
    parent: DatasetVersion | None = None,
) -> DatasetVersion:
    """A new version to be filled; for a later attempt of the same job the one that it began (see `ready`)."""
    for _ in range(5):  # two who begin at once want the same number
        try:
            with transaction.atomic():
                _fence(claim)
                begun = dataset.versions.filter(job=claim.job_id, deleted=None).first() if claim else None
                if begun is not None:
                    return begun
                if not Dataset.objects.filter(pk=dataset.pk, deleted=None).exists():
                    raise DatasetError(f"The dataset {dataset.name!r} was deleted meanwhile.")
                last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
                return DatasetVersion.objects.create(
                    team_id=dataset.team_id,
                    dataset=dataset,
                    number=last + 1,
                    job_id=claim.job_id if claim else None,
                    parent=parent,
                    recipe=dict(recipe or {}),
                    source_name=source_name[:255],
                )
        except IntegrityError:
            continue
    raise DatasetError(f"{dataset} is written by several at once. Try again.")


def version_append(
    *,
    version: DatasetVersion,
    questions: Sequence[Question],
    rejected: Sequence[RowError] = (),
    claim: Claim | None = None,
) -> None:
    """The next rows, in one short transaction; `version` counts on. Ids must be new to the version.

    Raises `DatasetError` for a question that no database can hold (see `unstorable`) or an id that is there already,
    `StaleAttempt` when somebody else writes it meanwhile.
    """
    first = version.questions
    listed = max(0, REJECTIONS_KEPT - version.rejected)
    refused = [RejectedRow(version=version, row=each.row, reason=_reason(each)) for each in rejected[:listed]]
    try:
        with transaction.atomic():
            _fence(claim)
            written = DatasetVersion.objects.filter(
                pk=version.pk, ready=False, deleted=None, questions=first, rejected=version.rejected
            ).update(questions=F("questions") + len(questions), rejected=F("rejected") + len(rejected))
            if not written:
                raise StaleAttempt(f"version {version.pk} is finished, deleted, or written by somebody else")
            _rows_insert(version, first, questions)
            RejectedRow.objects.bulk_create(refused)
            index_add(version_id=version.pk, first=first, end=first + len(questions))
    except IntegrityError:
        raise DatasetError("Two questions have the same id; ids must differ within a version.") from None
    version.questions += len(questions)
    version.rejected += len(rejected)


def version_finish(
    *,
    version: DatasetVersion,
    claim: Claim | None = None,
    actor: Actor = SYSTEM,
    count_tokens: CountTokens | None = None,
) -> DatasetVersion:
    """Count what is in it and show it. Raises `DatasetError` for one without questions, which is discarded."""
    if version.ready:  # an earlier attempt came so far
        return version
    if version.questions == 0:
        version_discard(version=version, claim=claim)
        raise DatasetError("There is no question in it, so no version was made.")
    index_settle()
    found = version_statistics(version=version, count_tokens=count_tokens)
    with transaction.atomic():
        _fence(claim)
        written = DatasetVersion.objects.filter(pk=version.pk, ready=False, deleted=None).update(
            ready=True, statistics=found.statistics.model_dump(mode="json"), content_hash=found.content_hash
        )
        if not written:
            raise StaleAttempt(f"version {version.pk} is finished or deleted already")
        audit_write(
            actor=actor,
            verb="dataset.version-made",
            team=version.team,
            subject=str(version),
            version=str(version.pk),
            questions=version.questions,
        )
        webhooks_fire(team_id=version.team_id, event=Event.DATASET_READY, thing=version.pk)
    version.refresh_from_db()
    return version


def version_check_store(*, version_id: UUID, claim: Claim, check: DatasetCheck, tokens: TokenCounts | None) -> None:
    """What a check found, beside the version's own counts; its questions do not change."""
    with transaction.atomic():
        _fence(claim)
        version = DatasetVersion.objects.get(pk=version_id)
        more: dict[str, Any] = {"check": check, "overlaps": overlaps_by_hash(version=version)}
        if tokens is not None:
            more |= {"tokens": tokens.lengths, "tokenizer": tokens.tokenizer}
        found = statistics_of(version).model_copy(update=more)
        DatasetVersion.objects.filter(pk=version_id).update(statistics=found.model_dump(mode="json"))


def version_discard(*, version: DatasetVersion, claim: Claim | None = None) -> None:
    """Give up one that is not finished; its rows go in the background."""
    with transaction.atomic():
        _fence(claim)
        DatasetVersion.objects.filter(pk=version.pk, ready=False, deleted=None).update(deleted=Now(), job=None)


def unstorable(question: Question) -> str:
    """Why no database can hold this question; empty: it can. To be asked before `version_append`."""
    return _problem(question.model_dump(mode="json"))


_COLUMNS = (
    *("version_id", "position", "question_id", "content_hash", "folded", "source", "domain", "answer_kind"),
    *("difficulty", "record"),
)


def _rows_insert(version: DatasetVersion, first: int, questions: Sequence[Question]) -> None:
    key = key_of(QuestionRow, "version", version.pk)
    rows = [(key, first + at, *_cells(first + at, question)) for at, question in enumerate(questions)]
    rows_insert(QuestionRow, _COLUMNS, rows)


def _cells(position: int, question: Question) -> tuple[object, ...]:
    record = question.model_dump_json()
    if "\\u0000" in record and (problem := unstorable(question)):
        raise DatasetError(f"Question {position + 1} {problem}.")
    return (
        question.id,
        question.content_hash,
        folded(question.text),
        question.source[:COLUMN],
        question.domain[:COLUMN],
        question.answer_format.kind,
        question.difficulty,
        record,
    )


def _problem(record: Mapping[str, Any]) -> str:
    return "has a NUL character, which cannot be stored" if any("\0" in text for text in _texts(record)) else ""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _reason(error: RowError) -> str:
    return (f"{error.field}: {error.message}" if error.field else error.message)[:500]


def _named(name: str) -> str:
    plain = " ".join(name.split())[:200]
    if not plain:
        raise DatasetError("A dataset needs a name.")
    return plain


def _fence(claim: Claim | None) -> None:
    """Hold the job's row for this transaction, as long as this attempt is the live one. Raises `StaleAttempt`."""
    if claim is not None:
        written = live_rows(job_id=claim.job_id, attempt=claim.attempt).update(attempt=claim.attempt)
        refuse_stale(written=written, job_id=claim.job_id, attempt=claim.attempt)
