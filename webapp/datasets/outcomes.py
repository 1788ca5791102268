"""What jobs of datasets made, for the job's page; versions are listed by webapp.jobs.outcomes itself."""

from uuid import UUID

from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job, State
from webapp.jobs.outcomes import Outcome, outcome


def exports_of_job(*, job: Job) -> list[Outcome]:
    """The page of an export, where its file is fetched."""
    if job.kind != "export":
        return []
    return outcome(label="Export", what=job, icon="download", url_name="export", arguments=[job.team.slug, job.pk])


def checks_of_job(*, job: Job) -> list[Outcome]:
    """The version that a check looked through."""
    if job.kind != "dataset-check" or job.state != State.SUCCEEDED:
        return []
    key = UUID(str((job.result or {})["version"]))
    version = DatasetVersion.objects.select_related("dataset").filter(pk=key, deleted=None).first()
    if version is None:
        return []
    arguments = [job.team.slug, version.pk]
    return outcome(label="Checked", what=version, icon="database", url_name="dataset-version", arguments=arguments)
