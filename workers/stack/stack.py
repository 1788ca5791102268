"""The embedded stack as one thing: prepared, started, asked whether it is ready, stopped to the last process."""

import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
from django.conf import settings
from django.db import connection

from meds3core.errors import UserError
from webapp.config.embedded import redis_url
from workers.stack.home import folders_make, prepare, redis_configure, redis_pid_file, sockets_remove
from workers.stack.leftovers import VARIABLE, all_kill, leftovers_end
from workers.stack.lock import StackLock
from workers.stack.services import MARGIN_SECONDS, services
from workers.stack.supervision import Standing, Supervision

FIRST_PORT = 8000
PORTS = 100
REVIVE_SECONDS = 30
Say = Callable[[str], None]


class StackError(UserError):
    """The stack cannot run as asked; the message says what to do."""

    code = "stack"


class Stack:
    """Processes on one home. Made, it holds the home's lock; `stop` leaves no process and gives the lock back."""

    def __init__(self, *, host: str, port: int | None, log_level: str, say: Say) -> None:
        """Take the home. Raises `StackRuns` when another stack has it, `StackError` for a host or port it cannot have.

        What a killed stack has left is ended first.
        """
        self.home = Path(settings.HOME)
        self._say = say
        self._revived = time.monotonic()
        _host_check(host)
        self._lock = StackLock(self.home)
        try:
            self._run = folders_make(self.home)
            self._end_leftovers()
            self._host = host
            self._log_level = log_level
            self._may_move = port is None
            self._settle(_port_choose(host, port, _last_port(self.home), say))
        except BaseException:
            self._lock.release()
            raise

    def prepare(self) -> None:
        """Tables, static files, the bundled model."""
        prepare(self._say)

    def start(self) -> None:
        """Start Redis and the pages; `start_late` the rest."""
        connection.close()
        self._supervision.start()
        self._lock.say({"url": self.url})
        (self.home / "run" / "port").write_text(str(self.port), encoding="ascii")

    def lost_port(self) -> bool:
        """Whether somebody else has taken the port since it was chosen: something listens there, and not our web."""
        try:
            with socket.create_connection((_spoken(self._host).strip("[]"), self.port), timeout=2):
                return not self._listens()
        except OSError:
            return False

    def move(self) -> None:
        """Start again on another port. Raises `StackError` when the port was asked for."""
        if not self._may_move:
            raise StackError(f"Port {self.port} was taken meanwhile. Leave --port out and a free one is found.")
        self._supervision.stop()
        self._supervision.wait(self.grace_seconds)
        sockets_remove(self.home)
        self._settle(_port_choose(self._host, None, self.port, self._say))
        self.start()

    def start_late(self) -> None:
        """Start the workers and the sweep."""
        for process in self._services:
            if process.late:
                self._supervision.start_process(process.name)

    def ready(self) -> bool:
        """Whether our own pages answer and have what they need."""
        if not self._listens():
            return False
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(json.load(answer)["status"] == "ok")
        except (urllib.error.URLError, OSError, ValueError):
            return False

    def standings(self) -> list[Standing]:
        """The processes."""
        return self._supervision.standings()

    def revive(self) -> None:
        """Try again what was given up: its database or disk may be back."""
        if time.monotonic() - self._revived > REVIVE_SECONDS:
            self._revived = time.monotonic()
            for one in self.standings():
                if one.state == "FATAL":
                    self._supervision.start_process(one.name)

    @property
    def alive(self) -> bool:
        """Whether the stack is looked after."""
        return self._supervision.alive

    def log_tail(self, name: str, lines: int = 12) -> str:
        """The end of what a process said."""
        path = self.home / "logs" / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def stop_begin(self) -> None:
        """Tell everything to end: workers first, Redis last. Jobs checkpoint and go back to their queue."""
        self._supervision.stop()

    def stopped(self, seconds: float) -> bool:
        """Whether everything has ended within this time."""
        return self._supervision.wait(seconds)

    def kill(self) -> None:
        """End everything at once; what jobs recorded is kept."""
        all_kill(self.home, redis_pid_file(self.home))

    def close(self) -> None:
        """When supervisord has ended: nothing is left, and the home is free."""
        self._end_leftovers()
        sockets_remove(self.home)
        self._lock.release()

    @property
    def grace_seconds(self) -> float:
        """How long a worker may take to end."""
        return float(settings.JOBS_GRACE_SECONDS) + MARGIN_SECONDS

    def _end_leftovers(self) -> None:
        begun = time.monotonic()
        ended = leftovers_end(self.home, redis_pid_file(self.home), patience_seconds=self.grace_seconds)
        if ended:
            seconds = time.monotonic() - begun
            self._say(f"ended {len(ended)} processes that an earlier stack had left ({seconds:.0f} s)")
        sockets_remove(self.home)

    def _listens(self) -> bool:
        """Whether our web process listens on the port; another program might answer there."""
        pid = next((one.pid for one in self.standings() if one.name == "web"), 0)
        try:
            found = psutil.Process(pid).net_connections(kind="tcp") if pid else []
        except psutil.Error:
            return False
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == self.port for one in found)

    def _settle(self, port: int) -> None:
        """On this port."""
        self.port = port
        self.url = f"http://{_spoken(self._host)}:{port}"
        self._services = services(
            host=self._host,
            port=port,
            redis_configuration=redis_configure(self.home),
            grace_seconds=settings.JOBS_GRACE_SECONDS,
        )
        environment = os.environ | {
            VARIABLE: str(self.home),
            "MEDS3_HOME": str(self.home),
            "MEDS3_REDIS": redis_url(self.home),
            "MEDS3_REDIS_LIVE": f"{redis_url(self.home)}?db=1",
            "MEDS3_URL": os.environ.get("MEDS3_URL", self.url),
            "MEDS3_LOG_LEVEL": self._log_level,
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
        }
        self._supervision = Supervision(self._services, run=self._run, logs=self.home / "logs", environment=environment)


def _host_check(host: str) -> None:
    """Loopback needs no leave; the network needs a name that people use. Raises `StackError`."""
    if host in ("localhost", "::1") or host.startswith("127."):
        return
    if not os.environ.get("MEDS3_HOSTS"):
        raise StackError(
            f"Serving on {host} opens this instance to the network, without TLS. If that is what you want, name the "
            "host as people will type it: MEDS3_HOSTS=studio.example meds3 up --host …. docs/install.md shows a server "
            "behind a proxy that ends TLS."
        )


def _spoken(host: str) -> str:
    """An address of this machine that reaches a server bound to `host`."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _last_port(home: Path) -> int:
    try:
        return int((home / "run" / "port").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return FIRST_PORT


def _port_choose(host: str, wanted: int | None, last: int, say: Say) -> int:
    if wanted is not None:
        if not _free(host, wanted):
            raise StackError(f"Port {wanted} of {host} is taken. Leave --port out and a free one is found.")
        return wanted
    for port in (last, *range(FIRST_PORT, FIRST_PORT + PORTS)):
        if _free(host, port):
            if port != last:
                say(f"port {last} is taken; using {port} (--port chooses another one)")
            return port
    raise StackError(f"No port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} of {host} is free. Name one: --port.")


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does: not taken by what just ended
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
