"""Where an import puts its questions: a version, found again by a later attempt, and given up cleanly."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from meds3core.config.data_jobs import ImportSpec
from meds3core.config.references import Registered
from webapp.accounts.actors import Actor
from webapp.accounts.models import Door
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.datasets.services import DatasetError, dataset_create, version_begin, version_discard
from webapp.jobs.claims import Claim
from webapp.jobs.models import Job, State
from webapp.jobs.reports import attempt_hold

NEW_DATASET = "new_dataset"
"""Key of a version's recipe: the import made the dataset as well, and takes it away if it comes to nothing."""


@dataclass(frozen=True)
class Source:
    """The file that is imported, as people know it."""

    name: str
    stem: str


def import_begin(*, claim: Claim, spec: ImportSpec, source: Source) -> DatasetVersion:
    """The version that this job fills: the one that an earlier attempt began, or a new one.

    `version.ready`: it is finished already. Raises `DatasetError` when there is a dataset of the new one's name.
    """
    begun = DatasetVersion.objects.filter(job=claim.job_id, deleted=None).select_related("dataset", "team").first()
    if begun is not None:
        return begun
    with transaction.atomic():
        attempt_hold(job_id=claim.job_id, attempt=claim.attempt)
        dataset, parent = _dataset(claim.job_id, spec, source)
        recipe: dict[str, Any] = {
            "kind": "import",
            "mapping": spec.mapping.model_dump(mode="json") if spec.mapping else None,
            "source": spec.source,
            NEW_DATASET: parent is None,
        }
        return version_begin(dataset=dataset, claim=claim, recipe=recipe, source_name=source.name, parent=parent)


def import_abandon(*, version: DatasetVersion, claim: Claim) -> None:
    """It came to nothing: the version goes, and with it the dataset that was made for it."""
    version_discard(version=version, claim=claim)
    _forget_dataset(version)


def imports_sweep() -> int:
    """Give up versions whose import was cancelled before it could do so itself; gives how many."""
    lost = DatasetVersion.objects.filter(ready=False, deleted=None, job__kind="import", job__state=State.CANCELLED)
    count = 0
    for version in lost.select_related("dataset")[:50]:
        # Not across a join: when somebody else wrote it meanwhile, PostgreSQL looks again at its own columns only.
        cancelled = Job.objects.filter(state=State.CANCELLED)
        still = DatasetVersion.objects.filter(pk=version.pk, ready=False, job__in=cancelled)
        if still.update(deleted=Now(), job=None):
            _forget_dataset(version)
            count += 1
    return count


def _forget_dataset(version: DatasetVersion) -> None:
    if version.recipe.get(NEW_DATASET):
        Dataset.objects.filter(pk=version.dataset_id, deleted=None).exclude(versions__deleted=None).update(
            deleted=Now()
        )


def _dataset(job_id: UUID, spec: ImportSpec, source: Source) -> tuple[Dataset, DatasetVersion | None]:
    job = Job.objects.select_related("team", "created_by").get(pk=job_id)
    if spec.dataset is None:
        actor = Actor(job.created_by, Door.SYSTEM)
        return dataset_create(actor=actor, team=job.team, name=spec.name or source.stem), None
    assert isinstance(spec.dataset, Registered)  # checked at claim
    parent = DatasetVersion.objects.select_related("dataset").filter(pk=spec.dataset.id, deleted=None).first()
    if parent is None or parent.team_id != job.team_id:
        raise DatasetError("The dataset was deleted, or came with the instance. Choose another one, or a new name.")
    return parent.dataset, parent
