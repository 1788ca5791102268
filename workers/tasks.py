"""The one task: somebody rang a queue. Claim the best job there is, supervise it, ring again if more waits."""

import logging
from contextlib import suppress

from webapp.common.logging import process_works_on
from webapp.jobs.claims import job_claim, worker_heartbeat
from webapp.jobs.dispatch import TASK, QueueUnreachable, ring
from webapp.jobs.models import Worker
from webapp.jobs.selectors import eligible_jobs
from workers.app import app
from workers.identity import drain_flag, worker_name
from workers.processes import orphans_kill
from workers.supervise import Supervisor

log = logging.getLogger(__name__)


@app.task(name=TASK)
def look(queue: str) -> None:
    """Claim and supervise one job of the queue, if there is one."""
    worker = Worker.objects.get(name=worker_name(queue))
    drain = drain_flag(worker.name)
    if drain.exists() or worker_heartbeat(worker=worker):
        return
    killed = orphans_kill(worker.pk)
    if killed:
        log.warning("ended %d processes that an earlier job had left", len(killed))
    claim = job_claim(queue=queue, worker=worker)
    if claim is None:
        return
    process_works_on(job=str(claim.job_id), attempt=claim.attempt)
    try:
        Supervisor(claim, worker, drain).run()
    finally:
        process_works_on()
        if eligible_jobs(queue=queue).exists():
            with suppress(QueueUnreachable):  # the sweep rings
                ring(queue=queue)
