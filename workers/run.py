"""A job's own process: `python -m workers.run JOB ATTEMPT`. Reads the specification, does the work, exits with what
became of it (workers.exits). Started by workers.supervise and by nothing else.
"""

import os

from workers.processes import die_with_parent

if __name__ == "__main__":
    die_with_parent()  # before anything that takes time

import gc
import logging
import signal
import sys
import traceback
from typing import Any
from uuid import UUID

from meds3core.progress import CancelToken

NICE = 10
"""On a CPU the pages come first."""

log = logging.getLogger("workers.run")


def main(arguments: list[str]) -> int:
    """Exit code of the attempt."""
    cancel = CancelToken()
    signal.signal(signal.SIGTERM, lambda *_: cancel.cancel())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor, which says SIGTERM
    job_id, attempt = UUID(arguments[0]), int(arguments[1])

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")
    import django

    django.setup()

    from meds3core.errors import Cancelled, UserError
    from webapp.common.logging import process_works_on
    from webapp.jobs.reports import error_store, result_store
    from webapp.jobs.transitions import StaleAttempt
    from workers import exits

    process_works_on(job=str(job_id), attempt=attempt)

    def stored(error: BaseException, code: str, message: str, exit_code: int) -> int:
        # Where, but no values: they may be somebody's content.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s\n%s", type(error).__name__, frames)
        try:
            error_store(job_id=job_id, attempt=attempt, code=code, message=message)
        except StaleAttempt:
            return exits.STALE
        return exit_code

    try:
        result = _work(job_id, attempt, cancel)
        result_store(job_id=job_id, attempt=attempt, result=result)
        return exits.DONE
    except StaleAttempt:
        return exits.STALE
    except Cancelled:
        return exits.STOPPED
    except UserError as error:
        return stored(error, error.code, str(error), exits.REFUSED)
    except Exception as error:
        code = getattr(error, "code", None)
        told = str(error) if isinstance(code, str) else type(error).__name__
        return stored(error, code if isinstance(code, str) else "error", told, exits.BROKE)


def _work(job_id: UUID, attempt: int, cancel: CancelToken) -> Any:
    from meds3core.config.jobs import JOB_SPEC
    from meds3core.engines.openai.connections import connect_by
    from meds3core.errors import Cancelled
    from webapp.jobs.models import Job
    from webapp.jobs.references import references_check
    from webapp.jobs.reports import job_folder
    from webapp.jobs.selectors import checkpoints_of
    from webapp.jobs.transitions import live_rows, refuse_stale
    from webapp.outgoing.engines import CheckedConnections
    from workers.context import JobContext
    from workers.reporter import Reporter
    from workers.runners import runner_for

    connect_by(CheckedConnections())
    job: Job | None = live_rows(job_id=job_id, attempt=attempt).select_related("team").first()
    refuse_stale(written=job is not None, job_id=job_id, attempt=attempt)
    assert job is not None
    if job.queue == "cpu":
        os.nice(NICE)
    spec = JOB_SPEC.validate_python(job.spec)
    references_check(team=job.team, spec=spec)  # again: something may have been deleted since
    runner = runner_for(job.kind)
    folder = job_folder(job_id)
    (folder / str(attempt)).mkdir(parents=True, exist_ok=True)
    with Reporter(job_id, attempt, cancel) as reporter:
        if cancel.cancelled:
            raise Cancelled("told to stop before it began")
        gc.collect()
        gc.freeze()  # what is loaded now stays: a third of an import's time went into looking it through again
        return runner(
            JobContext(
                job_id=job_id,
                attempt=attempt,
                title=job.title,
                spec=spec,
                folder=folder / str(attempt),
                job_folder=folder,
                checkpoints=checkpoints_of(job_id=job_id),
                reporter=reporter,
                cancel=cancel,
            )
        )


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of engines must not keep a finished job's process alive.
    os._exit(code)
