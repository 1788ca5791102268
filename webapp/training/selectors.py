"""Reads for the pages of training."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.accounts.selectors import theirs
from webapp.common.spec_forms import option
from webapp.common.spec_inputs import Options
from webapp.datasets.models import DatasetVersion
from webapp.jobs import overviews
from webapp.jobs.models import Job, JobInput
from webapp.jobs.selectors import job_of
from webapp.registry.labels import is_judged
from webapp.registry.models import LabelSet, ModelVersion
from webapp.training.methods import RUNS


def label_set_options(*, team: Team, kind: LabelSet.Kind) -> Options:
    """Label sets of a kind that a run may learn from, newest first."""
    rows = LabelSet.objects.filter(theirs(team), kind=kind, ready=True).order_by("-pk")[:500]
    return [
        option("labels", row.pk, f"{row} ({row.records:,} records{', by people' if is_judged(row) else ''})")
        for row in rows
    ]


def models_made(*, jobs: Iterable[Job]) -> dict[UUID, list[ModelVersion]]:
    """The models that each of these jobs made, in the order of making."""
    found: dict[UUID, list[ModelVersion]] = {}
    for model in ModelVersion.objects.filter(job__in=list(jobs), ready=True).order_by("pk"):
        if model.job_id is not None:
            found.setdefault(model.job_id, []).append(model)
    return found


def runs_of(*, team: Team) -> QuerySet[Job]:
    """Trainings by one method, newest first; loops are left out."""
    return overviews.team_jobs(team_id=team.pk, kinds=list(RUNS))


def run_of(*, team: Team, job_id: UUID) -> Job:
    """One of them. Raises `Http404`."""
    found = job_of(team=team, job_id=job_id)
    if found.kind not in RUNS:
        raise Http404("This job is no training by one method.")
    return found


def runs_named(*, team: Team, ids: Iterable[UUID]) -> list[Job]:
    """Those of these ids that are the team's trainings, in the order of the ids."""
    rows = Job.objects.filter(team=team, pk__in=list(ids), kind__in=list(RUNS)).select_related("team", "created_by")
    by_id = {row.pk: row for row in rows}
    return [by_id[key] for key in dict.fromkeys(ids) if key in by_id]


def things_named(*, jobs: Iterable[Job]) -> Mapping[UUID, Any]:
    """By id, the models, label sets and datasets that these jobs refer to and that still exist."""
    things = list(JobInput.objects.filter(job__in=list(jobs)).values_list("kind", "thing"))

    def ids(kind: str) -> list[UUID]:
        return [thing for noun, thing in things if noun == kind]

    found: dict[UUID, Any] = {}
    found |= ModelVersion.objects.in_bulk(ids("model"))
    found |= LabelSet.objects.in_bulk(ids("labels"))
    found |= DatasetVersion.objects.select_related("dataset").in_bulk(ids("dataset"))
    return found
