"""Which format a file has, told from its content and never from its name."""

from pathlib import Path
from typing import Literal

from meds3core.errors import QuestionFileError

FileFormat = Literal["json", "jsonl", "csv", "parquet"]

BOM = b"\xef\xbb\xbf"
_PROBE = 65536
_FOREIGN = {
    b"\x1f\x8b": "compressed with gzip",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\xff\xfe": "UTF-16, not UTF-8",
    b"\xfe\xff": "UTF-16, not UTF-8",
    b"%PDF": "a PDF document",
}


def detect_format(path: Path) -> FileFormat:
    """The format of a question file.

    Raises:
        QuestionFileError: the file is missing, empty, or of a kind that cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_PROBE)
            file.seek(-4, 2) if len(head) >= 4 else None
            tail = file.read(4)
    except OSError as error:
        raise QuestionFileError(f"{path}: cannot be opened ({error.strerror or 'input/output error'})") from error
    if head.startswith(b"PAR1") and tail == b"PAR1":
        return "parquet"
    for magic, kind in _FOREIGN.items():
        if head.startswith(magic):
            raise QuestionFileError(f"{path}: the file is {kind}; unpack or convert it first")
    text = head.removeprefix(BOM).lstrip()
    if not text:
        if len(head) < _PROBE:
            raise QuestionFileError(f"{path}: the file is empty")
        return "jsonl"
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        return "json" if _spans_lines(text) else "jsonl"
    first_line = text.partition(b"\n")[0]
    if any(delimiter in first_line for delimiter in (b",", b"\t", b";")):
        return "csv"
    return "jsonl"


def _spans_lines(text: bytes) -> bool:
    """Whether the object with which a text begins goes on behind its first line: a JSON document, not JSONL."""
    line, newline, rest = text.partition(b"\n")
    line = line.rstrip()
    return bool(newline and rest.strip()) and (line == b"{" or line.endswith((b",", b"[", b": {")))
