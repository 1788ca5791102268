"""Tables of results as files: CSV with every digit, Markdown and LaTeX as figures are written."""

from collections.abc import Iterable
from typing import Literal

from meds3core.data.tables import CsvForm, CsvWriter
from meds3core.evaluation.intervals import Estimate
from meds3core.evaluation.paired import PairedDifference
from meds3core.report.result_tables import Cell, Column, ResultTable
from meds3core.report.wording import NOTHING, amount, percent, plain, points

TableFormat = Literal["csv", "markdown", "latex"]
ENDINGS: dict[TableFormat, str] = {"csv": "csv", "markdown": "md", "latex": "tex"}


def table_text(table: ResultTable, form: TableFormat, *, csv_form: CsvForm = "exact") -> str:
    """The table as a file's text. `csv_form`: `spreadsheet` runs nothing when it is opened in one."""
    match form:
        case "csv":
            return _csv(table, csv_form)
        case "markdown":
            return _markdown(table)
        case "latex":
            return _latex(table)


def _csv(table: ResultTable, form: CsvForm) -> str:
    """Estimates have three columns, differences four: value, both ends of the interval, and p."""
    heads = [name for column in table.columns for name in _csv_heads(column)]
    rows = (
        [value for column, cell in zip(table.columns, cells, strict=True) for value in _csv_cells(column, cell)]
        for cells in table.rows
    )
    return "".join(CsvWriter(form).lines(heads, rows))


def _csv_heads(column: Column) -> tuple[str, ...]:
    if column.kind in ("share", "plain", "amount"):
        return (column.title, f"{column.title}, low", f"{column.title}, high")
    if column.kind == "difference":
        # Written as shares, whatever the heading of a page says.
        title = column.title.removesuffix(" in points")
        return (title, f"{title}, low", f"{title}, high", f"{title}, p")
    return (column.title,)


def _csv_cells(column: Column, cell: Cell) -> tuple[object, ...]:
    width = len(_csv_heads(column))
    if cell is None:
        return (None,) * width
    if isinstance(cell, PairedDifference):
        found = cell.difference
        return (found.value, found.low, found.high, cell.p)
    if isinstance(cell, Estimate):
        return (cell.value, cell.low, cell.high)
    return (cell,)


def _written(column: Column, cell: Cell) -> str:
    """A cell as people read it."""
    match cell:
        case None:
            return NOTHING
        case PairedDifference():
            return points(cell)
        case Estimate():
            return {"share": percent, "plain": plain, "amount": amount}[column.kind](cell)
        case float():
            return f"{cell:.3f}"
        case int():
            return f"{cell:,}"
    return str(cell)


_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|~$"} | {"\n": " ", "\r": " "})
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "−": "$-$",
        "–": "--",
        "→": r"$\rightarrow$",
        "“": "``",
        "”": "''",
        "\n": " ",
        "\r": " ",
    }
)


def _markdown(table: ResultTable) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |\n"

    heads = line(column.title.translate(_MARKDOWN) for column in table.columns)
    rules = line("---" if column.kind == "words" else "---:" for column in table.columns)
    rows = (
        line(_written(column, cell).translate(_MARKDOWN) for column, cell in zip(table.columns, cells, strict=True))
        for cells in table.rows
    )
    return heads + rules + "".join(rows)


def _latex(table: ResultTable) -> str:
    """A `tabular` with rules of the package booktabs."""

    def line(cells: Iterable[str]) -> str:
        return " & ".join(cell.translate(_LATEX) for cell in cells) + " \\\\\n"

    spec = "".join("l" if column.kind == "words" else "r" for column in table.columns)
    rows = (
        line(_written(column, cell) for column, cell in zip(table.columns, cells, strict=True)) for cells in table.rows
    )
    return (
        f"% {' '.join(table.title.split())}\n% \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{spec}}}\n\\toprule\n"
        + line(column.title for column in table.columns)
        + "\\midrule\n"
        + "".join(rows)
        + "\\bottomrule\n\\end{tabular}\n"
    )
