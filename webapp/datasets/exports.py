"""Exports: something stored, written to a file by a job and fetched through a page that asks who may have it.

An export is its job (kind `export`); the file lies in `files/exports/<job>/` for `EXPORT_DAYS`. A small dataset is
written straight into the answer instead.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.utils import timezone

from meds3core.config.data_jobs import ExportSpec
from meds3core.config.references import Registered, RegisteredKind
from meds3core.data.tables import CsvForm, question_lines
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.annotation.models import AnnotationQueue
from webapp.common.files import Store, folder_of
from webapp.datasets.models import DatasetVersion
from webapp.datasets.selectors import questions_of
from webapp.datasets.statistics import statistics_of
from webapp.evaluations.models import Evaluation
from webapp.jobs.models import Job, State
from webapp.jobs.services import job_submit
from webapp.registry.models import LabelSet

SMALL_ROWS = 5_000
SMALL_CHARACTERS = 8 << 20
EXTENSIONS = {"prm800k": "prm800k.jsonl", "trl": "trl.jsonl"}
"""Of file names, where it is not the format's name."""
TYPES = {
    "jsonl": "application/x-ndjson",
    "prm800k": "application/x-ndjson",
    "trl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "zip": "application/zip",
}
ACTIONS: Mapping[str, Action] = {
    "dataset": Action.DATASET_VIEW,
    "trees": Action.TREE_VIEW,
    "labels": Action.MODEL_VIEW,
    "evaluation": Action.EVALUATION_VIEW,
    "queue": Action.ITEM_REVIEW,
}
"""What somebody must be allowed to see to fetch an export of it."""

_NAMES: Mapping[str, Callable[[UUID], Any]] = {
    "dataset": lambda key: DatasetVersion.objects.select_related("dataset").filter(pk=key).first(),
    "trees": lambda key: Job.objects.filter(pk=key).first(),
    "labels": lambda key: LabelSet.objects.filter(pk=key).first(),
    "evaluation": lambda key: Evaluation.objects.filter(pk=key).first(),
    "queue": lambda key: AnnotationQueue.objects.filter(pk=key).first(),
}


@dataclass(frozen=True)
class Export:
    """An export as people see it."""

    job: Job
    what: Registered
    spec: ExportSpec

    @property
    def action(self) -> Action:
        """What somebody must be allowed to see to fetch it."""
        return ACTIONS[self.what.kind]

    @property
    def name(self) -> str:
        """Of the file."""
        return str((self.job.result or {}).get("file", ""))

    @property
    def path(self) -> Path | None:
        """Where the file lies, while it does."""
        if self.job.state != State.SUCCEEDED or not self.name:
            return None
        path = folder_of(Store.EXPORTS, self.job.pk) / self.name
        return path if path.is_file() else None

    @property
    def expires(self) -> datetime | None:
        """When the file goes."""
        return self.job.ended + timedelta(days=settings.EXPORT_DAYS) if self.job.ended else None


def export_submit(*, actor: Actor, team: Team, spec: ExportSpec) -> Job:
    """Have something written to a file. Raises `JobError` for what the team does not have."""
    return job_submit(actor=actor, team=team, spec=spec, title=f"Export of {name_of(spec.what)}"[:200])


def export_for(*, team: Team, export_id: UUID) -> Export:
    """One of the team's exports. Raises `Http404`."""
    job = Job.objects.filter(pk=export_id, team=team, kind="export").select_related("team").first()
    if job is None:
        raise Http404("There is no such export, or it belongs to another team.")
    spec = ExportSpec.model_validate(job.spec)
    assert isinstance(spec.what, Registered)
    return Export(job, spec.what, spec)


def exports_of(*, team: Team, kind: RegisteredKind, thing: UUID, size: int = 10) -> list[Export]:
    """The latest exports of a thing."""
    jobs = Job.objects.filter(team=team, kind="export", inputs__kind=kind, inputs__thing=thing).order_by("-id")[:size]
    return [Export(job, Registered(kind=kind, id=thing), ExportSpec.model_validate(job.spec)) for job in jobs]


def exports_expire() -> int:
    """Remove files of exports that ended long ago; gives how many. Called by the sweep."""
    root = Path(settings.FILES) / Store.EXPORTS.value
    if not root.is_dir():
        return 0
    old = timezone.now() - timedelta(days=settings.EXPORT_DAYS)
    aged = [entry for entry in root.iterdir() if entry.is_dir() and entry.stat().st_mtime < old.timestamp()]
    for entry in aged:
        shutil.rmtree(entry, ignore_errors=True)
    return len(aged)


def exported_of(*, actor: Actor, version: DatasetVersion, form: Literal["jsonl"] | CsvForm) -> Iterator[str]:
    """The lines of a small version (see `is_small`); leaves a line in the audit log, as a job would."""
    audit_write(actor=actor, verb="dataset.exported", team=version.team, subject=str(version), version=str(version.pk))
    return question_lines(questions_of(version_id=version.pk), form)


def is_small(version: DatasetVersion) -> bool:
    """Whether a version is written straight into the answer."""
    return version.questions <= SMALL_ROWS and statistics_of(version).total_characters <= SMALL_CHARACTERS


def file_name(what: object, extension: str) -> str:
    """A file's name from a thing's: letters, digits and hyphens."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", str(what)).strip("-")[:80]
    return f"{plain or 'export'}.{extension}"


def name_of(what: object) -> str:
    """A thing's name for people; its kind where it is gone."""
    if not isinstance(what, Registered):
        return "a file"
    found = _NAMES[what.kind](what.id) if what.kind in _NAMES else None
    return str(found) if found is not None else f"a {what.kind}"
