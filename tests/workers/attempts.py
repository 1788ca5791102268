"""One attempt at a job in the test's own process: what workers.run does, without Celery and Redis."""

from pathlib import Path
from typing import Any

from meds3core.config.jobs import JOB_SPEC
from meds3core.progress import CancelToken, NullSink
from webapp.jobs import claims
from webapp.jobs.models import Job
from webapp.jobs.reports import job_folder, result_store
from webapp.jobs.selectors import checkpoints_of
from workers.context import JobContext
from workers.runners import runner_for


def claimed(job: Job) -> claims.Claim:
    """The job in the hands of a worker of the test."""
    worker = claims.worker_register(name=f"{job.queue}-test", queue=job.queue)
    claim = claims.job_claim(queue=job.queue, worker=worker)
    assert claim is not None
    assert claim.job_id == job.pk
    return claim


def context_of(job: Job, claim: claims.Claim) -> JobContext:
    """What the job's function gets."""
    folder: Path = job_folder(job.pk)
    (folder / str(claim.attempt)).mkdir(parents=True, exist_ok=True)
    return JobContext(
        job_id=job.pk,
        attempt=claim.attempt,
        title=job.title,
        spec=JOB_SPEC.validate_python(job.spec),
        folder=folder / str(claim.attempt),
        job_folder=folder,
        checkpoints=checkpoints_of(job_id=job.pk),
        reporter=NullSink(),  # type: ignore[arg-type]
        cancel=CancelToken(),
    )


def done(job: Job) -> dict[str, Any]:
    """Claim the job, do it, end it; its result."""
    claim = claimed(job)
    result = dict(runner_for(job.kind)(context_of(job, claim)))
    result_store(job_id=job.pk, attempt=claim.attempt, result=result)
    claims.job_finish(claim=claim)
    job.refresh_from_db()
    return result
