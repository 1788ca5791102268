"""Reads for the pages of training."""

from collections.abc import Iterable
from uuid import UUID

from webapp.accounts.models import Team
from webapp.accounts.selectors import theirs
from webapp.common.spec_forms import Options, option
from webapp.jobs.models import Job
from webapp.registry.models import LabelSet, ModelVersion


def label_set_options(*, team: Team, kind: LabelSet.Kind) -> Options:
    """Label sets of a kind that a run may learn from, newest first."""
    rows = LabelSet.objects.filter(theirs(team), kind=kind, ready=True).order_by("-pk")[:500]
    return [option("labels", row.pk, f"{row} ({row.records:,} records)") for row in rows]


def models_made(*, jobs: Iterable[Job]) -> dict[UUID, list[ModelVersion]]:
    """The models that each of these jobs made, in the order of making."""
    found: dict[UUID, list[ModelVersion]] = {}
    for model in ModelVersion.objects.filter(job__in=list(jobs), ready=True).order_by("pk"):
        if model.job_id is not None:
            found.setdefault(model.job_id, []).append(model)
    return found
