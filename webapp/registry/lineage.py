"""What came of what: the inputs of a job with the hashes of their content, kept with what the job made."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from webapp.annotation.models import AnnotationQueue
from webapp.datasets.models import DatasetVersion
from webapp.evaluations.models import Evaluation
from webapp.jobs.models import Job, JobInput
from webapp.registry.models import Endpoint, LabelSet, ModelVersion
from webapp.uploads.models import Upload


def inputs_of(*, job: Job) -> list[dict[str, Any]]:
    """Each thing that the job's specification refers to: kind, id, name, and the hash of its content.

    As of now: a thing that was deleted since is left with its id alone.
    """
    rows = JobInput.objects.filter(job=job).order_by("id").values_list("kind", "thing")
    return [{"kind": kind, "id": str(thing), **_describe(kind, thing)} for kind, thing in rows]


def _describe(kind: str, thing: UUID) -> dict[str, Any]:
    describe = _DESCRIBED.get(kind)
    found = describe(thing) if describe else None
    return found or {}


def _dataset(thing: UUID) -> dict[str, Any] | None:
    row = DatasetVersion.objects.select_related("dataset").filter(pk=thing).first()
    return {"name": str(row), "content_hash": row.content_hash} if row else None


def _model(thing: UUID) -> dict[str, Any] | None:
    row = ModelVersion.objects.filter(pk=thing).first()
    return {"name": str(row), "content_hash": row.content_hash} if row else None


def _labels(thing: UUID) -> dict[str, Any] | None:
    row = LabelSet.objects.filter(pk=thing).first()
    return {"name": row.name, "content_hash": row.content_hash} if row else None


def _evaluation(thing: UUID) -> dict[str, Any] | None:
    row = Evaluation.objects.filter(pk=thing).first()
    return {"name": row.name} if row else None


def _trees(thing: UUID) -> dict[str, Any] | None:
    row = Job.objects.filter(pk=thing).values_list("title", "spec_hash").first()
    return {"name": row[0], "spec_hash": row[1]} if row else None


def _upload(thing: UUID) -> dict[str, Any] | None:
    row = Upload.objects.filter(pk=thing).first()
    if row is None:
        return None
    return {"files": [{"name": each.name, "sha256": each.sha256} for each in row.files.order_by("name")]}


def _endpoint(thing: UUID) -> dict[str, Any] | None:
    row = Endpoint.objects.filter(pk=thing).first()
    return {"name": row.name, "model": row.model} if row else None


def _queue(thing: UUID) -> dict[str, Any] | None:
    row = AnnotationQueue.objects.filter(pk=thing).first()
    return {"name": row.name} if row else None


_DESCRIBED: Mapping[str, Callable[[UUID], dict[str, Any] | None]] = {
    "dataset": _dataset,
    "model": _model,
    "labels": _labels,
    "evaluation": _evaluation,
    "trees": _trees,
    "evolution": _trees,
    "upload": _upload,
    "endpoint": _endpoint,
    "queue": _queue,
}
