"""Curricula: what settings would give, told from counts, and the job that makes the version."""

from dataclasses import dataclass

from django.db.models import Case, Count, F, QuerySet, Value, When

from meds3core.config.data_jobs import CurriculumSpec
from meds3core.config.references import Registered
from meds3core.data.curriculum import (
    UNMEASURED,
    CurriculumPlan,
    CurriculumSettings,
    band_names,
    group_of,
    plan_curriculum,
)
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.datasets.models import Dataset, DatasetVersion, QuestionRow
from webapp.datasets.services import DatasetError
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit


@dataclass(frozen=True)
class Preview:
    """What a choice would give. Near-overlaps and repetitions are left out only when it is made."""

    plan: CurriculumPlan
    candidates: int
    solved: int
    held_out: int
    """Questions that stand word by word in a held-out version."""


def curriculum_preview(*, version: DatasetVersion, spec: CurriculumSpec) -> Preview:
    """From counts of groups and bands: one pass over the version by the database."""
    rows = QuestionRow.objects.filter(version=version)
    held_out = 0
    if spec.held_out:
        keys = [each.id for each in spec.held_out if isinstance(each, Registered)]
        there = QuestionRow.objects.filter(version__in=keys).values("content_hash")
        held_out = rows.filter(content_hash__in=there).count()
        rows = rows.exclude(content_hash__in=there)
    solved = 0
    if spec.settings.drop_solved:
        solved = rows.filter(difficulty=0.0).count()
        rows = rows.exclude(difficulty=0.0)
    available = _available(rows, spec.settings)
    plan = plan_curriculum(available, spec.settings)
    return Preview(plan, sum(sum(bands.values()) for bands in available.values()), solved, held_out)


def curriculum_submit(*, actor: Actor, team: Team, version: DatasetVersion, spec: CurriculumSpec) -> Job:
    """The job that chooses and writes. Raises `DatasetError` for a name that is taken."""
    if spec.name and Dataset.objects.filter(team=team, name=spec.name, deleted=None).exists():
        raise DatasetError(f"{team} has a dataset called {spec.name!r} already. Choose another name.")
    return job_submit(actor=actor, team=team, spec=spec, title=f"Curriculum from {version}"[:200])


def _available(rows: QuerySet[QuestionRow], settings: CurriculumSettings) -> dict[str, dict[str, int]]:
    """Group → band → count."""
    names = band_names(settings)
    # The last edge is 1: what lies at it belongs to the last band.
    cases = [
        When(difficulty__lt=edge, then=Value(name)) for edge, name in zip(settings.bands[1:-1], names, strict=False)
    ]
    band = Case(When(difficulty=None, then=Value(UNMEASURED)), *cases, default=Value(names[-1]))
    counted = rows.order_by().annotate(band=band).values("source", "domain", "band").annotate(count=Count(F("pk")))
    found: dict[str, dict[str, int]] = {}
    for row in counted:
        bands = found.setdefault(group_of(row["source"], row["domain"], settings), {})
        bands[row["band"]] = bands.get(row["band"], 0) + row["count"]
    return found
