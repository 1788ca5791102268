"""Reads a base policy's pass rates, and the responses that `meds3 verify` judges: JSONL with row-numbered errors."""

import math
from collections.abc import Iterator
from pathlib import Path

from meds3core.data.read import NAMED_ERRORS, refusal
from meds3core.data.rows import ReadLimits, RowError
from meds3core.data.streams import RawRecord, iterate_raw
from meds3core.errors import QuestionFileError


def iterate_objects(path: Path, limits: ReadLimits | None = None) -> Iterator[tuple[int, dict[str, object]] | RowError]:
    """The objects of a JSONL file with their line numbers.

    Raises:
        QuestionFileError: the file cannot be opened.
    """
    for raw in iterate_raw(path, "jsonl", limits or ReadLimits()):
        if isinstance(raw, RawRecord) and isinstance(raw.value, dict):
            yield raw.row, raw.value
        elif isinstance(raw, RowError):
            yield raw
        else:
            yield RowError(row=raw.row, field="", message="expected an object")


def id_of(record: dict[str, object]) -> str | None:
    """The id of a record as text; None when it is missing or of a wrong type."""
    value = record.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return value if isinstance(value, str) else f"{value:d}" if abs(value) < 10**18 else None


def load_pass_rates(path: Path) -> dict[str, float]:
    """Question id → pass rate.

    Raises:
        QuestionFileError: the file cannot be read or has a bad row; names the first `NAMED_ERRORS`.
    """
    rates: dict[str, float] = {}
    errors: list[RowError] = []
    bad_rows = 0
    for entry in iterate_objects(path):
        error = entry if isinstance(entry, RowError) else _rate(entry[0], entry[1], rates)
        if error:
            bad_rows += 1
            if len(errors) < NAMED_ERRORS:
                errors.append(error)
    if bad_rows:
        raise QuestionFileError(refusal(path, errors, bad_rows).rpartition("\n")[0])
    if not rates:
        raise QuestionFileError(f"{path}: the file is empty")
    return rates


def _rate(row: int, record: dict[str, object], rates: dict[str, float]) -> RowError | None:
    name, value = id_of(record), record.get("pass_rate")
    if name is None:
        return RowError(row=row, field="id", message="expected a text or an integer")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return RowError(row=row, field="pass_rate", message="expected a number")
    if not 0 <= value <= 1:
        return RowError(row=row, field="pass_rate", message="must lie between 0 and 1")
    if name in rates:
        return RowError(row=row, field="id", message="the same id again")
    rates[name] = float(value)
    return None
