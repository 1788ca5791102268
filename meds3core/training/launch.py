"""Several processes train one model: torchrun starts them, this end passes on what they report and asks them to stop.

The processes run `python -m meds3core.training JOB.json` (which `accelerate launch` may run as well, with its own
settings for FSDP or DeepSpeed). The first of them writes a JSON line per event to stdout, and every one its error. The
end of their stdin means stop: it comes when this end asks, and when it dies.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO, Any

from meds3core.errors import AppError, Cancelled, Meds3Error
from meds3core.progress import CancelToken, NullSink, ProgressEvent, ProgressSink
from meds3core.training.base import TrainingResult
from meds3core.training.methods import TrainJob

STOP_AT_EOF = "MEDS3_STOP_AT_EOF"
"""Set in the environment of launched processes: the end of stdin asks them to stop."""


def launch(
    job: TrainJob, processes: int, *, sink: ProgressSink | None = None, cancel: CancelToken | None = None
) -> TrainingResult:
    """Train with so many processes, each on a GPU of its own, or on the CPU where there is none.

    Raises what the training raises, and `AppError` when a process died.
    """
    sink, cancel = sink or NullSink(), cancel or CancelToken()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.json"
        file.write_text(job.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        with subprocess.Popen(
            [*command, "-m", "meds3core.training", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal reaches this end only, which passes it on
            env={**os.environ, STOP_AT_EOF: "1"},
        ) as process:
            return _follow(process, sink, cancel)


def _follow(process: "subprocess.Popen[str]", sink: ProgressSink, cancel: CancelToken) -> TrainingResult:
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    said: deque[str] = deque(maxlen=40)
    reader = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
    watcher = threading.Thread(target=_pass_on, args=(cancel, process, process.stdin), daemon=True)
    reader.start()
    watcher.start()
    result, errors = None, []
    for line in process.stdout:
        message = _message(line)
        if "event" in message:
            sink.emit(ProgressEvent.model_validate(message["event"]))
        elif "error" in message:
            errors.append(message["error"])
        elif message:
            result = message["result"]
    process.wait()
    reader.join(timeout=5)
    if result is not None:
        return TrainingResult.model_validate(result)
    if errors:
        # Where one process fails, torchrun stops the others, and they say that they were stopped.
        told = next((each for each in errors if each["code"] != Cancelled.code), errors[0])
        raise _errors().get(told["code"], AppError)(told["message"])
    raise AppError("A training process died:\n" + "".join(said))


def _pass_on(cancel: CancelToken, process: "subprocess.Popen[str]", stdin: IO[str]) -> None:
    while process.poll() is None:
        if cancel.cancelled:
            stdin.close()
            return
        time.sleep(0.1)


def _message(line: str) -> dict[str, Any]:
    """A line of ours; anything else that reaches stdout is passed over."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) and message.keys() & {"event", "result", "error"} else {}


def _errors() -> dict[str, type[Meds3Error]]:
    """Every error class by its code."""
    found: dict[str, type[Meds3Error]] = {}
    waiting: list[type[Meds3Error]] = [Meds3Error]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return found
