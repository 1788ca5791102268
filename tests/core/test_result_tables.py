"""Tables of results: every digit in CSV, the written figure in Markdown and LaTeX, nothing that a file would run."""

import csv
import io

import pytest

from meds3core.report.result_tables import Column, ResultTable, comparison_tables, tables_of
from meds3core.report.table_files import table_text
from meds3core.report.wording import percent, points
from tests.core.evaluation import pages


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_every_strategy_with_every_digit():
    evaluation = pages.evaluation().evaluation
    rows = rows_of(table_text(tables_of(evaluation)["strategies"], "csv"))
    assert len(rows) == len(evaluation.grid) + 1
    assert float(rows[0]["Right"]) == evaluation.greedy.micro.value
    for row, figures in zip(rows[1:], evaluation.grid, strict=True):
        assert (row["Strategy"], int(row["Samples"])) == (figures.key.strategy, figures.key.n)
        ends = tuple(float(row[name]) for name in ("Right", "Right, low", "Right, high"))
        assert ends == (figures.accuracy.value, figures.accuracy.low, figures.accuracy.high)
    assert [row["Note"] for row in rows].count("chosen") == 1


def test_an_evaluation_has_a_table_for_each_kind_of_figure():
    evaluation = pages.evaluation().evaluation
    assert set(tables_of(evaluation)) == {"strategies", "groups", "steps", "calibration", "robustness"}
    for table in tables_of(evaluation).values():
        for form in ("csv", "markdown", "latex"):
            assert table_text(table, form).count("\n") >= len(table.rows)


def test_markdown_and_latex_have_the_figures_as_reports_write_them():
    evaluation = pages.evaluation().evaluation
    table = tables_of(evaluation)["groups"]
    written = percent(evaluation.greedy.micro)
    assert written.replace("[", r"\[").replace("]", r"\]") in table_text(table, "markdown")
    assert written.replace("%", r"\%") in table_text(table, "latex")


def test_a_comparison_has_differences_and_changes():
    found = pages.comparison()
    tables = comparison_tables(found)
    rows = rows_of(table_text(tables["differences"], "csv"))
    assert float(rows[0]["Difference"]) == found.greedy.difference.difference.value
    assert float(rows[0]["Difference, p"]) == found.greedy.difference.p
    assert len(rows_of(table_text(tables["changes"], "csv"))) == len(found.changes)
    assert points(found.greedy.difference).replace("−", "$-$") in table_text(tables["differences"], "latex")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("csv", '"=1+1|a_b & <b>\n%"'),
        ("markdown", r"| =1+1\|a\_b & \<b\> % |"),
        ("latex", r"=1+1\textbar{}a\_b \& \textless{}b\textgreater{} \%"),
    ],
)
def test_hostile_cells_stay_cells(form, expected):
    table = ResultTable("t", "T", (Column("Name"),), [("=1+1|a_b & <b>\n%",)])
    assert expected in table_text(table, form)
    if form == "csv":
        assert table_text(table, "csv", csv_form="spreadsheet").startswith("\ufeff")
        assert "'=1+1" in table_text(table, "csv", csv_form="spreadsheet")
