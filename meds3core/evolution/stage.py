"""The process of one stage: `python -m meds3core.evolution.stage <spec.json>`.

It dies with the process that started it, takes SIGTERM as the wish to stop at the next safe point (exit code 130), and
reports over a pipe, one JSON object a line. What it has done so far lies in its work folder, where the next attempt
continues, after SIGTERM as after SIGKILL.
"""

import ctypes
import errno
import json
import logging
import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from meds3core.errors import AppError, Cancelled, Meds3Error, UserError
from meds3core.evolution.store import LOG, SPEC, StageRecord, finish, read_record, stage_lock, work_folder
from meds3core.progress import CancelToken, ProgressEvent, ProgressSink
from meds3core.types.record import Record

PIPE_VARIABLE = "MEDS3_STAGE_PIPE"
PARENT_VARIABLE = "MEDS3_STAGE_PARENT"
DONE, FAILED = "stage-done", "stage-failed"

_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "vllm", "numpy", "scipy", "scikit-learn")
_PR_SET_PDEATHSIG = 1


class DiskFull(UserError):
    """No space is left where the results go; what is finished stays."""

    code = "disk-full"


class StageSpec(Record):
    """All that a stage's process must know."""

    name: str
    kind: str
    version: int
    key: str
    implementation: str
    settings_type: str
    settings: dict[str, Any]
    units: float
    inputs: dict[str, tuple[Path, ...]]
    input_keys: dict[str, tuple[str, ...]]
    store: Path
    folder: str


@dataclass(frozen=True, slots=True)
class StageJob:
    """What an implementation is given besides its settings."""

    name: str
    folder: Path
    """To work in; holds what an interrupted attempt left."""
    inputs: Mapping[str, tuple[Path, ...]]
    sink: ProgressSink
    cancel: CancelToken

    def path(self, name: str) -> Path:
        """The one file or folder that is this input."""
        (path,) = self.inputs[name]
        return path

    def paths(self, name: str) -> tuple[Path, ...]:
        """All files or folders of an input; none when it was not given."""
        return self.inputs.get(name, ())

    def check(self) -> None:
        """Raise `Cancelled` if somebody asked to stop."""
        if self.cancel.cancelled:
            raise Cancelled("stopped")


class PipeSink:
    """Writes events to a pipe; forgets them once nobody reads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def emit(self, event: ProgressEvent) -> None:
        """Write one line."""
        line = (event.model_dump_json() + "\n").encode()
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError:
                return


def run_stage(spec: StageSpec, sink: ProgressSink, cancel: CancelToken) -> StageRecord:
    """Do the work unless it is done, and return its record. Raises what the implementation raised."""
    with stage_lock(spec.store, spec.folder, cancel):
        found = read_record(spec.store, spec.folder, spec.key)
        if found is not None:  # by another run, while this one waited
            return found
        work = work_folder(spec.store, spec.folder)
        resumed = any(True for file in work.iterdir() if file.name not in (SPEC, LOG))
        started, processor = time.monotonic(), time.process_time()
        settings = _load(spec.settings_type).model_validate(spec.settings)
        job = StageJob(spec.name, work, spec.inputs, sink, cancel)
        job.check()
        figures = _load(spec.implementation)(settings, job)
        record = StageRecord(
            name=spec.name,
            kind=spec.kind,
            version=spec.version,
            key=spec.key,
            settings=spec.settings,
            inputs=spec.input_keys,
            units=spec.units,
            seconds=round(time.monotonic() - started, 3),
            processor_seconds=round(time.process_time() - processor, 3),
            resumed=resumed,
            libraries=_versions(),
            figures=json.loads(json.dumps(figures, allow_nan=False)),
        )
        return finish(spec.store, spec.folder, record)


def run_process(spec_path: Path, pipe: int, parent: int) -> int:
    """What the stage's process does from beginning to end; returns its exit code."""
    die_with(parent)
    cancel = CancelToken()
    signal.signal(signal.SIGTERM, lambda *_: cancel.cancel())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that supervises us
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sink = PipeSink(pipe)
    try:
        spec = StageSpec.model_validate_json(spec_path.read_bytes())
        record = run_stage(spec, sink, cancel)
        sink.emit(ProgressEvent(kind=DONE, data={"seconds": record.seconds}))
        return 0
    except Exception as error:
        failure = explained(error)
        if not isinstance(failure, (UserError, Cancelled)):
            traceback.print_exc()
        data = {"code": failure.code, "user": isinstance(failure, UserError), "reason": str(failure)}
        sink.emit(ProgressEvent(kind=FAILED, data=data))
        return failure.exit_code


def explained(error: Exception) -> Meds3Error:
    """Any error as one of ours; without values that a foreign message may quote."""
    if isinstance(error, Meds3Error):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("no space is left on the disk; free some, then the same command continues")
    if isinstance(error, MemoryError):
        return AppError("the memory did not suffice")
    place = traceback.extract_tb(error.__traceback__)[-1]
    return AppError(f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}")


def die_with(parent: int) -> None:
    """Ask the system to kill this process when the given one, its parent, dies; exit at once if that has happened."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def main() -> None:
    """Entry point of the process."""
    code = run_process(Path(sys.argv[1]), int(os.environ[PIPE_VARIABLE]), int(os.environ[PARENT_VARIABLE]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of engines must not keep a finished stage alive.
    os._exit(code)


if __name__ == "__main__":
    main()
