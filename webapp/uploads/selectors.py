"""Reads of uploads."""

from uuid import UUID

from webapp.accounts.models import Team
from webapp.uploads.models import Upload


def upload_usable(team: Team, upload_id: UUID) -> bool:
    """Whether a job of the team may read this upload: its own, and complete."""
    return Upload.objects.filter(pk=upload_id, team=team, state=Upload.State.COMPLETE).exists()
