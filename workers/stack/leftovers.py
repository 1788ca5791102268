"""Processes of a stack: found by the home in their environment, ended before another one starts on it.

None should be left, whatever happened: supervisord and its processes are told to end when their parent is gone, and a
job's process dies with its worker. This is for what did not listen, and for Redis, which writes over its environment.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

VARIABLE = "MEDS3_STACK"
"""In the environment of every process of a stack: its home."""

TICK_SECONDS = 0.1


def processes_of(home: Path, redis_pid_file: Path) -> list[int]:
    """The processes of the home's stack that are there now, without this one."""
    mark = f"{VARIABLE}={home}".encode()
    found = {pid for pid in _pids() if mark in _environment(pid)}
    with suppress(OSError, ValueError):
        pid = int(redis_pid_file.read_text())
        if "redis-server" in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"):
            found.add(pid)
    return sorted(found - {os.getpid()})


def leftovers_end(home: Path, redis_pid_file: Path, *, patience_seconds: float) -> list[int]:
    """End what an earlier stack has left: asked first, killed when the patience is over. Gives their ids."""
    found = processes_of(home, redis_pid_file)
    for pid in found:
        _send(pid, signal.SIGTERM)
    end = time.monotonic() + patience_seconds
    while (still := processes_of(home, redis_pid_file)) and time.monotonic() < end:
        time.sleep(TICK_SECONDS)
    for pid in still:
        _send(pid, signal.SIGKILL)
    while still and processes_of(home, redis_pid_file):
        time.sleep(TICK_SECONDS)
    return found


def all_kill(home: Path, redis_pid_file: Path) -> None:
    """End everything of the stack at once."""
    for pid in processes_of(home, redis_pid_file):
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _environment(pid: int) -> list[bytes]:
    try:
        if _is_zombie(pid):
            return []
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
