"""Raw records out of a file, one at a time: bounded memory for files of any length, row-numbered errors.

Knows formats, not questions.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from meds3core.data.formats import BOM, FileFormat
from meds3core.data.rows import FieldError, ReadLimits, RowError
from meds3core.errors import QuestionFileError

_CHUNK = 1 << 18
_STRUCTURE = re.compile(rb'["{}\[\],]')
_STRING_END = re.compile(rb'["\\]')
_WRAPPERS = ("data", "questions", "examples", "rows", "records", "items", "test", "train", "validation")


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as it stands in the file."""

    row: int
    value: object


def iterate_raw(
    path: Path, form: FileFormat, limits: ReadLimits, opened: Callable[[BinaryIO], None] | None = None
) -> Iterator[RawRecord | RowError]:
    """The records of a file in order, with an error in the place of each that cannot be read.

    `opened` gets the file of a text format when it is open.

    Raises:
        QuestionFileError: the file as a whole cannot be read.
    """
    try:
        if form == "parquet":
            yield from _parquet(path, limits)
            return
        with path.open("rb") as file:
            if opened is not None:
                opened(file)
            if form == "csv":
                yield from _csv(file, path, limits)
                return
            for raw in _lines(file, limits) if form == "jsonl" else _json(file, path, limits):
                if isinstance(raw, RawRecord) and isinstance(raw.value, dict) and len(raw.value) > limits.columns:
                    yield RowError(row=raw.row, field="", message=_too_many(len(raw.value), limits))
                else:
                    yield raw
    except OSError as error:
        raise QuestionFileError(f"{path}: cannot be read ({error.strerror or 'input/output error'})") from error


def parse_json(data: bytes, offset: int) -> object:
    """Parse one JSON value; `offset` is where it begins in the file.

    Raises:
        FieldError: it is not UTF-8 or not JSON.
    """
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise FieldError("", f"not UTF-8 (byte {offset + error.start} of the file)") from None
    except json.JSONDecodeError as error:
        raise FieldError("", f"not valid JSON ({error.msg}, character {error.pos + 1} of the record)") from None
    except RecursionError:
        raise FieldError("", "nested too deeply") from None
    except ValueError:
        raise FieldError("", "not valid JSON (a number with too many digits)") from None


def _parsed(row: int, data: bytes, offset: int) -> RawRecord | RowError:
    try:
        return RawRecord(row, parse_json(data, offset))
    except FieldError as error:
        return RowError(row=row, field=error.field, message=error.message)


def _too_long(row: int, limits: ReadLimits) -> RowError:
    size = limits.record_bytes / 1e6
    return RowError(row=row, field="", message=f"the record is longer than {size:g} MB")


def _too_many(count: int, limits: ReadLimits) -> str:
    return f"{count:,} columns; at most {limits.columns:,} can be read"


def _bounded_lines(file: BinaryIO, limits: ReadLimits) -> Iterator[tuple[int, int, bytes | None]]:
    """Line number, offset and bytes of each line; None for one that is too long, which is skipped unread."""
    offset = number = 0
    while line := file.readline(limits.record_bytes + 1):
        number += 1
        start = offset
        offset += len(line)
        if len(line) > limits.record_bytes and not line.endswith(b"\n"):
            while (more := file.readline(_CHUNK)) and not more.endswith(b"\n"):
                offset += len(more)
            offset += len(more)
            yield number, start, None
            continue
        if number == 1 and line.startswith(BOM):
            line, start = line[len(BOM) :], len(BOM)
        yield number, start, line


def _lines(file: BinaryIO, limits: ReadLimits) -> Iterator[RawRecord | RowError]:
    for number, offset, line in _bounded_lines(file, limits):
        if line is None:
            yield _too_long(number, limits)
        elif line.strip():
            record = _parsed(number, line, offset)
            wrapped = _wrapped(record.value) if number == 1 and isinstance(record, RawRecord) else None
            if wrapped is None:
                yield record
            else:
                yield from (RawRecord(row, value) for row, value in enumerate(wrapped, start=1))


def _wrapped(value: object) -> list[object] | None:
    """The records of an object that only wraps a list of them: {"data": [...]}."""
    if not isinstance(value, dict) or any(key in value for key in ("question", "conversations", "text")):
        return None
    for key in _WRAPPERS:
        records = value.get(key)
        if isinstance(records, list):
            return records
    return None


def _json(file: BinaryIO, path: Path, limits: ReadLimits) -> Iterator[RawRecord | RowError]:
    """A JSON array, streamed; or one object around an array, read as a whole."""
    head = file.read(_CHUNK)
    body = head.removeprefix(BOM)
    if body.lstrip().startswith(b"["):
        start = head.index(b"[") + 1
        file.seek(start)
        yield from _elements(file, start, limits)
        return
    file.seek(0)
    data = file.read(limits.document_bytes + 1)
    if len(data) > limits.document_bytes:
        raise QuestionFileError(
            f"{path}: one JSON object of more than {limits.document_bytes / 1e6:g} MB; use a JSON array or JSONL"
        )
    record = _parsed(1, data.removeprefix(BOM), len(data) - len(data.removeprefix(BOM)))
    wrapped = _wrapped(record.value) if isinstance(record, RawRecord) else None
    if wrapped is None:
        yield record
    else:
        yield from (RawRecord(row, value) for row, value in enumerate(wrapped, start=1))


