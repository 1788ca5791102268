"""What a page is put together from: sections of words, charts, intervals and tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meds3core.report.charts import Chart, WhiskerTable


@dataclass(frozen=True)
class Words:
    """A paragraph; a quote is what may be quoted."""

    text: str
    quote: bool = False


@dataclass(frozen=True)
class FigureTable:
    """A table as the template draws it: rows are dicts of `name`, `cells` and `chosen`."""

    title: str
    columns: Sequence[str]
    rows: Sequence[dict[str, Any]]
    open: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    words: tuple[Words, ...] = ()
    charts: tuple[Chart, ...] = ()
    intervals: tuple[WhiskerTable, ...] = ()
    tables: tuple[FigureTable, ...] = ()


def row(name: str, cells: Iterable[str], chosen: bool = False) -> dict[str, Any]:
    """A row of a `FigureTable`."""
    return {"name": name, "cells": list(cells), "chosen": chosen}
