"""supervisord, which keeps the processes of the embedded stack alive: its configuration, and talking to it."""

import os
import shlex
import signal
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from workers.stack.services import Service

LOG_BYTES = 10 << 20
LOGS_KEPT = 3
START_TRIES = 10


@dataclass(frozen=True)
class Standing:
    """One process as supervisord sees it."""

    name: str
    state: str
    """STARTING, RUNNING, BACKOFF, STOPPING, STOPPED, EXITED, FATAL."""
    pid: int
    since: int


def configuration(processes: Sequence[Service], *, run: Path, logs: Path) -> str:
    """supervisord's configuration file."""
    lines = [
        "; made by `meds3 up` at every start",
        "[supervisord]",
        "nodaemon = true",
        "silent = true",
        "umask = 077",
        "minfds = 1024",
        f"logfile = {_plain(logs / 'supervisord.log')}",
        f"logfile_maxbytes = {LOG_BYTES}",
        f"logfile_backups = {LOGS_KEPT}",
        f"pidfile = {_plain(run / 'supervisord.pid')}",
        "",
        "[unix_http_server]",
        f"file = {_plain(run / 'supervisor.sock')}",
        "chmod = 0700",
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for process in processes:
        lines += ["", *_program(process, logs)]
    for group, members in groupby(sorted(processes, key=lambda one: one.group), key=lambda one: one.group):
        if group:
            found = list(members)
            names = ",".join(one.name for one in found)
            lines += ["", f"[group:{group}]", f"programs = {names}", f"priority = {found[0].order}"]
    return "\n".join(lines) + "\n"


def _program(process: Service, logs: Path) -> list[str]:
    command = [sys.executable, "-m", "workers.stack.tied", *process.command]
    given = ",".join(f'{name}="{_plain(value)}"' for name, value in process.environment.items())
    return [
        f"[program:{process.name}]",
        f"command = {_plain(shlex.join(command))}",
        *([f"environment = {given}"] if given else []),
        f"priority = {process.order}",
        f"autostart = {str(not process.late).lower()}",
        "autorestart = true",
        f"startsecs = {process.start_seconds}",
        f"startretries = {START_TRIES}",
        f"stopwaitsecs = {process.stop_seconds}",
        "stopsignal = TERM",
        "killasgroup = true",
        "redirect_stderr = true",
        f"stdout_logfile = {_plain(logs / f'{process.name}.log')}",
        f"stdout_logfile_maxbytes = {LOG_BYTES}",
        f"stdout_logfile_backups = {LOGS_KEPT}",
    ]


def _plain(value: object) -> str:
    """A value in which supervisord finds nothing to expand."""
    return str(value).replace("%", "%%")


class Supervision:
    """A supervisord of ours. It is told to end when this process is gone, and its processes when it is."""

    def __init__(self, processes: Sequence[Service], *, run: Path, logs: Path, environment: Mapping[str, str]) -> None:
        self._socket = run / "supervisor.sock"
        self._file = run / "supervisord.conf"
        self._environment = dict(environment)
        self._names = [process.name for process in processes]
        self._full_names = {process.name: f"{process.group}:{process.name}" for process in processes if process.group}
        self._file.write_text(configuration(processes, run=run, logs=logs), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start supervisord, which starts the rest."""
        command = [sys.executable, "-m", "workers.stack.tied", sys.executable, "-m", "supervisor.supervisord"]
        self._process = subprocess.Popen(
            [*command, "-n", "-c", str(self._file)],
            cwd=Path(__file__).parents[2],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for `meds3 up`, which stops everything in order
        )

    @property
    def alive(self) -> bool:
        """Whether supervisord runs."""
        return self._process is not None and self._process.poll() is None

    def standings(self) -> list[Standing]:
        """Each process, or nothing as long as supervisord does not answer."""
        try:
            with self._rpc() as supervisor:
                told = cast(list[dict[str, Any]], supervisor.getAllProcessInfo())
        except (OSError, xmlrpc.client.Error):
            return []
        order = {name: at for at, name in enumerate(self._names)}
        told.sort(key=lambda one: order[one["name"]])
        return [Standing(one["name"], one["statename"], one["pid"], one["start"]) for one in told]

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor
        finally:
            transport.close()

    def start_process(self, name: str) -> None:
        """Start one that waits for it, or was given up."""
        with self._rpc() as supervisor, suppress(OSError, xmlrpc.client.Error):
            supervisor.startProcess(self._full_names.get(name, name), False)

    def stop(self) -> None:
        """Ask supervisord to stop its processes in order and to end; `wait` says when it has."""
        if self._process is not None and self.alive:
            os.kill(self._process.pid, signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within this time."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True
