"""Writes of uploads: announce files, send them in chunks, complete, discard; and remove what nobody came back for.

The web process stores bytes and never looks into them. What is on disk beyond `UploadFile.received` is not there: it is
overwritten by the next chunk. A chunk is written under a lock of the file's own, so that two senders cannot mix theirs.
"""

import fcntl
import hashlib
import hmac
import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from meds3core.errors import UserError
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.files import Store, folder_of
from webapp.uploads.models import Upload, UploadFile
from webapp.uploads.names import display_name
from webapp.uploads.selectors import bytes_announced, is_in_use, open_uploads, uploads_expired

ACTION_OF: Mapping[str, Action] = {
    Upload.Purpose.DATASET: Action.DATASET_CHANGE,
    Upload.Purpose.MODEL: Action.MODEL_CHANGE,
    Upload.Purpose.JUDGEMENTS: Action.QUEUE_CHANGE,
}
"""What a person must be allowed to do to send files for a purpose."""

MOST_FILES: Mapping[str, int] = {Upload.Purpose.DATASET: 1, Upload.Purpose.MODEL: 200, Upload.Purpose.JUDGEMENTS: 1}

CHECK_SECONDS = 10.0
"""So long one request may compare digests; the sender asks again for the rest."""

_PIECE = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class UploadError(UserError):
    """An upload, or a chunk of it, is not taken; the message says why and what to do."""

    code = "upload"


class WrongOffset(UploadError):
    """The chunk does not begin where the last one ended. `received` says where to go on."""

    code = "upload-offset"

    def __init__(self, message: str, received: int) -> None:
        super().__init__(message)
        self.received = received


class Announced(Protocol):
    """A file that is about to be sent."""

    name: str
    size: int
    sha256: str
    modified: int | None


@dataclass(frozen=True)
class AnnouncedFile:
    """As `Announced`, for callers without a schema of their own."""

    name: str
    size: int
    sha256: str = ""
    modified: int | None = None


def upload_create(*, actor: Actor, team: Team, purpose: str, files: Sequence[Announced]) -> Upload:
    """Announce files. Nothing is on disk until the first chunk. Raises `UploadError`."""
    kind = Upload.Purpose(purpose)
    names = [display_name(file.name) for file in files]
    _check_announced(kind, files, names)
    if open_uploads(team=team).count() >= settings.UPLOADS_OPEN:
        raise UploadError(
            f"The team has {settings.UPLOADS_OPEN} unfinished uploads. Finish or discard one of them first."
        )
    _check_disk(sum(file.size for file in files))
    with transaction.atomic():
        upload = Upload.objects.create(team=team, purpose=kind, created_by=actor.user, expires=_expiry())
        UploadFile.objects.bulk_create(
            UploadFile(upload=upload, name=name, size=file.size, sha256=file.sha256.lower(), modified=file.modified)
            for name, file in zip(names, files, strict=True)
        )
        audit_write(actor=actor, verb="upload.created", team=team, subject=str(upload.pk), purpose=purpose)
    return upload


