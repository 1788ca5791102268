"""Plugs that tests pull: each accident takes the stack and the name of one of its workers,
and leaves all of it running.

A test lists those it wants by `accidents_of(count, …)`; the full proof takes fifty (`MEDS3_KILLS=50`).
"""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.request import urlopen

from django.db import connection

from tests.with_postgres import KEEPER
from tests.workers.stack import Stack, job_processes, wait_for

Accident = Callable[[Stack, str], None]


def child_of(worker: str) -> int | None:
    """The main process of the worker's job."""
    for pid in job_processes(worker):
        with suppress(ProcessLookupError):
            if os.getsid(pid) == pid:
                return pid
    return None


def kill_child(_: Stack, name: str) -> None:
    """SIGKILL to the job's process: a segmentation fault, or memory that ran out."""
    pid = child_of(name)
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_worker(stack: Stack, name: str) -> None:
    """SIGKILL to the worker and its pool; the job's process is left to notice."""
    stack.kill_worker(name)
    stack.start_again(name)


def kill_both(stack: Stack, name: str) -> None:
    """A power cut of one worker."""
    kill_child(stack, name)
    kill_worker(stack, name)


def drain(stack: Stack, name: str) -> None:
    """SIGTERM to the worker: it gives back what it does, and leaves no process."""
    stack.end(name)
    assert not job_processes(name)
    stack.start_again(name)


def stop_redis(stack: Stack, _: str) -> None:
    """Redis is gone for a second and comes back empty."""
    stack.redis.stop()
    time.sleep(1)
    stack.redis.start()


def flush_redis(stack: Stack, _: str) -> None:
    """Redis forgets everything."""
    stack.redis.client().flushall()


def restart_web(stack: Stack, _: str) -> None:
    """SIGKILL to the web process; it answers again before the test goes on."""
    address = stack.restart_web()

    def healthy() -> bool:
        with suppress(OSError), urlopen(f"{address}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    wait_for(healthy, "the web process")


def cut_connections(*_: object) -> None:
    """The database ends everybody's connection but ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def restart_database(*_: object) -> None:
    """The PostgreSQL server is stopped and started; where other tests use it too, connections are cut instead."""
    keeper = os.environ.get(KEEPER)
    if keeper is None or "PYTEST_XDIST_WORKER" in os.environ:
        return cut_connections()
    before = _started()
    connection.close()
    os.kill(int(keeper), signal.SIGUSR1)
    wait_for(lambda: _started() not in (None, before), "the database")


def _started() -> object:
    """When the server was started; None while it cannot be asked."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_postmaster_start_time()")
            return cursor.fetchone()
    except Exception:  # whatever the driver says of a server that is not there
        connection.close()
        return None


EVERY: tuple[Accident, ...] = (
    kill_child,
    *((restart_database,) if connection.vendor == "postgresql" else ()),
    kill_worker,
    drain,
    stop_redis,
    kill_both,
    flush_redis,
    restart_web,
)


def accidents_of(count: int, chance: random.Random, accidents: Sequence[Accident] = EVERY) -> list[Accident]:
    """So many, each as often as the others, in random order."""
    chosen = [accidents[number % len(accidents)] for number in range(count)]
    chance.shuffle(chosen)
    return chosen
