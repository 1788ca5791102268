"""What a specification refers to, checked against the team: at submit, and again at claim.

One line per kind of registered thing: the selector, in the app that has it, that says whether the team may use it.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from uuid import UUID

from meds3core.config.jobs import JobSpec
from meds3core.config.references import LocalPath, RegisteredKind, references
from webapp.accounts.models import Team
from webapp.jobs.transitions import JobError

Belongs = Callable[[Team, UUID], bool]

REGISTERED: Mapping[RegisteredKind, str] = {
    "upload": "webapp.uploads.selectors.upload_usable",
    "dataset": "webapp.datasets.selectors.version_usable",
    "model": "webapp.registry.selectors.model_usable",
    "endpoint": "webapp.registry.selectors.endpoint_usable",
    "trees": "webapp.trees.selectors.trees_usable",
    "labels": "webapp.registry.selectors.label_set_usable",
    "evaluation": "webapp.evaluations.selectors.evaluation_usable",
    "evolution": "webapp.jobs.selectors.evolution_usable",
    "queue": "webapp.annotation.selectors.queue_usable",
}
"""For each kind of reference, by dotted name: whether the team may use the thing (its own, or the system team's)."""


def references_check(*, team: Team, spec: JobSpec) -> None:
    """Raise `JobError` for a path, and for what the team does not have, be it another team's or nobody's."""
    for one in references(spec):
        if isinstance(one, LocalPath):
            raise JobError("A job names what the instance knows, never a path. Upload the file and name the upload.")
        if not _belongs(one.kind)(team, one.id):
            raise JobError(f"{team} has no {one.kind} {one.id}. It may have been deleted; choose another one.")


def _belongs(kind: RegisteredKind) -> Belongs:
    # By name: the apps that have these things import jobs.
    module, _, name = REGISTERED[kind].rpartition(".")
    found: Belongs = getattr(import_module(module), name)
    return found
