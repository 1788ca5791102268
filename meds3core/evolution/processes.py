"""Starts the processes of stages: from scratch, or forked off a process that has the heavy libraries in memory.

Importing torch, transformers and TRL takes seconds of processor time in every process, which twenty short stages feel.
The nursery imports them once; a stage forked off it starts at once. It runs nothing itself, so there is no thread and
no state for a stage to inherit. A process that has seen CUDA cannot be forked, so with a GPU every stage starts from
scratch.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from meds3core.evolution.stage import PARENT_VARIABLE, PIPE_VARIABLE

SOCKET_VARIABLE = "MEDS3_NURSERY_SOCKET"
MESSAGE_BYTES = 1 << 16


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
        self._codes: dict[int, int] = {}

    def start(self, spec: Path, log: int, pipe: int) -> StageProcess:
        """Fork a stage's process; waits until the nursery has imported everything. Raises `OSError`."""
        socket.send_fds(self._socket, [os.fsencode(spec)], [log, pipe])
        while True:
            answer = self._receive()
            if answer is None:
                raise OSError(f"the process that stages start from has died (exit code {self._process.wait()})")
            if "started" in answer:
                return _Forked(self, answer["started"])

    def exit_code(self, pid: int) -> int | None:
        """Of a stage that was started here."""
        self._socket.setblocking(False)
        try:
            while (answer := self._receive()) is not None:
                continue
        except BlockingIOError:
            pass
        else:
            assert answer is None
            self._codes.setdefault(pid, -9)  # the nursery is dead, and its stages with it
        finally:
            self._socket.setblocking(True)
        return self._codes.get(pid)

    def close(self) -> None:
        """End the nursery, and any stage that still runs."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _receive(self) -> dict[str, int] | None:
        """The next message, exit codes noted; None when the nursery is gone."""
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except ConnectionResetError:
            return None
        if not message:
            return None
        answer: dict[str, int] = json.loads(message)
        if "ended" in answer:
            self._codes[answer["ended"]] = answer["code"]
        return answer


class _Forked:
    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid

    def poll(self) -> int | None:
        """Exit code as the nursery tells it."""
        return self._nursery.exit_code(self.pid)
