"""Looks after what nobody else does: `python -m workers.sweep`. Takes back jobs whose worker is gone and rings queues
whose message was lost; sends what waits for webhooks. Any number may run; they do not get in each other's way.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")

import django

django.setup()

import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import redis
from django.conf import settings
from django.db import DatabaseError, connection

from webapp.chat.keeping import conversations_expire, former_members_sweep
from webapp.datasets.deletion import deletions_go_on
from webapp.datasets.exports import exports_expire
from webapp.datasets.intake import imports_sweep
from webapp.jobs.claims import leases_reclaim
from webapp.jobs.dispatch import QueueUnreachable, doorbells_waiting, ring
from webapp.jobs.kinds import Queue
from webapp.jobs.selectors import eligible_jobs
from webapp.jobs.shards import parent_settle, parents_open
from webapp.jobs.thinning import events_thin
from webapp.training.previews import previews_sweep as training_previews_sweep
from webapp.uploads.importing import previews_sweep
from webapp.uploads.services import uploads_sweep
from webapp.webhooks.delivery import deliveries_expire
from workers import alive
from workers.deliver import deliver_until
from workers.identity import worker_name
from workers.post import post_until

log = logging.getLogger("workers.sweep")

CHORES: tuple[Callable[[], object], ...] = (
    events_thin,
    imports_sweep,
    deletions_go_on,
    deliveries_expire,
    exports_expire,
    conversations_expire,
    former_members_sweep,
    uploads_sweep,
    previews_sweep,
    training_previews_sweep,
)
"""What else is done each time, for about a second each: rows of deleted things, files that have expired."""


def sweep() -> None:
    """Once round. What does not answer is left for the next round."""
    try:
        lost = leases_reclaim()
        if lost:
            log.warning("took back %d jobs whose worker was gone", len(lost))
        for parent_id in parents_open().values_list("pk", flat=True):
            parent_settle(parent_id=parent_id)
        waiting = [queue for queue in Queue if eligible_jobs(queue=queue).exists()]
    except DatabaseError as error:
        log.warning("the database does not answer (%s)", type(error).__name__)
        connection.close()
        return
    for queue in waiting:
        try:
            if not doorbells_waiting(queue=queue):
                ring(queue=queue)
        except (redis.RedisError, QueueUnreachable) as error:
            log.warning("the message queue does not answer (%s)", type(error).__name__)
            return


def tidy() -> None:
    """The chores, each by itself. What fails is tried again in the next round."""
    for chore in CHORES:
        try:
            chore()
        except (DatabaseError, OSError) as error:
            log.warning("%s failed (%s)", chore.__name__, type(error).__name__)
            connection.close()


def main() -> None:
    """Until told to end."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    threads = [threading.Thread(target=work, args=(over,), name=work.__name__) for work in (deliver_until, post_until)]
    for thread in threads:
        thread.start()
    while True:
        sweep()
        alive.touch(Path(settings.HOME), worker_name("sweep"))
        tidy()
        if over.wait(settings.JOBS_SWEEP_SECONDS):
            for thread in threads:
                thread.join()
            return


if __name__ == "__main__":
    main()
