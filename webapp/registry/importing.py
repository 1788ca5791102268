"""Asking for the import of a model: what may be asked is checked here, the files are looked at by the job alone."""

from meds3core.config.data_jobs import ModelImportSpec
from meds3core.config.references import Registered
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.registry.selectors import model_of
from webapp.registry.sources import hub_allowed, root_folder
from webapp.registry.storing import RegistryError
from webapp.uploads.selectors import upload_of


def model_import(*, actor: Actor, team: Team, spec: ModelImportSpec) -> Job:
    """Submit an import. Raises `RegistryError` for a source that is not offered, `JobError` for what cannot be run."""
    if spec.root is not None:
        root_folder(spec.root.root, spec.root.folder)
    if spec.hub is not None and not hub_allowed(spec.hub.name):
        raise RegistryError(f"{spec.hub.name} may not be fetched from the hub. The operator lists what may.")
    if isinstance(spec.upload, Registered) and upload_of(team=team, upload_id=spec.upload.id).purpose != "model":
        raise RegistryError("These files were sent to become a dataset. Send the files of a model.")
    if isinstance(spec.base, Registered) and model_of(team=team, model_id=spec.base.id).is_adapter:
        raise RegistryError("The base is an adapter itself. Name a whole model.")
    return job_submit(actor=actor, team=team, spec=spec, title=f"Import of {spec.name.strip()}"[:200])
