"""From a complete upload to a dataset: ask for a look at the file, keep what was seen, ask for the import."""

import shutil
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from meds3core.config.data_jobs import ImportSpec, PreviewSpec
from meds3core.config.references import Registered
from meds3core.data.preview import FilePreview
from meds3core.data.records import ColumnMapping
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.jobs.models import Job, JobInput
from webapp.jobs.reports import attempt_hold, job_folder
from webapp.jobs.services import job_cancel, job_submit
from webapp.jobs.transitions import ENDED, JobError
from webapp.uploads.models import Upload
from webapp.uploads.names import stem_of
from webapp.uploads.services import UploadError, upload_kept

PREVIEW_PRIORITY = 100
"""Somebody waits for it in front of a page."""
PREVIEWS_KEPT = timedelta(days=1)


def preview_request(*, actor: Actor, upload: Upload, mapping: ColumnMapping | None = None, source: str = "") -> Job:
    """Ask for a look at the file; one that was asked for before is not waited for any more. Raises `JobError`."""
    _check(upload)
    for job in previews_of(upload_id=upload.pk, running=True):
        try:
            job_cancel(actor=actor, job=job)
        except JobError:
            continue  # it has ended meanwhile
    upload_kept(upload_id=upload.pk)
    spec = PreviewSpec(upload=Registered(kind="upload", id=upload.pk), mapping=mapping, source=source)
    return job_submit(actor=actor, team=upload.team, spec=spec, priority=PREVIEW_PRIORITY)


def preview_store(*, job_id: UUID, attempt: int, upload_id: UUID, preview: FilePreview) -> None:
    """Keep what a preview's job saw. Raises `StaleAttempt`."""
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        Upload.objects.filter(pk=upload_id).update(preview={"job": str(job_id), **preview.model_dump(mode="json")})


def preview_of(upload: Upload) -> FilePreview | None:
    """What was seen last."""
    if upload.preview is None:
        return None
    return FilePreview.model_validate({name: value for name, value in upload.preview.items() if name != "job"})


def previews_of(*, upload_id: UUID, running: bool = False) -> list[Job]:
    """The jobs that looked at it, newest first."""
    asked = JobInput.objects.filter(kind="upload", thing=upload_id, job__kind="preview").select_related("job__team")
    if running:
        asked = asked.exclude(job__state__in=ENDED)
    return [one.job for one in asked.order_by("-job_id")[:10]]


def import_of(*, upload_id: UUID) -> Job | None:
    """The newest import of it."""
    asked = JobInput.objects.filter(kind="upload", thing=upload_id, job__kind="import").select_related("job")
    newest = asked.order_by("-job_id").first()
    return newest.job if newest else None


def version_made(job: Job) -> DatasetVersion | None:
    """What an import that succeeded made, unless it was deleted since."""
    made = (job.result or {}).get("dataset")
    return DatasetVersion.objects.filter(pk=made, deleted=None).select_related("dataset").first()


def versions_to_follow(*, team: Team, size: int = 200) -> list[DatasetVersion]:
    """The newest version of each of the team's own datasets, newest first: what a new version can be put beside."""
    rows = DatasetVersion.objects.filter(team=team, ready=True, deleted=None, dataset__deleted=None)
    newest: dict[UUID, DatasetVersion] = {}
    for version in rows.select_related("dataset").defer("statistics", "recipe").order_by("-number", "-id")[: size * 5]:
        newest.setdefault(version.dataset_id, version)
    return sorted(newest.values(), key=lambda version: version.pk, reverse=True)[:size]


def import_submit(
    *,
    actor: Actor,
    upload: Upload,
    into: DatasetVersion | None = None,
    name: str = "",
    mapping: ColumnMapping | None = None,
    source: str = "",
) -> Job:
    """Ask for the import: a new version beside `into`, or a new dataset called `name`. Raises `JobError`."""
    _check(upload)
    file = upload.files.get()
    name = " ".join((name or stem_of(file.name)).split())[:200]
    taken = Dataset.objects.filter(team=upload.team, name=name, deleted=None).exists()
    if into is None and taken:
        raise UploadError(f"There is a dataset called {name!r} already. Choose another name, or add a version to it.")
    if into is not None and into.team_id != upload.team_id:
        raise UploadError("This dataset came with the instance and does not change. Make a new one.")
    upload_kept(upload_id=upload.pk)
    spec = ImportSpec(
        upload=Registered(kind="upload", id=upload.pk),
        dataset=Registered(kind="dataset", id=into.pk) if into else None,
        name="" if into else name,
        mapping=mapping,
        source=source,
    )
    return job_submit(
        actor=actor, team=upload.team, spec=spec, title=f"Import into {into.dataset.name if into else name}"[:200]
    )


def previews_sweep(*, size: int = 100) -> int:
    """Forget jobs of previews that ended a day ago, with their logs; gives how many."""
    old = Job.objects.filter(kind="preview", state__in=ENDED, ended__lt=timezone.now() - PREVIEWS_KEPT)
    ids = list(old.values_list("pk", flat=True)[:size])
    for job_id in ids:
        shutil.rmtree(job_folder(job_id), ignore_errors=True)
    Job.objects.filter(pk__in=ids, kind="preview", state__in=ENDED).delete()
    return len(ids)


def _check(upload: Upload) -> None:
    if upload.purpose != Upload.Purpose.DATASET:
        raise UploadError("These are no files of questions.")
    if upload.state != Upload.State.COMPLETE:
        raise UploadError("The file is not here yet. Send the rest of it first.")