def chunk_store(*, file: UploadFile, offset: int, content: BinaryIO) -> UploadFile:
    """Store what `content` holds behind the bytes that are there; gives the file with its new count.

    Raises `WrongOffset` when it does not begin there, `UploadError` for what is too long or comes too late.
    """
    if file.upload.state != Upload.State.RECEIVING:
        raise UploadError("This upload is complete; it takes no more bytes.")
    folder = folder_of(Store.UPLOADS, file.upload_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        number = os.open(folder / str(file.pk), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        raise UploadError("This upload was discarded. Begin again.") from None
    try:
        _lock(number, file)
        file.refresh_from_db(fields=["received"])
        if offset != file.received:
            raise WrongOffset(f"The next byte is {file.received:,}, not {offset:,}.", file.received)
        _check_disk(0)
        count = _write(number, offset, content, room=min(file.size - offset, settings.UPLOAD_CHUNK_BYTES))
        # Under the lock nobody else moves the count; the condition guards against an upload discarded meanwhile.
        rows = UploadFile.objects.filter(pk=file.pk, received=offset, upload__state=Upload.State.RECEIVING)
        with transaction.atomic():
            if not rows.update(received=offset + count):
                raise UploadError("This upload was discarded. Begin again.")
            Upload.objects.filter(pk=file.upload_id).update(expires=_expiry())
    except OSError as error:
        raise UploadError(
            f"The server could not store this part ({error.strerror}). Try again, or tell the operator."
        ) from error
    finally:
        os.close(number)  # gives the lock back
    file.received = offset + count
    return file


def upload_complete(*, actor: Actor, upload: Upload) -> Upload:
    """Every byte is there and every announced digest fits; from now on jobs may use it.

    Long files are compared for `CHECK_SECONDS` a call: while the state is still `receiving`, call again. Raises
    `UploadError` when bytes are missing, or a digest differs: that file is then to be sent anew.
    """
    if upload.state == Upload.State.COMPLETE:
        return upload
    files = list(upload.files.order_by("id"))
    missing = [file for file in files if file.received < file.size]
    if missing:
        first = missing[0]
        raise UploadError(f"{first.name}: {first.received:,} of {first.size:,} bytes are here. Send the rest first.")
    begun = time.monotonic()
    for file in files:
        if file.checked:
            continue
        if time.monotonic() - begun > CHECK_SECONDS:
            return upload
        _check_file(upload, file)
    with transaction.atomic():
        if Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
            state=Upload.State.COMPLETE, expires=_expiry()
        ):
            audit_write(actor=actor, verb="upload.completed", team=upload.team, subject=str(upload.pk))
    upload.refresh_from_db()
    return upload


def upload_discard(*, actor: Actor, upload: Upload) -> None:
    """Remove it with its files. Raises `UploadError` while a job uses it."""
    if is_in_use(upload_id=upload.pk):
        raise UploadError("A job uses this upload. Cancel the job, or wait for its end.")
    with transaction.atomic():
        audit_write(actor=actor, verb="upload.discarded", team=upload.team, subject=str(upload.pk))
        Upload.objects.filter(pk=upload.pk).delete()
    _remove(folder_of(Store.UPLOADS, upload.pk))


def upload_kept(*, upload_id: UUID) -> None:
    """Somebody did something with it: it stays for another `UPLOAD_HOURS`."""
    Upload.objects.filter(pk=upload_id).update(expires=_expiry())


def uploads_sweep() -> int:
    """Remove uploads that nobody came back for, and files of uploads that are gone; gives how many.

    Called by the sweep (workers.sweep) now and then. What a job still uses stays.
    """
    gone = 0
    for upload in uploads_expired():
        if is_in_use(upload_id=upload.pk):
            continue
        if Upload.objects.filter(pk=upload.pk, expires__lt=timezone.now()).delete()[0]:
            _remove(folder_of(Store.UPLOADS, upload.pk))
            gone += 1
    return gone + _remove_ownerless()


def _remove_ownerless() -> int:
    """Folders without a row: a process died between the two."""
    root = folder_of(Store.UPLOADS, UUID(int=0)).parent
    if not root.is_dir():
        return 0
    folders = {_id(entry.name): entry for entry in root.iterdir() if entry.is_dir()}
    known = set(Upload.objects.filter(pk__in=[key for key in folders if key]).values_list("pk", flat=True))
    ownerless = [folder for key, folder in folders.items() if key and key not in known]
    _remove(*ownerless)
    return len(ownerless)


def _id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # what is left is removed by the next sweep


def _expiry() -> object:
    return timezone.now() + timedelta(hours=settings.UPLOAD_HOURS)


# --- checks --------------------------------------------------------------------------------------------------------


def _check_announced(kind: Upload.Purpose, files: Sequence[Announced], names: Iterable[str]) -> None:
    most = MOST_FILES[kind]
    if not files or len(files) > most:
        raise UploadError("Send one file at a time." if most == 1 else f"Send between 1 and {most} files.")
    seen: set[str] = set()
    for name, file in zip(names, files, strict=True):
        if name in seen:
            raise UploadError(f"Two of the files are called {name}.")
        seen.add(name)
        if file.size < 1:
            raise UploadError(f"{name} is empty.")
        if file.sha256 and not _SHA256.fullmatch(file.sha256.lower()):
            raise UploadError(f"{name}: a SHA-256 digest has 64 hexadecimal digits.")
    total = sum(file.size for file in files)
    limit = settings.UPLOAD_MODEL_BYTES if kind == Upload.Purpose.MODEL else settings.UPLOAD_BYTES
    if total > limit:
        raise UploadError(f"That is {_size(total)}; at most {_size(limit)} are taken. Split it, or ask the operator.")


def _check_disk(more: int) -> None:
    """There is room for what others announced, for `more`, and for the reserve."""
    root = Path(settings.FILES)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = more + (bytes_announced() if more else 0) + settings.DISK_RESERVE_BYTES
    if shutil.disk_usage(root).free < wanted:
        raise UploadError("The server's disk has no room for this. Tell the operator, or send a smaller file.")


def _check_file(upload: Upload, file: UploadFile) -> None:
    path = folder_of(Store.UPLOADS, upload.pk) / str(file.pk)
    try:
        fits = path.stat().st_size == file.size and (not file.sha256 or _digest_fits(path, file.sha256))
    except OSError as error:
        raise UploadError(f"{file.name} cannot be read on the server ({error.strerror}). Send it again.") from error
    if not fits:
        UploadFile.objects.filter(pk=file.pk).update(received=0)
        path.unlink(missing_ok=True)
        raise UploadError(f"{file.name} did not arrive as it was announced: its digest differs. Send it again.")
    UploadFile.objects.filter(pk=file.pk).update(checked=True)


def _digest_fits(path: Path, wanted: str) -> bool:
    with path.open("rb") as content:
        return hmac.compare_digest(hashlib.file_digest(content, "sha256").hexdigest(), wanted)


def _lock(number: int, file: UploadFile) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WrongOffset("Another part of this file is being stored just now.", file.received) from None


def _write(number: int, offset: int, content: BinaryIO, *, room: int) -> int:
    """Write all of `content`, which may hold `room` bytes at most; gives how many it held."""
    count = 0
    while piece := content.read(_PIECE):
        if count + len(piece) > room:
            raise UploadError("More bytes came than were announced for this file or fit into one part.")
        view = memoryview(piece)
        while view:
            written = os.pwrite(number, view, offset + count)
            count += written
            view = view[written:]
    if not count:
        raise UploadError("The part is empty.")
    os.fdatasync(number)  # before it is counted: a power cut must not leave a hole that nobody sees
    return count


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
