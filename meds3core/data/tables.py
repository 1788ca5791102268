"""Questions and other records as CSV, in two forms: exact, and one that a spreadsheet opens without running anything.

A spreadsheet takes a cell that begins with = + - @ for a formula. The form for spreadsheets puts an apostrophe before
such cells, unless they are numbers; reading it again does not give the same text, so it is not the form for programs.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from meds3core.types.question import ChoiceFormat, NumberFormat, Question

CsvForm = Literal["exact", "spreadsheet"]

QUESTION_COLUMNS = (
    "id",
    "question",
    "answer",
    "answer_kind",
    "options",
    "unit",
    "aliases",
    "source",
    "domain",
    "difficulty",
)
"""`question` is all that a policy reads, option lines included; `options` and `aliases` are JSON."""

_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class CsvWriter:
    """Turns rows into lines of CSV and counts the cells that it changed."""

    def __init__(self, form: CsvForm) -> None:
        self.form = form
        self.neutralised = 0
        self._buffer = io.StringIO(newline="")
        self._writer = csv.writer(self._buffer, lineterminator="\r\n")  # a lone CR in a cell is quoted only so

    def line(self, cells: Sequence[object]) -> str:
        """One row with its line end."""
        self._writer.writerow([self._cell(cell) for cell in cells])
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text

    def lines(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
        """Header and rows. For spreadsheets the text begins with the mark by which they know UTF-8."""
        yield ("\ufeff" if self.form == "spreadsheet" else "") + self.line(columns)
        for cells in rows:
            yield self.line(cells)

    def _cell(self, cell: object) -> str:
        text = "" if cell is None else str(cell)
        if self.form == "spreadsheet" and is_formula(text):
            self.neutralised += 1
            return "'" + text
        return text


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might run this cell."""
    return text.startswith(_STARTS) and _NUMBER.fullmatch(text) is None


def question_cells(question: Question) -> tuple[object, ...]:
    """A question as one row under `QUESTION_COLUMNS`."""
    form = question.answer_format
    options = {option.letter: option.text for option in form.options} if isinstance(form, ChoiceFormat) else None
    return (
        question.id,
        question.text,
        question.gold.value,
        form.kind,
        json.dumps(options, ensure_ascii=False) if options else None,
        form.unit if isinstance(form, NumberFormat) else None,
        json.dumps(question.gold.aliases, ensure_ascii=False) if question.gold.aliases else None,
        question.source,
        question.domain,
        question.difficulty,
    )


def question_lines(
    questions: Iterable[Question], form: Literal["jsonl"] | CsvForm, writer: CsvWriter | None = None
) -> Iterator[str]:
    """A file of questions line by line: our JSONL, or CSV in one of its forms."""
    if form == "jsonl":
        for question in questions:
            yield question.model_dump_json() + "\n"
        return
    table = writer or CsvWriter(form)
    yield from table.lines(QUESTION_COLUMNS, map(question_cells, questions))
