"""Reads of trees."""

from uuid import UUID

from webapp.accounts.models import Team
from webapp.trees.models import Tree


def trees_usable(team: Team, job_id: UUID) -> bool:
    """Whether a job of the team may read the trees that this job made: there are some, and they are the team's."""
    return Tree.objects.filter(team=team, job_id=job_id).exists()
