"""Reads of evaluations."""

from uuid import UUID

from webapp.accounts.models import Team
from webapp.evaluations.models import Evaluation


def evaluation_usable(team: Team, evaluation_id: UUID) -> bool:
    """Whether a job of the team may read this evaluation."""
    return Evaluation.objects.filter(pk=evaluation_id, team=team, ready=True).exists()
