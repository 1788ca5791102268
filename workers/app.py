"""The Celery app of the job workers. Start one per GPU, and one or more for the CPU queue:

    celery -A workers.app worker -Q cpu -n cpu@%h --concurrency 1

A message only says "look": losing one costs seconds, and none is ever delivered twice to any effect (ARCHITECTURE.md,
"Celery on Redis", has the measurements behind these settings).
"""

import os
import threading
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")
# Celery would have every process of the pool load all pages, to check what a worker never serves.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

import django

django.setup()

from celery import Celery, signals
from django.conf import settings
from django.db import DatabaseError, connection

from webapp.config.celery import broker_url
from webapp.jobs.claims import worker_heartbeat, worker_register
from workers import alive
from workers.identity import NAME_VARIABLE, VISIBLE_VARIABLE, devices, drain_flag, versions, worker_name
from workers.processes import orphans_kill

app = Celery("meds3-workers", broker=broker_url(settings.REDIS), include=["workers.tasks"])
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    # A late acknowledgement would have a job of hours delivered again while it runs; the database remembers instead.
    task_acks_late=False,
    task_reject_on_worker_lost=False,
    worker_disable_prefetch=True,
    worker_prefetch_multiplier=1,
    worker_concurrency=1,
    worker_pool="prefork",  # a parent-death signal follows the thread that started the child
    worker_pool_start_method="spawn",
    worker_proc_alive_timeout=120.0,  # it imports Django anew, which takes a busy machine more than 4 s
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    worker_enable_remote_control=True,
    broker_connection_retry=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
)


@signals.celeryd_after_setup.connect
def _introduce(instance: Any, **_: Any) -> None:
    """In the main process, before it takes messages: a name, no leftovers of an earlier life, a row to be seen by."""
    (queue, *_others) = instance.app.amqp.queues.consume_from
    name = worker_name(queue)
    os.environ[NAME_VARIABLE] = name  # the pool's process inherits it
    if queue == "cpu":
        os.environ.setdefault(VISIBLE_VARIABLE, "")  # its jobs hold no lease of a GPU, so they see none
    drain_flag(name).unlink(missing_ok=True)
    worker = worker_register(name=name, queue=queue, devices=devices(), versions=versions())
    orphans_kill(worker.pk)
    connection.close()
    alive.touch(Path(settings.HOME), name)

    def beat() -> None:
        while not stopped.wait(settings.JOBS_HEARTBEAT_SECONDS):
            try:
                worker_heartbeat(worker=worker)
                alive.touch(Path(settings.HOME), name)
            except DatabaseError:
                connection.close()

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()


stopped = threading.Event()


@signals.worker_shutting_down.connect
def _drain(**_: Any) -> None:
    """Told to end: the pool's process, which supervises a job, hears of it by a file. The job checkpoints first."""
    stopped.set()
    name = os.environ.get(NAME_VARIABLE)
    if name:
        drain_flag(name).touch()
