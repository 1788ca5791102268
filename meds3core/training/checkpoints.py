"""The working folder of a run, `<out>.work` beside the model folder, and the checkpoints in it.

    run.json          what is trained; the same call continues, another one is refused
    lock              held while a process trains; the kernel frees it when the process dies
    checkpoint-<n>/   the trainer's state after n optimiser steps; whole only with `whole.json` in it
    final/            the model folder while it is being written

A checkpoint counts from the moment its seal (`whole.json`: names and sizes, written after everything else was synced)
is on disk. What a kill left half-written has no seal, or one that does not fit, and is passed over.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from meds3core.errors import ConfigError, UserError

SEAL = "whole.json"
MANIFEST = "run.json"
_PREFIX = "checkpoint-"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint. `seconds` of training and `tokens` seen up to it, over all calls."""

    path: Path
    step: int
    seconds: float
    tokens: int


def work_folder(out: Path) -> Path:
    """Where a run into `out` keeps what it needs until it is finished."""
    return out.with_name(out.name + ".work")


@contextmanager
def claimed(out: Path, manifest: dict[str, Any]) -> Iterator[Path]:
    """The working folder of `out`, made or taken up again, for this process alone.

    Raises `ConfigError` when it belongs to another run or another process is at work in it, `UserError` when it cannot
    be written to.
    """
    work = work_folder(out)
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("a")
    except OSError as error:
        raise UserError(f"{work}: cannot be written ({error.strerror})") from error
    with lock:
        _lock(lock, work)
        _check_manifest(work, manifest)
        yield work


def _lock(file: IO[str], work: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(f"{work}: another process is training into this folder; wait for it or stop it") from None


def _check_manifest(work: Path, wanted: dict[str, Any]) -> None:
    path = work / MANIFEST
    if not path.exists():
        if any(work.glob(_PREFIX + "*")):
            raise ConfigError(f"{work} holds checkpoints but no {MANIFEST}: remove it, or give another output folder")
        write_synced(path, json.dumps(wanted, indent=2) + "\n")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ConfigError(f"{path} is damaged: remove {work}, or give another output folder") from None
    differing = list(_differences(found, wanted))
    if differing:
        raise ConfigError(
            f"{work} holds another unfinished run ({'; '.join(differing[:5])}): the same settings continue it, "
            "removing it starts anew"
        )


def _differences(found: Any, wanted: Any, name: str = "") -> Iterator[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            yield from _differences(found.get(key), wanted.get(key), f"{name}.{key}" if name else key)
    elif found != wanted:
        yield f"{name} there {found!r}, here {wanted!r}"


def newest(work: Path, *, clean: bool) -> Checkpoint | None:
    """The last whole checkpoint. `clean` removes those that are not whole (one process does so)."""
    for path in sorted(work.glob(_PREFIX + "*"), key=_step, reverse=True):
        checkpoint = _sealed(path)
        if checkpoint is not None:
            return checkpoint
        if clean:
            shutil.rmtree(path, ignore_errors=True)
    return None


def seal(checkpoint: Checkpoint, keep: int) -> None:
    """Declare a checkpoint whole, then remove all but the `keep` newest."""
    path, work = checkpoint.path, checkpoint.path.parent
    sizes = {}
    for file in sorted(path.iterdir()):
        sync(file)
        sizes[file.name] = file.stat().st_size
    content = {"step": checkpoint.step, "seconds": checkpoint.seconds, "tokens": checkpoint.tokens, "sizes": sizes}
    write_synced(path / SEAL, json.dumps(content))
    sync(work)
    for old in sorted(work.glob(_PREFIX + "*"), key=_step)[:-keep]:
        # The seal goes first: what is being removed is never mistaken for whole.
        (old / SEAL).unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)


def checkpoint_path(work: Path, step: int) -> Path:
    """Where the trainer writes the checkpoint of a step."""
    return work / f"{_PREFIX}{step}"


def _step(path: Path) -> int:
    number = path.name.removeprefix(_PREFIX)
    return int(number) if number.isdigit() else -1


def _sealed(path: Path) -> Checkpoint | None:
    try:
        content = json.loads((path / SEAL).read_text(encoding="utf-8"))
        if content["step"] != _step(path):
            return None
        if any((path / name).stat().st_size != size for name, size in content["sizes"].items()):
            return None
        return Checkpoint(path, _step(path), float(content["seconds"]), int(content["tokens"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_synced(path: Path, text: str) -> None:
    """Write a small file so that it is there whole or not at all, even after a power cut."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file or a folder to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
