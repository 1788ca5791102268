"""The process that stages are forked off: `python -m meds3core.evolution.nursery MODULE…` (see `processes`).

Over its socket come the spec of a stage, with the descriptors of its log and its pipe; back go `ready`, `started` and
`ended`. It has one thread, so that forking is safe.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from meds3core.evolution.processes import MESSAGE_BYTES, SOCKET_VARIABLE
from meds3core.evolution.stage import PARENT_VARIABLE, die_with, run_process


def main() -> None:
    """Import, then fork on request until the other side closes the socket or dies."""
    die_with(int(os.environ[PARENT_VARIABLE]))
    for module in sys.argv[1:]:
        with suppress(Exception):  # the stage that needs it says so better
            import_module(module)
    gc.freeze()  # what is shared stays shared: the collector would write to every object of it
    channel = socket.socket(fileno=int(os.environ[SOCKET_VARIABLE]))
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    channel.send(json.dumps({"ready": os.getpid()}).encode())
    while True:
        readable, _, _ = select.select([channel.fileno(), woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _report_ended(channel)
        if channel.fileno() in readable:
            message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 2)
            if not message:
                return
            _fork(channel, Path(os.fsdecode(message)), *descriptors, keep_out=(woken, waker))


def _fork(channel: socket.socket, spec: Path, log: int, pipe: int, *, keep_out: tuple[int, int]) -> None:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            channel.close()
            for descriptor in keep_out:
                os.close(descriptor)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
            code = run_process(spec, pipe, parent)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    with suppress(OSError):  # either side may be first
        os.setpgid(pid, pid)
    os.close(log)
    os.close(pipe)
    channel.send(json.dumps({"started": pid}).encode())


def _report_ended(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        channel.send(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


if __name__ == "__main__":
    main()
