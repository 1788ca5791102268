"""Where a version that is made from another one goes."""

from uuid import UUID

from webapp.accounts.actors import SYSTEM
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.datasets.services import dataset_create
from webapp.jobs.models import Job


def dataset_for(*, job_id: UUID, version_id: UUID) -> tuple[Dataset, DatasetVersion]:
    """The dataset that a job's new version of this one belongs to, and this one.

    The same dataset where it is the team's own; of a version that everybody reads, the team's dataset of that name.
    """
    team = Job.objects.select_related("team").get(pk=job_id).team
    parent = DatasetVersion.objects.select_related("dataset").get(pk=version_id)
    if parent.team_id == team.pk:
        return parent.dataset, parent
    name = parent.dataset.name
    known = Dataset.objects.filter(team=team, name=name, deleted=None).first()
    return known or dataset_create(actor=SYSTEM, team=team, name=name), parent