class _ElementCutter:
    """Cuts the bytes of a JSON array into its elements, following brackets and strings only."""

    def __init__(self) -> None:
        self.depth = 0
        self.in_string = False

    def cut(self, data: bytes | bytearray, start: int) -> tuple[int, str]:
        """Scan from `start` to the end of the element: its offset and "," or "]"; "" when more bytes are needed.

        When more are needed the offset says where to go on.
        """
        at = start
        while True:
            match = (_STRING_END if self.in_string else _STRUCTURE).search(data, at)
            if match is None:
                return len(data), ""
            sign = match[0]
            if self.in_string:
                if sign == b"\\":
                    if match.end() == len(data):
                        return match.start(), ""
                    at = match.end() + 1
                    continue
                self.in_string = False
            elif sign == b'"':
                self.in_string = True
            elif sign in b"{[":
                self.depth += 1
            elif self.depth == 0 and sign in b",]":
                return match.start(), sign.decode()
            elif sign in b"}]":
                self.depth = max(0, self.depth - 1)
            at = match.end()


def _elements(file: BinaryIO, offset: int, limits: ReadLimits) -> Iterator[RawRecord | RowError]:
    """The elements of a JSON array whose opening bracket has been read; `offset` is the file's position."""
    cutter = _ElementCutter()
    buffer = bytearray()
    row, at, skipping = 1, 0, False
    while True:
        end, sign = cutter.cut(buffer, at)
        if not sign:
            at = end
            if len(buffer) > limits.record_bytes:
                if not skipping:
                    yield _too_long(row, limits)
                skipping = True
                kept = bytes(buffer[at:])
                offset += at
                buffer, at = bytearray(kept), 0
            chunk = file.read(_CHUNK)
            if not chunk:
                yield RowError(row=row, field="", message="the file ends inside the JSON array")
                return
            buffer += chunk
            continue
        element = bytes(buffer[:end])
        if skipping or len(element) > limits.record_bytes:
            if not skipping:
                yield _too_long(row, limits)
        elif element.strip() or sign == "," or row > 1:
            yield _parsed(row, element, offset)
        offset += end + 1
        del buffer[: end + 1]
        row, at, skipping = row + 1, 0, False
        if sign == "]":
            rest = bytes(buffer).strip() or file.read(_CHUNK).strip()
            if rest:
                yield RowError(row=row, field="", message="something follows the end of the JSON array")
            return


def _csv(file: BinaryIO, path: Path, limits: ReadLimits) -> Iterator[RawRecord | RowError]:
    """Records of a CSV file with a header; the delimiter is the most frequent of comma, tab and semicolon there."""
    csv.field_size_limit(max(csv.field_size_limit(), limits.record_bytes))
    long_lines: list[int] = []

    def decoded() -> Iterator[str]:
        for number, _, line in _bounded_lines(file, limits):
            if line is None:
                long_lines.append(number)
                yield "\n"
            else:
                yield line.decode(errors="surrogateescape")

    lines = decoded()
    first = next(lines, "")
    while first and not first.strip():
        first = next(lines, "")
    delimiter = max(",\t;", key=first.count)
    try:
        header = next(csv.reader([first], delimiter=delimiter))
    except (csv.Error, StopIteration):
        yield RowError(row=1, field="", message="the header of the CSV file cannot be read")
        return
    if len(header) > limits.columns:
        raise QuestionFileError(f"{path}: {_too_many(len(header), limits)}")
    names = [name.strip() for name in header]
    reader = csv.reader(lines, delimiter=delimiter)
    row = 0
    while True:
        row += 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield RowError(row=row, field="", message=f"not valid CSV ({error})")
            continue
        if long_lines:
            long_lines.clear()
            yield _too_long(row, limits)
        elif not cells:
            row -= 1
        elif sum(map(len, cells)) > limits.record_bytes:
            yield _too_long(row, limits)
        elif len(cells) > len(names):
            yield RowError(row=row, field="", message=f"{len(cells)} cells, but the header names {len(names)}")
        elif any(not cell.isascii() and _undecodable(cell) for cell in cells):
            yield RowError(row=row, field="", message=f"not UTF-8 (line {reader.line_num + 1} of the file)")
        else:
            yield RawRecord(row, {name: cell for name, cell in zip(names, cells, strict=False) if cell != ""})
    if row == 1:
        yield RowError(row=1, field="", message="the CSV file has a header and no rows")


def _undecodable(text: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in text)


def _parquet(path: Path, limits: ReadLimits) -> Iterator[RawRecord | RowError]:
    import pyarrow
    import pyarrow.parquet

    row = 0
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False, memory_map=True) as file:
            if len(file.schema_arrow.names) > limits.columns:
                raise QuestionFileError(f"{path}: {_too_many(len(file.schema_arrow.names), limits)}")
            for batch in file.iter_batches(batch_size=128):
                for record in batch.to_pylist():
                    row += 1
                    yield RawRecord(row, {name: value for name, value in record.items() if value is not None})
    except MemoryError as error:
        raise QuestionFileError(
            f"{path}: it needs more memory than there is; write it in smaller row groups, or as JSONL"
        ) from error
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, UnicodeDecodeError) as error:
        if row:
            yield RowError(row=row + 1, field="", message="the Parquet file is damaged from here on")
        else:
            raise QuestionFileError(f"{path}: not a readable Parquet file") from error
