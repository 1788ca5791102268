"""Processes of jobs: started so that they die with their worker, found by what they carry, ended to the last one.

Every process of a job has `MEDS3_JOB` and `MEDS3_WORKER` in its environment: ids of rows, since two installations on
one host may well give two workers the same name. Linux only, like the rest of a worker.
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

JOB_VARIABLE = "MEDS3_JOB"
WORKER_VARIABLE = "MEDS3_WORKER"
PARENT_VARIABLE = "MEDS3_PARENT"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """In a child, first of all: the kernel kills it when the supervisor is gone; at once when it already is."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ.get(PARENT_VARIABLE, os.getppid())):
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """In a supervisor: what a job's process leaves behind becomes ours, to be found and reaped."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def session_kill(leader: int, worker: UUID, job: UUID) -> None:
    """End everything of a job: its session, and whatever carries its id elsewhere. Twice, for what was being born."""
    for _ in range(2):
        for pid in _pids():
            if pid != os.getpid() and (_session(pid) == leader or _carries(pid, worker, job)):
                _end(pid)


def orphans_kill(worker: UUID) -> list[int]:
    """End the processes of this worker's earlier jobs, when it has no live child. Gives their ids."""
    found = [pid for pid in _pids() if pid != os.getpid() and _carries(pid, worker)]
    for pid in found:
        _end(pid)
    return found


def processes_of(worker: UUID) -> list[int]:
    """The processes of this worker's jobs that are there now."""
    return [pid for pid in _pids() if pid != os.getpid() and _carries(pid, worker)]


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _session(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[3])


def _carries(pid: int, worker: UUID, job: UUID | None = None) -> bool:
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    if f"{WORKER_VARIABLE}={worker}".encode() not in entries:
        return False
    prefix = f"{JOB_VARIABLE}={job}" if job else f"{JOB_VARIABLE}="
    return any(entry == prefix.encode() if job else entry.startswith(prefix.encode()) for entry in entries)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # ours only if it was adopted
        os.waitpid(pid, 0)
