"""A folder of results, one line for each question, whose making can be stopped anywhere and continued.

    NAME.json            what the results are made with: the same call continues, another one is refused;
                         `finished` in it is null until all is there, then holds the content hash and a summary
    LINES.partial.jsonl  results in order of arrival, while the run is not finished
    failures.jsonl       questions without a result, with the reason
    LINES.jsonl          all results in question order, written at the end; byte for byte what an undisturbed run writes

A result counts from the moment its whole line is on disk; a line cut by a crash is dropped and made again.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from meds3core.errors import ConfigError, UserError
from meds3core.types.record import Record

FAILURES = "failures.jsonl"


class QuestionFailure(Record):
    """A question without a result. `reason` holds no question text."""

    id: str
    code: str
    reason: str


class ResultFileError(UserError):
    """A folder of results cannot be read. The message names the file and the line, never a text."""

    code = "result-file"


@dataclass(frozen=True, slots=True)
class FolderForm:
    """How a kind of run names its files and tells its lines apart."""

    manifest: str
    """File name, e.g. `samples.json`."""
    lines: str
    """File name, e.g. `samples.jsonl`."""
    noun: str
    """What a line is, in messages: `samples`."""
    key_of: Callable[[Any], str]
    """The question's id in a parsed line; may raise KeyError or TypeError."""
    may_grow: tuple[str, ...] = ()
    """Dotted names of numbers in the manifest that a later call may raise (never lower)."""

    @property
    def partial(self) -> str:
        """Name of the file of an unfinished run."""
        return self.lines.removesuffix(".jsonl") + ".partial.jsonl"


Admit = Callable[[int, Any], bool]
"""Given a question's position and its parsed line: is it all that is wanted (True), or a beginning (False)?

Raises `ConfigError` when the line belongs to a question that has changed.
"""


