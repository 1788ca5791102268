"""What a backup is: one tar file with the database, the secrets and the stored files, each with its digest.

The database is copied first and consistently; files come after it, so that whatever its rows name is there (rows that
came later have files that nobody misses). The list of all members, with their digests, is the archive's last member.
"""

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pydantic import Field

from meds3core.errors import AppError, UserError
from meds3core.types.record import Record

LIST = "contents.json"
SQLITE, POSTGRES = "database.sqlite3", "database.pgdump"
FILES, SECRETS = "files", "secrets"
CHUNK = 1 << 20


class BackupError(UserError):
    """The archive, or the place where it is to go, is not as it must be; the message says what to do."""

    code = "backup"


class BackupFailed(AppError):
    """A program that copies the database failed."""

    code = "backup-failed"


class Member(Record):
    """One file of the archive."""

    name: str
    bytes: int
    sha256: str


class Contents(Record):
    """What an archive holds, and what made it."""

    version: int = 1
    made: str = Field(description="UTC, ISO 8601")
    product: str
    database: str = Field(description="sqlite or postgresql")
    with_files: bool
    members: tuple[Member, ...]


class Writer:
    """Writes members into a tar file and remembers their digests. The archive gets its name when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: list[Member] = []
        self._draft = path.with_name(f".{path.name}.partial")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._draft.unlink(missing_ok=True)  # of a backup that was killed, or somebody's link in a shared folder
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, source: Path) -> int:
        """A file; gives its size. One that vanishes meanwhile is left out (0)."""
        try:
            with source.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                reader = _Measured(file, size)
                self._tar.addfile(_entry(name, size), reader)  # type: ignore[arg-type]
        except FileNotFoundError:
            return 0
        self.members.append(Member(name=name, bytes=size, sha256=reader.digest()))
        return size

    def finish(self, contents: Contents) -> None:
        """The list, and the archive's own name."""
        text = contents.model_dump_json(indent=1).encode()
        self._tar.addfile(_entry(LIST, len(text)), io.BytesIO(text))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.replace(self.path)

    def discard(self) -> None:
        """Leave nothing."""
        self._file.close()
        self._draft.unlink(missing_ok=True)


class _Measured:
    """Exactly the announced number of bytes of a file, zeros where it has shrunk meanwhile, with their digest."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        self._hash = hashlib.sha256()

    def read(self, wanted: int = CHUNK) -> bytes:
        wanted = min(wanted, self._left)
        found = self._file.read(wanted)
        found += b"\0" * (wanted - len(found))
        self._left -= len(found)
        self._hash.update(found)
        return found

    def digest(self) -> str:
        return self._hash.hexdigest()


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(time.time())
    return entry


def contents_of(path: Path) -> Contents:
    """What an archive says it holds. Raises `BackupError` for what is no whole archive of ours."""
    try:
        with tarfile.open(path, mode="r:") as tar:
            found = tar.extractfile(LIST)
            if found is None:
                raise KeyError(LIST)
            contents = Contents.model_validate_json(found.read())
    except FileNotFoundError:
        raise BackupError(f"There is no file {path}.") from None
    except (tarfile.TarError, KeyError, ValueError, OSError):
        raise BackupError(f"{path} is no whole backup of MedS3 Studio. Take another one.") from None
    if contents.version != 1:
        raise BackupError(f"{path} was made by a newer version. Restore it with that one.")
    return contents


def unpack(path: Path, contents: Contents, into: Path, *, tell: Callable[[int], None] = lambda done: None) -> None:
    """Every member below `into`, each checked against its digest. Raises `BackupError` for what does not fit."""
    wanted = {member.name: member for member in contents.members}
    done = 0
    with tarfile.open(path, mode="r:") as tar:
        for entry in tar:
            if entry.name == LIST:
                continue
            member = wanted.pop(entry.name, None)
            target = into / entry.name
            plain = entry.isreg() and not entry.issparse()  # holes would unpack to any size
            if member is None or not plain or not _inside(target, into):
                raise BackupError(f"{path} holds {entry.name!r}, which is not in its list. It may have been changed.")
            source = tar.extractfile(entry)
            assert source is not None
            digest = hashlib.sha256()
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for chunk in _chunks(source):  # type: ignore[arg-type]
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != member.sha256:
                raise BackupError(f"{entry.name} in {path} is damaged. Take another backup.")
            done += 1
            tell(done)
    if wanted:
        raise BackupError(f"{path} lacks {len(wanted)} of its files, {next(iter(wanted))} first. Take another backup.")


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _inside(target: Path, folder: Path) -> bool:
    return target.resolve().is_relative_to(folder.resolve())
