"""Reads an uploaded file in a process of its own under limits (workers.limited), as a stream of its rows.

The job's process, which has the database, never opens the file. What the limited process may do wrong (run out of
memory, hang, crash inside a format's library) ends it alone and becomes a message for the person who sent the file.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from meds3core.data.preview import FilePreview
from meds3core.data.records import ColumnMapping
from meds3core.data.rows import RowError
from meds3core.errors import Cancelled, UserError
from meds3core.progress import CancelToken
from meds3core.types.judgements import StepJudgement
from meds3core.types.question import Question
from workers.limited import Limits, limited_process

PREVIEW_SHARE = 60
"""A preview may take so many times less of the processor than an import."""

_LOOK_SECONDS = 0.2
_PIECE = 1 << 18


class FileRefused(UserError):
    """The uploaded file cannot be read; the message says why, without its content."""

    code = "question-file"


@dataclass(frozen=True, slots=True)
class Place:
    """How far the reading is: bytes of the file."""

    bytes: int


Item = Question | RowError | Place


def preview(path: Path, *, stem: str, mapping: ColumnMapping | None, cancel: CancelToken) -> FilePreview:
    """The file's beginning. Raises `FileRefused`, `Cancelled`."""
    seconds = settings.IMPORT_SECONDS / PREVIEW_SHARE
    with _reader("preview", path, stem, mapping, 0, seconds, cancel, patience=2 * seconds) as lines:
        for sign, body in lines:
            if sign == b"V":
                return FilePreview.model_validate_json(body)
    raise FileRefused("The file could not be looked at.")


def rows(path: Path, *, stem: str, mapping: ColumnMapping | None, skip: int, cancel: CancelToken) -> Iterator[Item]:
    """Every row behind the first `skip`, and now and then the place in the file. Raises `FileRefused`, `Cancelled`."""
    with _reader("rows", path, stem, mapping, skip, settings.IMPORT_SECONDS, cancel) as lines:
        for sign, body in lines:
            if sign == b"Q":
                yield Question.model_validate_json(body)
            elif sign == b"E":
                yield RowError.model_validate_json(body)
            elif sign == b"P":
                yield Place(int(body))


def judgements(
    path: Path, *, form: str | None, skip: int, cancel: CancelToken
) -> Iterator[StepJudgement | RowError | Place]:
    """What a file of judgements holds behind the first `skip`. Raises `FileRefused`, `Cancelled`."""
    with _reader("judgements", path, "", None, skip, settings.IMPORT_SECONDS, cancel, form=form) as lines:
        for sign, body in lines:
            if sign == b"J":
                yield StepJudgement.model_validate_json(body)
            elif sign == b"E":
                yield RowError.model_validate_json(body)
            elif sign == b"P":
                yield Place(int(body))


@contextmanager
def _reader(
    what: str,
    path: Path,
    stem: str,
    mapping: ColumnMapping | None,
    skip: int,
    seconds: float,
    cancel: CancelToken,
    patience: float | None = None,
    form: str | None = None,
) -> Iterator[Iterator[tuple[bytes, bytes]]]:
    order = {"what": what, "path": str(path.resolve()), "stem": stem, "skip": skip, "form": form}
    given = json.dumps(order | {"mapping": mapping.model_dump(mode="json") if mapping else None})
    memory = settings.IMPORT_MEMORY_BYTES
    # A Parquet file is mapped: its size is address space, not memory.
    size = path.stat().st_size if path.exists() else 0
    limits = Limits(data_bytes=memory, address_bytes=2 * memory + size, seconds=seconds)
    with limited_process("workers.read_file", given=given, limits=limits) as child:
        yield _told(child, cancel, patience)


def _told(
    child: "subprocess.Popen[bytes]", cancel: CancelToken, patience: float | None
) -> Iterator[tuple[bytes, bytes]]:
    """What the reader says, sign and body, until it says that it is done. Raises `FileRefused` when it cannot go on."""
    for line in _lines(child, cancel, patience):
        sign, body = line[:1], line[1:]
        if sign == b".":
            return
        if sign == b"!":
            raise FileRefused(json.loads(body))
        yield sign, body
    if child.wait() in (-signal.SIGXCPU, -signal.SIGKILL):  # the kernel says either at the end of its time
        raise _too_slow()
    raise FileRefused("The file cannot be read: its reader broke off, as it does with damaged files.")


def _lines(child: "subprocess.Popen[bytes]", cancel: CancelToken, patience: float | None) -> Iterator[bytes]:
    assert child.stdout is not None
    number, begun = child.stdout.fileno(), time.monotonic()
    parts: list[bytes] = []  # of a line whose end has not come yet
    while True:
        if cancel.cancelled:
            raise Cancelled("told to stop while a file was read")
        if patience is not None and time.monotonic() - begun > patience:
            raise _too_slow()
        if not select.select([number], [], [], _LOOK_SECONDS)[0]:
            continue
        piece = os.read(number, _PIECE)
        if not piece:
            return
        first, *others = piece.split(b"\n")
        parts.append(first)
        for begin in others:
            yield b"".join(parts)
            parts = [begin]


def _too_slow() -> FileRefused:
    return FileRefused("Reading the file took too long or too much memory. Split it, or send it in another format.")
