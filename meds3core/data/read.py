"""Reads question files of every known format: a streaming primitive, and a loader that refuses bad files whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from meds3core.data.formats import FileFormat, detect_format
from meds3core.data.records import ColumnMapping, question_from
from meds3core.data.rows import FieldError, ReadLimits, RowError
from meds3core.data.seen import SeenRows
from meds3core.data.streams import iterate_raw
from meds3core.errors import QuestionFileError
from meds3core.types.question import Question
from meds3core.types.record import Record

NAMED_ERRORS = 20
"""How many bad rows are named; the others are only counted."""


class LoadedQuestions(Record):
    """What a file gave."""

    questions: tuple[Question, ...]
    format: FileFormat
    errors: tuple[RowError, ...] = ()
    """The first `NAMED_ERRORS` of the rows that were skipped."""
    bad_rows: int = 0


@dataclass(frozen=True, slots=True)
class NumberedQuestion:
    """A question and the row that it stands in."""

    row: int
    question: Question


def iterate_rows(
    path: Path, *, mapping: ColumnMapping | None = None, limits: ReadLimits | None = None
) -> Iterator[Question | RowError]:
    """Every row of a question file in order, as a question or as what is wrong with it; bounded memory.

    Raises:
        QuestionFileError: the file as a whole cannot be read: missing, empty, of a foreign kind.
    """
    for row in iterate_numbered(path, mapping=mapping, limits=limits):
        yield row if isinstance(row, RowError) else row.question


def iterate_numbered(
    path: Path,
    *,
    mapping: ColumnMapping | None = None,
    limits: ReadLimits | None = None,
    stem: str = "",
    opened: Callable[[BinaryIO], None] | None = None,
) -> Iterator[NumberedQuestion | RowError]:
    """As `iterate_rows`, with the row of each question.

    `stem` stands for the file's name: the source and the beginning of the id of rows that have none. `opened` gets the
    file of a text format, to see how far the reading is.
    """
    limits = limits or ReadLimits()
    stem = (stem or path.stem)[:200] or "row"
    seen = SeenRows()
    for raw in iterate_raw(path, detect_format(path), limits, opened):
        if isinstance(raw, RowError):
            yield raw
            continue
        try:
            question = question_from(raw.value, raw.row, stem, mapping)
        except FieldError as error:
            yield RowError(row=raw.row, field=error.field, message=error.message)
            continue
        before = seen.first_row(question.id, raw.row)
        if before is None:
            yield NumberedQuestion(raw.row, question)
        else:
            yield RowError(row=raw.row, field="id", message=f"the id of row {before} again")


def load_questions(
    path: Path,
    *,
    mapping: ColumnMapping | None = None,
    limit: int | None = None,
    skip_bad_rows: bool = False,
    limits: ReadLimits | None = None,
) -> LoadedQuestions:
    """The questions of a file, the first `limit` of them where one is given.

    Raises:
        QuestionFileError: the file cannot be read, holds no question, or has a bad row and `skip_bad_rows` is off;
            the message names the first `NAMED_ERRORS` bad rows.
    """
    questions: list[Question] = []
    errors: list[RowError] = []
    bad_rows = 0
    if limit is None or limit > 0:
        for row in iterate_rows(path, mapping=mapping, limits=limits):
            if isinstance(row, RowError):
                bad_rows += 1
                if len(errors) < NAMED_ERRORS:
                    errors.append(row)
                continue
            questions.append(row)
            if limit is not None and len(questions) >= limit:
                break
    if bad_rows and not skip_bad_rows:
        raise QuestionFileError(refusal(path, errors, bad_rows))
    if not questions and limit != 0:
        described = "".join(f"\n  {error}" for error in errors)
        raise QuestionFileError(f"{path}: the file holds no question that can be read{described}")
    return LoadedQuestions(
        questions=tuple(questions), format=detect_format(path), errors=tuple(errors), bad_rows=bad_rows
    )


def refusal(path: Path, errors: list[RowError], bad_rows: int) -> str:
    """The message with which a file is refused."""
    lines = [f"{path}: {bad_rows} bad {'row' if bad_rows == 1 else 'rows'}, so the file is refused as a whole"]
    lines += [f"  {error}" for error in errors]
    if bad_rows > len(errors):
        lines.append(f"  … and {bad_rows - len(errors)} more")
    lines.append("Mend them, or leave them out with --skip-bad-rows.")
    return "\n".join(lines)
