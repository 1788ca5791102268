"""What a specification refers to, checked against the team: at submit, and again at claim.

One line per kind of registered thing, added by the app that has it.
"""

from collections.abc import Callable, Mapping
from uuid import UUID

from meds3core.config.jobs import JobSpec, LocalPath, references
from webapp.accounts.models import Team
from webapp.jobs.transitions import JobError

Belongs = Callable[[Team, UUID], bool]

REGISTERED: Mapping[str, Belongs] = {}
"""For each kind of reference: whether the team may use the thing of this id (its own, or the system team's)."""


def references_check(*, team: Team, spec: JobSpec) -> None:
    """Raise `JobError` for a path, and for what the team does not have, be it another team's or nobody's."""
    for one in references(spec):
        if isinstance(one, LocalPath):
            raise JobError("A job names what the instance knows, never a path. Upload the file and name the upload.")
        belongs = REGISTERED.get(one.kind)
        if belongs is None or not belongs(team, one.id):
            raise JobError(f"{team} has no {one.kind} {one.id}. It may have been deleted; choose another one.")
