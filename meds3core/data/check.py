"""Looks through a question file in one pass and bounded memory, and reports what is in it."""

from array import array
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from meds3core.data.formats import FileFormat, detect_format
from meds3core.data.option_lines import options_in
from meds3core.data.overlap import Overlap, OverlapReport, OverlapSettings, QuestionIndex
from meds3core.data.read import NAMED_ERRORS, iterate_rows
from meds3core.data.records import ColumnMapping
from meds3core.data.rows import ReadLimits, RowError
from meds3core.data.seen import SeenRows
from meds3core.text.answers import normalise
from meds3core.types.question import ChoiceFormat, Question
from meds3core.types.record import Record

NEAR_DUPLICATES_UP_TO = 10_000
MOST_NGRAMS = 2_000_000
"""Above so many questions or n-grams (100 bytes each) only exact duplicates are looked for: bounded memory."""

_LONG_TEXT = 12_000
_MOST_OVERLAPS = 100_000


class FileReport(Record):
    """What a question file holds."""

    format: FileFormat
    questions: int
    bad_rows: int
    errors: tuple[RowError, ...]
    """The first `NAMED_ERRORS`."""
    kinds: Mapping[str, int]
    option_counts: Mapping[str, int]
    gold_letters: Mapping[str, int]
    sources: Mapping[str, int]
    contexts: Mapping[str, int]
    characters: Mapping[str, int]
    """Quantiles of the texts' lengths."""
    words: Mapping[str, int]
    problems: Mapping[str, int]
    """What is odd without being an error → how often."""
    duplicates: OverlapReport
    duplicates_note: str
    benchmark_overlap: OverlapReport | None


def check_file(
    path: Path,
    *,
    mapping: ColumnMapping | None = None,
    benchmark: QuestionIndex | None = None,
    settings: OverlapSettings | None = None,
    limit: int | None = None,
    limits: ReadLimits | None = None,
) -> FileReport:
    """Read a whole file, or its first `limit` rows, and count.

    Raises:
        QuestionFileError: the file as a whole cannot be read.
    """
    counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
    characters, words = array("L"), array("L")
    errors: list[RowError] = []
    bad_rows = questions = 0
    texts = SeenRows()
    duplicates: list[Overlap] = []
    overlaps: list[Overlap] = []
    near = QuestionIndex(settings)
    for row in iterate_rows(path, mapping=mapping, limits=limits):
        if isinstance(row, RowError):
            bad_rows += 1
            if len(errors) < NAMED_ERRORS:
                errors.append(row)
        else:
            questions += 1
            _count(row, counts)
            characters.append(len(row.text))
            words.append(len(row.text.split()))
            first = texts.first_row(row.text, questions)
            if len(near) == questions - 1 < NEAR_DUPLICATES_UP_TO and near.ngrams < MOST_NGRAMS:
                near.add(row)
            elif first is not None and len(duplicates) < _MOST_OVERLAPS:
                duplicates.append(_exact(row, first))
            shared = benchmark.find(row) if benchmark else None
            if shared and len(overlaps) < _MOST_OVERLAPS:
                overlaps.append(shared)
        if limit is not None and questions + bad_rows >= limit:
            break
    duplicates = [*near.duplicates(), *duplicates]
    note = "" if questions == len(near) else f" (near duplicates looked for among the first {len(near):,} only)"
    return FileReport(
        format=detect_format(path),
        questions=questions,
        bad_rows=bad_rows,
        errors=tuple(errors),
        **{name: dict(counter.most_common(100)) for name, counter in counts.items()},
        characters=quantiles(characters),
        words=quantiles(words),
        duplicates=OverlapReport(checked=questions, overlaps=tuple(duplicates)),
        duplicates_note=note,
        benchmark_overlap=OverlapReport(checked=questions, overlaps=tuple(overlaps)) if benchmark else None,
    )


_COUNTED = ("kinds", "option_counts", "gold_letters", "sources", "contexts", "problems")


def quantiles(lengths: "array[int]") -> dict[str, int]:
    """Smallest, quartiles, 95th and 99th percentile and largest of some lengths."""
    if not lengths:
        return {}
    ordered = sorted(lengths)
    last = len(ordered) - 1
    shares = {"min": 0.0, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "99%": 0.99, "max": 1.0}
    return {name: ordered[round(share * last)] for name, share in shares.items()}


def _count(question: Question, counts: dict[str, Counter[str]]) -> None:
    form = question.answer_format
    counts["kinds"][form.kind] += 1
    counts["sources"][question.source] += 1
    if question.has_context is not None:
        counts["contexts"]["with" if question.has_context else "without"] += 1
    if len(question.text) > _LONG_TEXT:
        counts["problems"][f"text longer than {_LONG_TEXT:,} characters (may not fit a model's context)"] += 1
    if isinstance(form, ChoiceFormat):
        counts["option_counts"][str(len(form.options))] += 1
        counts["gold_letters"][question.gold.value] += 1
        normal = [normalise(option.text) for option in form.options]
        if len(set(normal)) < len(normal):
            counts["problems"]["two options with the same text"] += 1
    elif options_in(question.text):
        counts["problems"]["options in the text, but an answer that is none of them"] += 1
    if "\ufffd" in question.text:
        counts["problems"]["replacement characters (the text was decoded wrongly once)"] += 1


def _exact(question: Question, first: int) -> Overlap:
    """A repetition far down in a long file, whose ids are not kept."""
    other = f"question {first} of the file"
    return Overlap(id=question.id, other=other, other_source=question.source, kind="exact", containment=1.0)
