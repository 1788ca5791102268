"""Where results lie: one folder per key, finished or not there.

    <store>/<kind>-<key>/         a finished stage: its files and stage.json
    <store>/<kind>-<key>.work/    one that runs or was interrupted; it continues there
    <store>/.locks/<kind>-<key>   held by the process that works on the stage, so two runs may share a store

A folder is renamed when everything in it is on disk. A finished folder is never written to again.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from meds3core.data.write import atomic_text
from meds3core.errors import AppError, Cancelled
from meds3core.progress import CancelToken
from meds3core.types.record import Record

STAGE_FORMAT = "meds3-stage/1"
RECORD = "stage.json"
LOG = "log.txt"
SPEC = "spec.json"
_LOCKS = ".locks"
_LOOK_AGAIN_SECONDS = 0.2
_LEFT_OVER = (".part", ".partial", ".tmp")
"""Ends of the names of files that a killed attempt was writing."""


class StageRecord(Record):
    """What is known of a finished stage: enough to make it again, and what came out."""

    format: str = STAGE_FORMAT
    name: str = Field(description="In the graph that ran it; other graphs may name it otherwise")
    kind: str
    version: int
    key: str
    settings: dict[str, Any]
    inputs: dict[str, tuple[str, ...]] = Field(description="Keys of what was read")
    units: float = 1.0
    seconds: float = Field(ge=0.0, description="Of the attempt that finished it")
    processor_seconds: float = Field(default=0.0, ge=0.0, description="Of its own process, all threads")
    resumed: bool = Field(default=False, description="Whether an earlier attempt had begun it")
    libraries: dict[str, str] = Field(default_factory=dict)
    figures: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, int] = Field(default_factory=dict, description="Size of every file beside this one")


def finished_folder(store: Path, folder: str) -> Path:
    """Of a stage that is done."""
    return store / folder


def work_folder(store: Path, folder: str) -> Path:
    """Of a stage that is not."""
    return store / f"{folder}.work"


def read_record(store: Path, folder: str, key: str) -> StageRecord | None:
    """The record of a finished stage whose files are all there; None when there is none to rely on.

    Raises `AppError` when the folder belongs to another key.
    """
    path = finished_folder(store, folder)
    try:
        record = StageRecord.model_validate_json((path / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None
    if record.key != key:
        raise AppError(f"{path} holds the result of another stage whose key begins alike")
    for name, size in record.files.items():
        try:
            if (path / name).stat().st_size != size:
                return None
        except OSError:
            return None
    return record


def finish(store: Path, folder: str, record: StageRecord) -> StageRecord:
    """Sync what lies in the work folder, add `stage.json` and give the folder its final name."""
    work = work_folder(store, folder)
    (work / SPEC).unlink(missing_ok=True)
    sizes = {}
    for file in sorted(path for path in work.rglob("*") if path.is_file()):
        name = file.relative_to(work).as_posix()
        if file.name.endswith(_LEFT_OVER):
            file.unlink()
            continue
        if name == RECORD:
            continue
        _sync(file)
        if name != LOG:  # the process may still add a line
            sizes[name] = file.stat().st_size
    complete = record.model_copy(update={"files": sizes})
    with atomic_text(work / RECORD) as target:
        target.write(json.dumps(complete.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
    _sync(work)
    target_folder = finished_folder(store, folder)
    if target_folder.exists():
        # Not relied upon (see read_record): something in it was lost or changed.
        shutil.rmtree(target_folder)
    work.rename(target_folder)
    _sync(store)
    return complete


@contextmanager
def stage_lock(store: Path, folder: str, cancel: CancelToken) -> Iterator[None]:
    """Held while working on a stage; the system gives it back on any death.

    Waits for another process that works on the same stage; raises `Cancelled` when asked to stop meanwhile.
    """
    locks = store / _LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / folder).open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancel.cancelled:
                    raise Cancelled("stopped while another run works on the same stage") from None
                time.sleep(_LOOK_AGAIN_SECONDS)
        yield


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
