"""Files of the clinic: questions and responses as JSONL. Written to a temporary file first, so never half-way."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from meds3core.errors import QuestionFileError
from meds3core.types.question import Question
from meds3core.types.record import Record


class Response(Record):
    """What a policy wrote to the question with this id."""

    id: str
    response: str


_R = TypeVar("_R", bound=Record)
_SHOWN_ERRORS = 5


def read_questions(path: Path) -> list[Question]:
    """Questions, one JSON object a line. Raises `QuestionFileError` that names the bad rows."""
    return _read(path, Question)


def read_responses(path: Path) -> list[Response]:
    """Responses, one JSON object a line. Raises `QuestionFileError` that names the bad rows."""
    return _read(path, Response)


def write_lines(path: Path, records: Iterable[Record]) -> None:
    """Write records as JSONL, or leave what was there. Raises `QuestionFileError` where that is impossible."""
    write_text(path, "".join(f"{record.model_dump_json()}\n" for record in records))


def write_text(path: Path, text: str) -> None:
    """Write a whole file, or leave what was there. Raises `QuestionFileError` where that is impossible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise QuestionFileError(f"{path}: cannot be written ({error.strerror or error})") from error


def _read(path: Path, kind: type[_R]) -> list[_R]:
    try:
        lines: Sequence[str] = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionFileError(f"{path}: cannot be read ({type(error).__name__})") from error
    records, problems = [], []
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError as error:
            issue = error.errors()[0]
            place = ".".join(map(str, issue["loc"])) or "row"
            problems.append(f"row {row}, {place}: {issue['msg']}")
    if problems:
        more = f" (and {len(problems) - _SHOWN_ERRORS} more)" if len(problems) > _SHOWN_ERRORS else ""
        raise QuestionFileError(f"{path}: {'; '.join(problems[:_SHOWN_ERRORS])}{more}")
    return records
