"""Previews of what a training would see: asked for, kept by what decides them, shown.

A job makes them (docs/decisions/0012-previews-of-training-data.md): the very functions that training makes its batches
with need the tokenizer's own renderer of chat templates, which the web process does not load.
"""

import hashlib
import json
import shutil
import zlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone

from meds3core.config.jobs import GrpoSpec, TrainingPreviewSpec
from meds3core.config.references import Registered
from meds3core.training.preview import DataPreview as Found
from meds3core.training.shown import ShownExample
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.jobs.models import Job
from webapp.jobs.reports import attempt_hold, job_folder
from webapp.jobs.services import job_submit
from webapp.jobs.transitions import ENDED, JobError
from webapp.registry.models import LabelSet
from webapp.training.models import DataPreview

FIRST = 50
"""Priority: somebody waits for it in front of a page."""
JOBS_KEPT = timedelta(days=1)
KEPT = timedelta(days=60)
EXAMPLES = 6
"""Examples of a page."""


# --- writes --------------------------------------------------------------------------------------------------------


def preview_request(*, actor: Actor, team: Team, spec: Any) -> DataPreview:
    """What a training with this specification would see: known already, or being found out by a job.

    Raises `JobError` for what the team does not have, `QueueUnreachable` when nobody could be told of the job.
    """
    known = DataPreview.objects.filter(team=team, key=key_of(spec)).select_related("job").first()
    if (
        known is not None
        and _whole(known)
        and (known.ready or (known.job is not None and known.job.state not in ENDED))
    ):
        return known
    with transaction.atomic():
        asked = TrainingPreviewSpec(training=spec)
        job = job_submit(actor=actor, team=team, spec=asked, title="Preview of training data", priority=FIRST)
        data = spec.questions if isinstance(spec, GrpoSpec) else spec.labels
        columns: dict[str, Any] = {
            "method": spec.kind,
            "job": job,
            "policy_id": _id(spec.policy),
            ("questions_id" if isinstance(spec, GrpoSpec) else "labels_id"): _id(data),
            "settings": _settings(spec) | ({"beside": beside} if (beside := _beside(spec)) else {}),
        }
        return DataPreview.objects.update_or_create(team=team, key=key_of(spec), defaults=columns)[0]


def preview_store(*, job_id: UUID, attempt: int, found: Found) -> None:
    """Keep what a preview's job saw. Raises `StaleAttempt`."""
    counts = found.model_dump(mode="json", exclude={"examples"})
    examples = json.dumps([each.model_dump(mode="json") for each in found.examples], ensure_ascii=False)
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        rows = DataPreview.objects.filter(job=job_id)
        rows.update(ready=True, counts=counts, examples=zlib.compress(examples.encode()))


def previews_sweep(*, size: int = 100) -> int:
    """Forget jobs of previews that ended a day ago, with their logs, and previews that are old; gives how many."""
    old = Job.objects.filter(kind="training-preview", state__in=ENDED, ended__lt=timezone.now() - JOBS_KEPT)
    ids = list(old.values_list("pk", flat=True)[:size])
    for job_id in ids:
        shutil.rmtree(job_folder(job_id), ignore_errors=True)
    Job.objects.filter(pk__in=ids, kind="training-preview", state__in=ENDED).delete()
    stale = DataPreview.objects.filter(created__lt=timezone.now() - KEPT).values("pk")[:size]
    DataPreview.objects.filter(pk__in=[row["pk"] for row in stale]).delete()
    DataPreview.objects.filter(job=None, ready=False).delete()
    for preview in DataPreview.objects.filter(settings__has_key="beside").only("settings"):
        if not _whole(preview):
            preview.delete()
    return len(ids)


def key_of(spec: Any) -> str:
    """A digest of what decides a preview: method, base, data, and the settings that say what fits."""
    data = spec.questions if isinstance(spec, GrpoSpec) else spec.labels
    parts = {"method": spec.kind, "policy": str(_id(spec.policy)), "data": str(_id(data)), **_settings(spec)}
    if beside := _beside(spec):
        parts |= {"beside": beside, "people": spec.people.model_dump(mode="json")}
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _settings(spec: Any) -> dict[str, int]:
    names = ("max_length", "max_new_tokens") if isinstance(spec, GrpoSpec) else ("max_length",)
    return {name: getattr(spec.training, name) for name in names}


def _whole(preview: DataPreview) -> bool:
    """Whether everything that it holds texts of is still there; its first label set takes it along by itself."""
    beside = preview.settings.get("beside", ())
    return not beside or LabelSet.objects.filter(pk__in=beside).count() == len(beside)


def _beside(spec: Any) -> list[str]:
    """Ids of the label sets that are learnt from beside the first one."""
    return [str(_id(one)) for one in getattr(spec, "beside", ())]


def _id(reference: Any) -> UUID:
    if not isinstance(reference, Registered):
        raise JobError("A job names what the instance knows, never a path.")
    return reference.id


# --- reads ---------------------------------------------------------------------------------------------------------


def previews_of(*, team: Team) -> QuerySet[DataPreview]:
    """The team's previews, without their examples."""
    rows = DataPreview.objects.filter(team=team).defer("examples")
    return rows.select_related("team", "job", "job__team", "policy", "labels", "questions", "questions__dataset")


def preview_of(*, team: Team, preview_id: UUID) -> DataPreview:
    """One of them. Raises `Http404`."""
    found = previews_of(team=team).filter(pk=preview_id).first()
    if found is None or not _whole(found):
        raise Http404("There is no such preview. It may have been too old, or its label set deleted.")
    return found


def counts_of(preview: DataPreview) -> Found | None:
    """What a preview that is ready counted."""
    return Found.model_validate(preview.counts | {"examples": ()}) if preview.ready else None


@dataclass(frozen=True, slots=True)
class Examples:
    """A page of examples: those from number `start` of the ones that were kept, `total` of them."""

    rows: list[ShownExample]
    start: int
    total: int
    left_out: int
    """Of all kept, how many are too long."""

    @property
    def earlier(self) -> int | None:
        """Where the page before begins."""
        return max(0, self.start - EXAMPLES) if self.start else None

    @property
    def later(self) -> int | None:
        """Where the next page begins."""
        return self.start + EXAMPLES if self.start + EXAMPLES < self.total else None

    @property
    def last(self) -> int:
        """The last one of this page, counted from 1."""
        return min(self.total, self.start + EXAMPLES)


def examples_of(preview: DataPreview, *, start: int = 0, size: int = EXAMPLES, too_long: bool = False) -> Examples:
    """Examples of a preview that is ready; with `too_long` those that are left out."""
    if not preview.ready:
        return Examples([], 0, 0, 0)
    packed = DataPreview.objects.values_list("examples", flat=True).get(pk=preview.pk)
    rows = json.loads(zlib.decompress(packed or zlib.compress(b"[]")))
    left_out = [row for row in rows if not row["fits"]]
    wanted = left_out if too_long else rows
    shown = [ShownExample.model_validate(row) for row in wanted[start : start + size]]
    return Examples(shown, start, len(wanted), len(left_out))
