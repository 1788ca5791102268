"""Runs a module on files that nobody trusts yet: a process under limits of memory, time and file size, in a network of
its own that leads nowhere, with an environment that holds no secret, no database and no GPU.

The process belongs to the job's: it dies with it, and carries the job's marks, so that what ends the job ends it too.
"""

import ctypes
import fcntl
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from meds3core.errors import Cancelled
from meds3core.progress import CancelToken
from workers.processes import JOB_VARIABLE, WORKER_VARIABLE

LOOK_SECONDS = 0.05
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_PASSED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    JOB_VARIABLE,
    WORKER_VARIABLE,
)
ROOT = Path(__file__).parents[1]
_AHEAD_BYTES = 1 << 20
"""What the process may say before it is heard: it works on while its reader stores a batch."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the process may use."""

    data_bytes: int
    """Memory of its own (RLIMIT_DATA)."""
    address_bytes: int
    """Address space, libraries and mapped files included (RLIMIT_AS)."""
    seconds: float
    """By the clock; of the processor twice as many."""
    file_bytes: int = 16 << 20
    """Of a file that it writes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended: `code` is negative for a signal; `late` when it was ended for taking too long."""

    code: int
    output: str
    late: bool


def run_limited(module: str, *, given: str, limits: Limits, log: int | None = None, cancel: CancelToken) -> Outcome:
    """`python -m module` with `given` on its input; what it writes to its output. Raises `Cancelled`.

    `log` takes what it says besides; None: this process's own.
    """
    with (
        tempfile.TemporaryFile() as to_read,
        tempfile.TemporaryFile() as written,
        tempfile.TemporaryDirectory() as home,
    ):
        to_read.write(given.encode())
        to_read.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=to_read,
            stdout=written,
            stderr=log,
            cwd=home,
            env=_environment(home),
            preexec_fn=_confiner(limits),
        )
        end = time.monotonic() + limits.seconds
        late = False
        try:
            while child.poll() is None:
                if cancel.cancelled:
                    raise Cancelled("told to stop while untrusted files were read")
                late = time.monotonic() > end
                if late:
                    break
                time.sleep(LOOK_SECONDS)
        finally:
            if child.poll() is None:
                child.kill()
            code = child.wait()
        written.seek(0)
        return Outcome(code, written.read().decode(errors="replace"), late or code == -signal.SIGXCPU)


@contextmanager
def limited_process(module: str, *, given: str, limits: Limits) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m module` as in `run_limited`, for who reads its output while it runs; it is ended with the block.

    Only the processor's time is limited: how long it waits to be read from is the reader's affair.
    """
    with tempfile.TemporaryFile() as to_read:
        to_read.write(given.encode())
        to_read.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=to_read,
            stdout=subprocess.PIPE,
            cwd="/",
            env=_environment("/nonexistent"),
            preexec_fn=_confiner(limits),
        )
    if child.stdout is not None:
        with suppress(OSError):  # more than the system allows: the usual 64 KiB will do
            fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, _AHEAD_BYTES)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _environment(home: str) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    passed["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), passed.get("PYTHONPATH", "")]))
    return passed | {
        "HOME": home,
        "HF_HOME": home,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
    }


def _confiner(limits: Limits) -> Callable[[], None]:
    """What the child does before it becomes the module. A limit that cannot be set ends it: all of them, or no run."""
    libc, parent = ctypes.CDLL(None, use_errno=True), os.getpid()
    seconds = int(limits.seconds * 2) + 1

    def confine() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # Where the kernel gives no network of one's own, the environment's switches and checked files remain.
        if libc.unshare(_CLONE_NEWNET) != 0:
            libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        for kind, most in (
            (resource.RLIMIT_AS, limits.address_bytes),
            (resource.RLIMIT_DATA, limits.data_bytes),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_FSIZE, limits.file_bytes),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (most, most))

    return confine
