"""Starts the processes of stages: from scratch, or forked off a process that has the heavy libraries in memory.

Importing torch, transformers and TRL takes seconds of processor time in every process, which twenty short stages feel.
The nursery imports them once; a stage forked off it starts at once. It runs nothing itself, so there is no thread and
no state for a stage to inherit. A process that has seen CUDA cannot be forked, so with a GPU every stage starts from
scratch.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from meds3core.evolution.stage import PARENT_VARIABLE, PIPE_VARIABLE

SOCKET_VARIABLE = "MEDS3_NURSERY_SOCKET"
MESSAGE_BYTES = 1 << 16
_BYTES_PER_PROCESS = 2 << 30


class StageProcess(Protocol):
    """A running stage, leader of a process group of its own."""

    @property
    def pid(self) -> int:
        """Its id, and its group's."""

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""


def start_process(spec: Path, log: int, pipe: int, threads: int) -> StageProcess:
    """A stage's process from scratch."""
    environment = stage_environment(threads) | {PIPE_VARIABLE: str(pipe), PARENT_VARIABLE: str(os.getpid())}
    return subprocess.Popen(
        [sys.executable, "-m", "meds3core.evolution.stage", str(spec)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=environment,
        pass_fds=(pipe,),
        process_group=0,
    )


def stage_environment(threads: int) -> dict[str, str]:
    """What a stage's process inherits. Waiting threads must sleep: spinning ones starve the stage beside."""
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
    }


def gpu_present() -> bool:
    """Whether this machine has an NVIDIA GPU; found without loading CUDA."""
    return Path("/dev/nvidiactl").exists()


def usable_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_processes() -> int:
    """Stages at once: one on a GPU; else one per core, as far as the memory goes."""
    from psutil import virtual_memory  # type: ignore[import-untyped]

    if gpu_present():
        return 1
    return max(1, min(usable_cores(), int(virtual_memory().available) // _BYTES_PER_PROCESS))


def shared_out(processes: int | None = None, threads: int | None = None) -> tuple[int, int]:
    """Stages at once and threads of each, where they are not given: `default_processes`, and the cores shared out."""
    at_once = processes or default_processes()
    return at_once, threads or max(1, usable_cores() // at_once)


class Nursery:
    """The process that stages are forked off. It and its stages die with the process that made it."""

    def __init__(self, modules: Sequence[str], threads: int) -> None:
        """`modules` are imported before the first stage; one that cannot be is left to the stages that need it."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = stage_environment(threads) | {
            SOCKET_VARIABLE: str(theirs.fileno()),
            PARENT_VARIABLE: str(os.getpid()),
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "meds3core.evolution.nursery", *modules],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        finally:
            theirs.close()
        self._ready = False
        self._dead = False
        self._started: list[int] = []
        self._codes: dict[int, int] = {}

    @property
    def ready(self) -> bool:
        """Whether everything is imported. Raises `OSError` when the nursery has died."""
        self._listen(block=False)
        if self._dead:
            raise OSError(f"the process that stages start from has died: exit code {self._process.wait()}")
        return self._ready

    def start(self, spec: Path, log: int, pipe: int) -> StageProcess:
        """Fork a stage's process; waits until the nursery is ready. Raises `OSError`."""
        socket.send_fds(self._socket, [os.fsencode(spec)], [log, pipe])
        while not self._started and not self._dead:
            self._listen(block=True)
        if not self._started:
            raise OSError(f"the process that stages start from has died: exit code {self._process.wait()}")
        return _Forked(self, self._started.pop())

    def exit_code(self, pid: int) -> int | None:
        """Of a stage that was started here; if the nursery is dead, its stages are."""
        self._listen(block=False)
        return self._codes.get(pid, -signal.SIGKILL if self._dead else None)

    def close(self) -> None:
        """End the nursery, and any stage that still runs."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _listen(self, *, block: bool) -> None:
        """Note what the nursery has said; with `block` at least one message."""
        self._socket.setblocking(block)
        while not self._dead:
            try:
                message = self._socket.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:
                message = b""
            if not message:
                self._dead = True
                return
            said: dict[str, int] = json.loads(message)
            self._ready = True  # its first word, whatever it is
            if "started" in said:
                self._started.append(said["started"])
            elif "ended" in said:
                self._codes[said["ended"]] = said["code"]
            self._socket.setblocking(False)


class _Forked:
    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid

    def poll(self) -> int | None:
        """Exit code as the nursery tells it."""
        return self._nursery.exit_code(self.pid)
