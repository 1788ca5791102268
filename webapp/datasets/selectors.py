"""Reads of datasets, versions and questions."""

from collections.abc import Iterator
from uuid import UUID

from django.db.models import Q

from meds3core.types.question import Question
from webapp.accounts.models import Team
from webapp.datasets.models import DatasetVersion, QuestionRow


def version_usable(team: Team, version_id: UUID) -> bool:
    """Whether a job of the team may read this version: ready, and its own or the system team's."""
    theirs = Q(team=team) | Q(team__is_system=True)
    return DatasetVersion.objects.filter(theirs, pk=version_id, ready=True).exists()


def questions_of(*, version_id: UUID, limit: int | None = None) -> Iterator[Question]:
    """The questions of a version in their order, read in batches; the first `limit` of them."""
    rows = QuestionRow.objects.filter(version=version_id).order_by("position").values_list("record", flat=True)
    for record in rows[:limit].iterator(chunk_size=500):
        yield Question.model_validate(record)