class RunFolder:
    """A run's folder while it is written. One writer at a time."""

    def __init__(
        self, folder: Path, form: FolderForm, identity: dict[str, Any], keys: Sequence[str], admit: Admit
    ) -> None:
        self.folder = folder
        self.form = form
        self.identity = identity
        """What the results are made with, as plain JSON."""
        self.keys = keys
        """Question ids, in question order."""
        self.failures: dict[int, QuestionFailure] = {}
        self._admit = admit
        self._positions = {key: position for position, key in enumerate(keys)}
        self._done: dict[int, tuple[int, int]] = {}
        self._begun: dict[int, tuple[int, int]] = {}
        self._partial: BinaryIO | None = None
        self._synced = 0.0
        if len(self._positions) != len(keys):
            raise UserError(f"two questions share an id; ids must be unique within a set of {form.noun}")

    @property
    def done(self) -> int:
        """How many results are on disk."""
        return len(self._done)

    @property
    def finished(self) -> bool:
        """Whether the folder already holds exactly what is wanted."""
        return self._partial is None

    def open(self, *, retry_failed: bool = False) -> None:
        """Claim the folder and read what an earlier call left in it. Raises `ConfigError` when it is another run's."""
        with _told_to_the_user(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        found = self._check_manifest()
        partial, lines = self.folder / self.form.partial, self.folder / self.form.lines
        if not retry_failed:
            self._read_failures()
        if lines.exists() and not partial.exists():
            with lines.open("rb") as file:
                self._read_lines(file)
            if found.get("finished") and not self.missing() and not self._differs(found):
                return
            # A finished run asked for more: its results are the beginning. Copied, so that the finished file stays
            # until the new one replaces it.
            _copy(lines, partial)
        self._write_manifest(None)
        self._done, self._begun = {}, {}
        self._partial = partial.open("a+b")
        self._read_lines(self._partial, cut=True)
        if not retry_failed:
            self._read_failures()

    def missing(self) -> list[int]:
        """Positions of the questions that have neither result nor recorded failure, in question order."""
        return [p for p in range(len(self.keys)) if p not in self._done and p not in self.failures]

    def beginning(self, position: int) -> Any | None:
        """The parsed line of a question whose result is only a beginning."""
        if position not in self._begun or self._partial is None:
            return None
        start, length = self._begun[position]
        self._partial.seek(start)
        return json.loads(self._partial.read(length))

    def keep(self, position: int, line: str) -> None:
        """Put a result on disk; `line` is JSON without a line end."""
        assert self._partial is not None
        data = (line + "\n").encode()
        with _told_to_the_user(self.folder):
            start = self._partial.seek(0, os.SEEK_END)
            self._partial.write(data)
            # A killed process loses nothing that was flushed; only a power cut needs more: at most a second is lost.
            self._partial.flush()
            if time.monotonic() - self._synced > 1.0:
                os.fsync(self._partial.fileno())
                self._synced = time.monotonic()
        self._done[position] = (start, len(data))

    def keep_failure(self, position: int, failure: QuestionFailure) -> None:
        """Record that a question has no result."""
        self.failures[position] = failure
        self._write_failures()

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the results in question order, then the manifest with content hash and summary; drop the partial."""
        if self._partial is None:
            return
        digest = hashlib.blake2b(digest_size=16)
        temporary = self.folder / (self.form.lines + ".tmp")
        with _told_to_the_user(self.folder), temporary.open("wb") as target:
            for position in sorted(self._done):
                start, length = self._done[position]
                self._partial.seek(start)
                line = self._partial.read(length)
                digest.update(line)
                target.write(line)
            target.flush()
            os.fsync(target.fileno())
        self._write_failures()
        temporary.replace(self.folder / self.form.lines)
        self._write_manifest({"content_hash": digest.hexdigest(), "failures": len(self.failures), **summary})
        (self.folder / self.form.partial).unlink()

    def close(self) -> None:
        """Close the partial file."""
        if self._partial is not None:
            with suppress(OSError):  # a full disk was told about when it was written to
                self._partial.close()

    def _check_manifest(self) -> dict[str, Any]:
        path = self.folder / self.form.manifest
        if not path.exists():
            foreign = [name for name in (self.form.partial, self.form.lines) if (self.folder / name).exists()]
            if foreign:
                raise ConfigError(
                    f"{self.folder} holds {foreign[0]} but no {self.form.manifest}: give another --out folder"
                )
            self._write_manifest(None)
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            assert isinstance(found, dict)
        except (ValueError, AssertionError):
            raise ConfigError(f"{path} is damaged: give another --out folder") from None
        differences = [
            f"{name} there {there!r}, here {here!r}"
            # Hashes last: what differs is mostly named itself.
            for name, there, here in sorted(self._differs(found), key=lambda found: found[0].endswith("_hash"))
            if not (name in self.form.may_grow and isinstance(there, int) and here > there)
        ]
        if differences:
            raise ConfigError(
                f"{self.folder} holds other {self.form.noun} ({'; '.join(differences[:5])}): give another --out "
                "folder, or the same settings to continue"
            )
        return found

    def _differs(self, found: dict[str, Any]) -> list[tuple[str, Any, Any]]:
        return list(differences({k: v for k, v in found.items() if k != "finished"}, self.identity))

    def _write_manifest(self, finished: dict[str, Any] | None) -> None:
        content = {**self.identity, "finished": finished}
        write_atomically(
            self.folder / self.form.manifest, json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        )

    def _read_lines(self, file: BinaryIO, *, cut: bool = False) -> None:
        start = file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                row = json.loads(line)
                key = self.form.key_of(row)
            except (ValueError, KeyError, TypeError):
                break
            position = self._positions.get(key)
            if position is None:
                raise ConfigError(
                    f"{self.folder} holds {self.form.noun} of questions that were not asked for now: give all its "
                    "questions again, or another --out folder"
                )
            kind = self._done if self._admit(position, row) else self._begun
            kind[position] = (start, len(line))
            start += len(line)
        if cut:
            # What follows the last whole line was cut by a crash; the next result must not be glued to it.
            file.truncate(start)

    def _read_failures(self) -> None:
        for failure in read_failures(self.folder):
            position = self._positions.get(failure.id)
            if position is not None and position not in self._done:
                self.failures[position] = failure

    def _write_failures(self) -> None:
        path = self.folder / FAILURES
        if not self.failures:
            path.unlink(missing_ok=True)
            return
        write_atomically(path, "".join(self.failures[p].model_dump_json() + "\n" for p in sorted(self.failures)))


def read_failures(folder: Path) -> tuple[QuestionFailure, ...]:
    """The questions of a run without a result."""
    path = folder / FAILURES
    if not path.exists():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(QuestionFailure.model_validate_json(line) for line in lines)


def read_finished(folder: Path, form: FolderForm) -> tuple[dict[str, Any], list[bytes]]:
    """Manifest and lines of a finished run, checked against its content hash.

    Raises `ResultFileError`: no such run, not finished, or changed since it was written.
    """
    path = folder / form.manifest
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        finished = manifest["finished"]
    except OSError as error:
        raise ResultFileError(f"{path}: cannot be read ({error.strerror}); is this a folder of {form.noun}?") from None
    except (ValueError, KeyError, TypeError):
        raise ResultFileError(f"{path}: damaged; make the {form.noun} again in another folder") from None
    if not finished:
        raise ResultFileError(f"{folder}: the {form.noun} are not finished; give the command that began them again")
    try:
        data = (folder / form.lines).read_bytes()
    except OSError as error:
        raise ResultFileError(f"{folder / form.lines}: cannot be read ({error.strerror})") from None
    if hashlib.blake2b(data, digest_size=16).hexdigest() != finished["content_hash"]:
        raise ResultFileError(f"{folder / form.lines}: changed since it was written; make it again in another folder")
    return manifest, data.splitlines()


def differences(found: Any, wanted: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted name, value found and value wanted of every difference between two JSON values."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            yield from differences(found.get(key), wanted.get(key), f"{name}.{key}" if name else key)
    elif found != wanted:
        yield name, found, wanted


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    # One temporary name, unlike data.write.atomic_text's: what a killed call left behind, the next one writes over.
    temporary = path.with_name(path.name + ".tmp")
    with _told_to_the_user(path), temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def _told_to_the_user(path: Path) -> Iterator[None]:
    """A full disk or a folder without permission is the user's to mend; what is on disk stays usable."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); mend it and give the command again") from error


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_name(target.name + ".tmp")
    with _told_to_the_user(target), source.open("rb") as reader, temporary.open("wb") as writer:
        while block := reader.read(1 << 20):
            writer.write(block)
    temporary.replace(target)
