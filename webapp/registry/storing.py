"""Files of models on disk: taken over from a job's folder under a temporary name, hashed, synced, then renamed."""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from meds3core.errors import UserError
from webapp.common.files import Store, folder_of

READ_BYTES = 1 << 20


class RegistryError(UserError):
    """Something of the registry is not as it must be, or depends on what was to go; the message says what to do."""

    code = "registry"


@dataclass(frozen=True)
class Stored:
    """The files of a folder, with one digest over their names and digests."""

    files: list[dict[str, Any]]
    """`name` (parts joined by `/`), `bytes` and `sha256` of each, by name."""
    bytes: int
    content_hash: str


def files_in(folder: Path) -> list[Path]:
    """Every file below a folder, by name. Raises `RegistryError` for links and whatever else is no plain file."""
    found = []
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise RegistryError(f"{path.relative_to(folder)} is no plain file. A model holds plain files only.")
        found.append(path)
    return found


def folder_digest(folder: Path) -> Stored:
    """Names, sizes and digests of what lies in a folder."""
    return _stored([_entry(path, path.relative_to(folder).as_posix()) for path in files_in(folder)])


def folder_take_over(
    source: Path, model_id: UUID, *, copy: bool = False, still: Callable[[], object] = lambda: None
) -> Stored:
    """Put the files of `source` into the model's folder; `source` stays as it is.

    On one file system files are linked unless `copy` says otherwise: a job does not write into what it gave away.
    `still` raises when somebody else has taken the model over meanwhile; theirs is not touched then.
    """
    final = folder_of(Store.MODELS, model_id)
    draft = final.with_name(f".{final.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        entries = []
        for path in files_in(source):
            name = path.relative_to(source)
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if copy or not _linked(path, target):
                shutil.copyfile(path, target)
            entries.append(_entry(target, name.as_posix()))
        if not entries:
            raise RegistryError("The folder of the model is empty.")
        for folder in [*(path for path in draft.rglob("*") if path.is_dir()), draft]:
            _sync(folder)
        still()
        _clear(final, but=draft)  # of an attempt that did not come to its end
        draft.replace(final)
        _sync(final.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return _stored(entries)


def folder_remove(model_id: UUID) -> None:
    """Remove a model's files: out of sight first, so that nobody meets half of them."""
    final = folder_of(Store.MODELS, model_id)
    gone = final.with_name(f".{final.name}.gone")
    if final.exists() and not gone.exists():
        final.replace(gone)
    _clear(final)


def is_whole(model_id: UUID, files: Sequence[dict[str, Any]]) -> bool:
    """Whether every file is there with its size."""
    folder = folder_of(Store.MODELS, model_id)
    try:
        return all((folder / each["name"]).stat().st_size == each["bytes"] for each in files)
    except OSError:
        return False


def _clear(final: Path, but: Path | None = None) -> None:
    for folder in [final, *final.parent.glob(f".{final.name}.*")]:
        if folder != but:
            shutil.rmtree(folder, ignore_errors=True)


def _linked(path: Path, target: Path) -> bool:
    try:
        os.link(path, target)
    except OSError:  # another file system, or one without links
        return False
    return True


def _entry(path: Path, name: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(READ_BYTES):
            digest.update(chunk)
            size += len(chunk)
        os.fsync(stream.fileno())
    return {"name": name, "bytes": size, "sha256": digest.hexdigest()}


def _stored(entries: list[dict[str, Any]]) -> Stored:
    ordered = sorted(entries, key=lambda each: str(each["name"]))
    digest = hashlib.sha256()
    for each in ordered:
        digest.update(f"{each['sha256']} {each['name']}\n".encode())
    return Stored(ordered, sum(int(each["bytes"]) for each in ordered), digest.hexdigest())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
