"""A first look at a question file: its format, its columns, what they seem to mean, its first rows as they would load.

Reads the beginning only, in bounded time and memory. What it shows of the file is cut to what a page can show.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from meds3core.data.formats import FileFormat, detect_format
from meds3core.data.read import NumberedQuestion, iterate_numbered
from meds3core.data.records import ColumnMapping, question_from
from meds3core.data.rows import FieldError, ReadLimits, RowError
from meds3core.data.streams import RawRecord, iterate_raw
from meds3core.errors import QuestionFileError
from meds3core.types.question import ChoiceFormat, Question
from meds3core.types.record import Record

SHOWN = 20
"""Rows that are shown."""
TRIED = 500
"""Rows that are tried, to count how many would load."""

_SAMPLED = 50
_ENOUGH = 10
"""Rows of which one would answer with option 0, if options were counted from there."""
_SECONDS = 5.0
_COLUMNS = 200
_SAMPLES = 3
_SAMPLE_LENGTH = 120
_NAME_LENGTH = 200
_TEXT_LENGTH = 1500
_OPTION_LENGTH = 300

ColumnKind = Literal["text", "number", "true or false", "list", "object", "mixed"]


class Column(Record):
    """A column of a table or a field of records; "a.b" is the field b inside the field a."""

    name: str
    kind: ColumnKind
    samples: tuple[str, ...]


class ShownRow(Record):
    """A row as it would be imported, or what is wrong with it."""

    row: int
    problem: str = ""
    id: str = ""
    text: str = ""
    options: tuple[str, ...] = ()
    answer_kind: str = ""
    gold: str = ""
    source: str = ""
    domain: str = ""


class FilePreview(Record):
    """What the beginning of a file holds."""

    format: FileFormat
    columns: tuple[Column, ...]
    column_count: int
    known_shape: bool
    """Whether most rows load by the names of their own fields, without a mapping."""
    guess: ColumnMapping | None
    """What the columns seem to mean; None where question or answer cannot be told."""
    mapping: ColumnMapping | None
    """What the rows below were read with; None: by the names of their own fields."""
    rows: tuple[ShownRow, ...]
    tried: int
    loaded: int
    whole: bool
    """Whether every row of the file was tried."""


def preview_file(
    path: Path, *, mapping: ColumnMapping | None = None, stem: str = "", limits: ReadLimits | None = None
) -> FilePreview:
    """Look at a file. Without a `mapping`: by its own fields where that works for most rows, else as it is guessed.

    Raises:
        QuestionFileError: the file as a whole cannot be read.
    """
    limits = limits or ReadLimits()
    form = detect_format(path)
    sample = _sample(path, form, limits)
    columns = _columns(sample)
    known = _is_known_shape(sample, stem or path.stem)
    guess = guess_mapping(columns, sample)
    used = mapping or (None if known else guess)
    rows: list[ShownRow] = []
    tried = loaded = 0
    whole = True
    end = time.monotonic() + _SECONDS
    for row in iterate_numbered(path, mapping=used, limits=limits, stem=stem):
        tried += 1
        loaded += isinstance(row, NumberedQuestion)
        if len(rows) < SHOWN:
            rows.append(_shown(row))
        if tried >= TRIED or time.monotonic() > end:
            whole = False
            break
    if not tried:
        raise QuestionFileError(f"{path}: the file holds no row")
    return FilePreview(
        format=form,
        columns=tuple(columns[:_COLUMNS]),
        column_count=len(columns),
        known_shape=known,
        guess=guess,
        mapping=used,
        rows=tuple(rows),
        tried=tried,
        loaded=loaded,
        whole=whole,
    )


# --- columns -------------------------------------------------------------------------------------------------------


def _sample(path: Path, form: FileFormat, limits: ReadLimits) -> list[dict[str, object]]:
    """The first records that are objects, so far as they are not too long to be kept."""
    found: list[dict[str, object]] = []
    for tried, raw in enumerate(iterate_raw(path, form, limits), start=1):
        if isinstance(raw, RawRecord) and isinstance(raw.value, dict):
            found.append(raw.value)
        if len(found) >= _SAMPLED or tried >= TRIED:
            break
    return found


def _columns(sample: list[dict[str, object]]) -> list[Column]:
    values: dict[str, list[object]] = {}
    for record in sample:
        for name, value in record.items():
            values.setdefault(str(name), []).append(value)
            if isinstance(value, dict):
                for inner, part in value.items():
                    values.setdefault(f"{name}.{inner}", []).append(part)
    return [
        Column(
            name=name,
            kind=_kind(found),
            samples=tuple(dict.fromkeys(_cut(str(value), _SAMPLE_LENGTH) for value in found[:10]))[:_SAMPLES],
        )
        for name, found in values.items()
        if _is_name(name) and not all(value is None for value in found)
    ]


def _is_name(name: str) -> bool:
    """Whether a column can be offered by this name; others are as good as absent."""
    return 0 < len(name) <= _NAME_LENGTH and _cut(name, _NAME_LENGTH) == name


def _kind(values: list[object]) -> ColumnKind:
    kinds = {_kind_of(value) for value in values if value is not None}
    return kinds.pop() if len(kinds) == 1 else "mixed"


def _kind_of(value: object) -> ColumnKind:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "object" if isinstance(value, dict) else "list"


def _is_known_shape(sample: list[dict[str, object]], stem: str) -> bool:
    loaded = 0
    for row, record in enumerate(sample, start=1):
        try:
            question_from(record, row, stem or "row", None)
        except FieldError:
            continue
        loaded += 1
    return bool(sample) and loaded * 2 > len(sample)


# --- what they seem to mean ----------------------------------------------------------------------------------------

_NAMES: Mapping[str, tuple[str, ...]] = {
    "question": ("question", "stem", "question_text", "prompt", "query", "vignette", "problem", "input", "text"),
    "answer": (
        "answer_idx", "answer", "correct_answer", "correct", "gold", "key", "label", "target", "solution", "output",
        "cop", "answer_key", "right_answer",
    ),
    "id": ("id", "question_id", "qid", "uid", "uuid", "nr", "no", "number", "index"),
    "context": ("context", "passage", "abstract", "case", "background"),
    "options": ("options", "choices", "answers", "alternatives"),
    "source": ("source", "dataset", "original_dataset", "origin"),
    "domain": ("domain", "subject_name", "subject", "category", "topic", "specialty", "speciality", "type"),
}  # fmt: skip
_SERIES = (
    "{letter}", "option_{letter}", "option{letter}", "option {letter}", "op{letter}", "choice_{letter}",
    "choice{letter}", "answer_{letter}", "option_{number}", "option{number}", "option {number}", "choice{number}",
    "choice_{number}", "ending{index}", "op{number}",
)  # fmt: skip


def guess_mapping(columns: list[Column], sample: list[dict[str, object]]) -> ColumnMapping | None:
    """What the columns mean by their names; None where nothing is called like a question or like an answer."""
    by_name = {column.name.casefold().strip(): column.name for column in reversed(columns)}

    def named(field: str, *taken: str | None) -> str | None:
        return next((by_name[name] for name in _NAMES[field] if name in by_name and by_name[name] not in taken), None)

    question = named("question")
    series = _option_series(by_name)
    answer = named("answer", question, *series)
    if question is None or answer is None:
        return None
    options: str | tuple[str, ...] | None = series or None
    listed = named("options", question, answer)
    if options is None and listed is not None:
        options = listed
    return ColumnMapping(
        question=question,
        answer=answer,
        id=named("id", question, answer),
        context=named("context", question, answer),
        options=options,
        first_index=1 if series and _counts_from_one(answer, len(series), sample) else 0,
        source=named("source", question, answer),
        domain=named("domain", question, answer),
    )


def _option_series(by_name: Mapping[str, str]) -> tuple[str, ...]:
    """Columns that hold one option each: A, B, C, …; option_1, option_2, …; opa, opb, …"""
    for pattern in _SERIES:
        found = []
        for at, letter in enumerate("abcdefghij"):
            name = pattern.format(letter=letter, number=at + 1, index=at)
            if name not in by_name:
                break
            found.append(by_name[name])
        if len(found) > 1:
            return tuple(found)
    return ()


def _counts_from_one(answer: str, options: int, sample: list[dict[str, object]]) -> bool:
    numbers = {str(record[answer]).strip() for record in sample if record.get(answer) is not None}
    if "0" in numbers or not all(number.isdecimal() for number in numbers):
        return False
    return str(options) in numbers or len(sample) >= _ENOUGH


# --- rows ----------------------------------------------------------------------------------------------------------


def _shown(row: NumberedQuestion | RowError) -> ShownRow:
    if isinstance(row, RowError):
        told = f"{row.field}: {row.message}" if row.field else row.message
        return ShownRow(row=row.row, problem=_cut(told, _OPTION_LENGTH))
    question: Question = row.question
    form = question.answer_format
    options: tuple[str, ...] = ()
    if isinstance(form, ChoiceFormat):
        options = tuple(_cut(f"{option.letter}. {option.text}", _OPTION_LENGTH) for option in form.options)
    return ShownRow(
        row=row.row,
        id=_cut(question.id, 100),
        text=_cut(question.text, _TEXT_LENGTH),
        options=options,
        answer_kind=form.kind,
        gold=_cut(question.gold.value, _OPTION_LENGTH),
        source=_cut(question.source, 100),
        domain=_cut(question.domain, 100),
    )


def _cut(text: str, length: int) -> str:
    plain = text.replace("\0", "\ufffd").encode(errors="replace").decode()
    return plain if len(plain) <= length else plain[: length - 1] + "…"
