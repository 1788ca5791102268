"""Deletion of datasets and versions: what depends on them is said first, what goes is hidden at once, and the rows go
in the background, a batch at a time (`deletions_go_on`, called by the sweep).

Jobs that used a version, and their trees, models and evaluations, stay: they know what they were made from by id and
content hash. What is lost is the way back to the question's page, and the chance to run them again.
"""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.datasets.models import Dataset, DatasetVersion, QuestionRow, RejectedRow
from webapp.datasets.search import index_remove
from webapp.datasets.services import DatasetError
from webapp.jobs.models import Job, State
from webapp.jobs.transitions import ENDED
from webapp.trees.models import Tree

BATCH = 250
NAMED = 20
UNFINISHED_KEPT = timedelta(days=1)
"""How long the version of a job that failed or was cancelled waits for it to be tried again."""


@dataclass(frozen=True)
class Dependents:
    """What was made from some versions, or is at work on them."""

    unfinished: list[Job]
    """Jobs that have not ended: these must end before a version goes."""
    jobs: list[Job]
    """The latest of the others."""
    job_count: int
    trees: int
    children: list[DatasetVersion]
    """Versions chosen from these."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing depends on them."""
        return not (self.unfinished or self.job_count or self.trees or self.children)


def dependents_of(*, versions: Collection[DatasetVersion]) -> Dependents:
    """What depends on these versions."""
    keys = [version.pk for version in versions]
    using = Job.objects.filter(inputs__kind="dataset", inputs__thing__in=keys).distinct().order_by("-id")
    writing = Job.objects.filter(pk__in=[version.job_id for version in versions if not version.ready])
    ended = using.filter(state__in=ENDED)
    children = DatasetVersion.objects.filter(parent__in=keys, deleted=None).exclude(pk__in=keys)
    return Dependents(
        unfinished=[*writing.exclude(state__in=ENDED)[:NAMED], *using.exclude(state__in=ENDED)[:NAMED]],
        jobs=list(ended.defer("spec", "result")[:NAMED]),
        job_count=ended.count(),
        trees=Tree.objects.filter(job__in=using.order_by().values("pk")).count(),
        children=list(children.select_related("dataset").defer("statistics")[:NAMED]),
    )


def version_delete(*, actor: Actor, version: DatasetVersion) -> None:
    """Hide a version for good; its rows go in the background. Raises `DatasetError` while a job works on it."""
    _refuse_at_work([version])
    with transaction.atomic():
        DatasetVersion.objects.filter(pk=version.pk, deleted=None).update(deleted=Now(), ready=False)
        audit_write(
            actor=actor,
            verb="dataset.version-deleted",
            team=version.team,
            subject=str(version),
            version=str(version.pk),
            questions=version.questions,
        )


def dataset_delete(*, actor: Actor, dataset: Dataset) -> None:
    """Hide a dataset with all its versions. Raises `DatasetError` while a job works on one of them."""
    versions = list(DatasetVersion.objects.filter(dataset=dataset, deleted=None).defer("statistics"))
    _refuse_at_work(versions)
    with transaction.atomic():
        Dataset.objects.filter(pk=dataset.pk, deleted=None).update(deleted=Now())
        DatasetVersion.objects.filter(dataset=dataset, deleted=None).update(deleted=Now(), ready=False)
        audit_write(
            actor=actor,
            verb="dataset.deleted",
            team=dataset.team,
            subject=dataset.name,
            dataset=str(dataset.pk),
            versions=len(versions),
        )


def deletions_go_on(*, seconds: float = 1.0) -> int:
    """Remove rows of what was deleted for about so long; gives how many rows went. Any number may do it at once."""
    end, gone = time.monotonic() + seconds, 0
    _unfinished_discard()
    for version in DatasetVersion.objects.exclude(deleted=None).order_by("id").only("pk")[:NAMED]:
        for count in _emptied(version.pk):
            gone += count
            if time.monotonic() > end:
                return gone
        DatasetVersion.objects.filter(pk=version.pk).delete()
    Dataset.objects.exclude(deleted=None).filter(versions=None).delete()
    return gone


def _emptied(version_id: UUID) -> Iterator[int]:
    """Delete a version's rows, one short transaction after the other; the count of each."""
    while ids := _first(QuestionRow.objects.filter(version=version_id).order_by("position")):
        with transaction.atomic():
            index_remove(ids=ids)
            QuestionRow.objects.filter(pk__in=ids).delete()  # trees and results lose their way back to it
        yield len(ids)
    while ids := _first(RejectedRow.objects.filter(version=version_id).order_by("row")):
        RejectedRow.objects.filter(pk__in=ids).delete()
        yield len(ids)


def _first(rows: QuerySet[QuestionRow] | QuerySet[RejectedRow]) -> list[int]:
    return list(rows.values_list("pk", flat=True)[:BATCH])


def _unfinished_discard() -> None:
    """Versions that nobody will finish."""
    old = DatasetVersion.objects.filter(ready=False, deleted=None, created__lt=Now() - UNFINISHED_KEPT)
    old.filter(job=None).update(deleted=Now())
    # Not across a join: PostgreSQL looks again at the row's own columns only, when somebody else wrote it meanwhile.
    ended = Job.objects.filter(state__in=[State.FAILED, State.CANCELLED], ended__lt=Now() - UNFINISHED_KEPT)
    old.filter(job__in=ended).update(deleted=Now())


def _refuse_at_work(versions: list[DatasetVersion]) -> None:
    jobs = dependents_of(versions=versions).unfinished
    if jobs:
        names = ", ".join(str(job) for job in jobs[:3])
        raise DatasetError(f"A job is at work on it: {names}. Cancel it or wait until it has ended, then delete.")
