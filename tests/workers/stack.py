"""The real thing for tests: Redis, Celery workers and the sweep as processes, over the test's own database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from django.conf import settings
from django.db import connection

from tests.ports import free_port
from tests.redis_server import RedisServer, redis_server
from webapp.jobs.models import Job, State, Worker
from webapp.jobs.reports import job_folder
from workers.processes import orphans_kill, processes_of
from workers.stack.services import web_command

PATIENCE = float(os.environ.get("MEDS3_TEST_PATIENCE", "120"))
"""Seconds after which a test gives up waiting; raise it where the machine is busy."""


def wait_for(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> object:
    """Until the condition holds; its value."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {patience:.0f} s for {what}")


def database_url() -> str:
    """The test's database, for other processes."""
    chosen = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{chosen['NAME']}"
    return f"postgres://{chosen['USER']}@/{chosen['HOST']}/{chosen['NAME']}"


class Stack:
    """Workers by name, one sweep, one Redis."""

    def __init__(self, redis: RedisServer, logs: Path) -> None:
        self.redis = redis
        self.logs = logs
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._workers: dict[str, tuple[str, dict[str, str]]] = {}
        self._port = free_port()

    def start_worker(self, name: str, queue: str = "cpu", **environment: str) -> None:
        """A Celery worker of a queue."""
        self._workers[name] = (queue, environment)
        command = f"-m celery -A workers.app worker -Q {queue} --concurrency 1 --without-gossip --without-mingle"
        self._start(
            name,
            [*command.split(), "-l", "INFO", "-n", f"{name}@test"],
            MEDS3_WORKER_NAME=name,
            **environment,
        )

    def start_again(self, name: str) -> None:
        """A worker that ended, as it was."""
        queue, environment = self._workers[name]
        self.start_worker(name, queue, **environment)

    def start_web(self, **environment: str) -> str:
        """The web process, by the very command of the embedded stack; its address."""
        self._start("web", list(web_command("127.0.0.1", self._port)[1:]), **environment)
        return f"http://127.0.0.1:{self._port}"

    def restart_web(self) -> str:
        """SIGKILL to the web process if it runs; its address."""
        if "web" in self.processes:
            process = self.processes.pop("web")
            process.kill()
            process.wait()
        return self.start_web()

    def start_chat(self, name: str = "chat", **environment: str) -> None:
        """A chat worker; another start is another life of the same one."""
        self._start(name, ["-m", "workers.chat"], MEDS3_WORKER_NAME=name, OMP_WAIT_POLICY="PASSIVE", **environment)

    def start_sweep(self) -> None:
        """The sweep."""
        self._start("sweep", ["-m", "workers.sweep"])

    def _start(self, name: str, arguments: list[str], **more: str) -> None:
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "webapp.config.settings.test",
            "MEDS3_HOME": str(settings.HOME),
            "MEDS3_DATABASE": database_url(),
            "MEDS3_REDIS": self.redis.url,
            "MEDS3_JOBS_TEMPO": os.environ.get("MEDS3_JOBS_TEMPO", "0.3"),
            "PYTHONUNBUFFERED": "1",
            **more,
        }
        with (self.logs / f"{name}.log").open("ab") as told:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                env=environment,
                start_new_session=True,
            )

    def supervisor(self, name: str) -> psutil.Process:
        """The worker's pool process, which supervises."""
        return max(self._family(name), key=lambda one: one.pid)

    def _family(self, name: str) -> list[psutil.Process]:
        """The pool's processes, the jobs' own left out."""
        jobs, family = set(job_processes(name)), []
        for one in psutil.Process(self.processes[name].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ended, or nobody has asked yet how it ended
                if one.pid not in jobs and "resource_tracker" not in " ".join(one.cmdline()):
                    family.append(one)
        return family

    def kill_worker(self, name: str) -> None:
        """SIGKILL to the worker and its pool, as a power cut or the kernel would."""
        for one in [psutil.Process(self.processes[name].pid), *self._family(name)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self.processes.pop(name).wait()

    def end(self, name: str) -> None:
        """SIGTERM, as an operator would; waits."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def log(self, name: str) -> str:
        """What a process said."""
        return (self.logs / f"{name}.log").read_text()


@contextmanager
def running_stack(logs: Path) -> Iterator[Stack]:
    """Redis and the sweep run; workers are started by the test. Nothing is left at the end."""
    with redis_server(Path(settings.HOME) / "run") as redis:
        stack = Stack(redis, logs)
        stack.start_sweep()
        names: set[str] = set()
        try:
            yield stack
        finally:
            for name, process in stack.processes.items():
                names.add(name)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGCONT)
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for worker in Worker.objects.filter(name__in=names):
                orphans_kill(worker.pk)


def job_processes(name: str) -> list[int]:
    """Those of the jobs of the worker of this name."""
    worker = Worker.objects.filter(name=name).first()
    return processes_of(worker.pk) if worker else []


def job_log(job: Job) -> str:
    """The end of what the job's last attempt wrote."""
    logs = sorted(job_folder(job.pk).glob("*/log"), key=lambda path: int(path.parent.name))
    return logs[-1].read_text()[-4000:] if logs else ""


def state_of(job: Job) -> State:
    """As the database has it now."""
    return State(Job.objects.values_list("state", flat=True).get(pk=job.pk))
