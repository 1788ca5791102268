"""Pages as files: self-contained, inert, the same every time, all figures in. In a browser: tests/browser."""

import base64
import gzip
import json
import re

import pytest
from rich.console import Console

from meds3core.config.evaluation import EvaluationConfig
from meds3core.evaluation.run import evaluate
from meds3core.report.charts import Point, Series, WhiskerRow, line_chart, whisker_table
from meds3core.report.evaluation_page import write_comparison_page, write_evaluation_page
from meds3core.report.evaluation_terminal import comparison_view, evaluation_view
from meds3core.report.stages_page import Finding, Goal, stages_table, write_stages_page
from tests.core.evaluation import pages
from tests.core.evaluation.builders import clinic_rows, greedy_of


def written(tmp_path, name):
    out = tmp_path / f"{name}.html"
    if name == "evaluation":
        write_evaluation_page(pages.evaluation(), out, notes=[pages.HOSTILE])
    elif name == "comparison":
        write_comparison_page(pages.comparison(), pages.evaluation(), pages.evaluation("tuned", 0.4), out)
    else:
        write_stages_page(
            pages.stages(),
            out,
            notes=[pages.HOSTILE],
            goals=[Goal(pages.HOSTILE, pages.HOSTILE, False)],
            findings=[Finding(pages.HOSTILE, "0.5")],
        )
    return out.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["evaluation", "comparison", "stages"])
def test_hostile_text_cannot_leave_its_place(tmp_path, name):
    page = written(tmp_path, name)
    assert "owned'</script>" not in page and "<img src=x" not in page and "<!-- <script>" not in page
    assert page.count("<script") == page.count("</script>")
    assert json.loads(re.search(r'id="index">(.*?)</script>', page, re.DOTALL)[1])["title"]


@pytest.mark.parametrize("name", ["evaluation", "comparison", "stages"])
def test_nothing_is_loaded_and_nothing_changes(tmp_path, name):
    page = written(tmp_path, name)
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:|//|file:)""", page)
    assert "default-src 'none'" in page and "unsafe" not in page
    assert not re.search(r"<[^>]+\sstyle=", page)  # the policy would drop it silently
    assert page == written(tmp_path, name)


def test_every_question_is_packed_with_its_answers(tmp_path):
    page = written(tmp_path, "evaluation")
    blobs = re.findall(r'id="row-\d+">(.*?)</script>', page)
    rows = pages.evaluation().rows
    assert len(blobs) == len(rows)
    opened = json.loads(gzip.decompress(base64.b64decode(blobs[3])))
    assert opened["text"] == rows[3].question.text and len(opened["sides"][0]["samples"]) == 6
    both = re.findall(r'id="row-\d+">(.*?)</script>', written(tmp_path, "comparison"))
    assert [side["name"] for side in json.loads(gzip.decompress(base64.b64decode(both[3])))["sides"]] == [
        "base",
        "tuned",
    ]


def test_the_page_says_what_the_record_says(tmp_path):
    page, found = written(tmp_path, "evaluation"), pages.evaluation().evaluation
    for estimate in (found.greedy.micro, found.selection.test, found.greedy_steps.sound):
        assert f"{100 * estimate.value:.1f}%" in page
        assert f"[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]" in page
    for word in (found.selection.chosen.label, "27 validation questions", "exploratory", "options shuffled"):
        assert word in page


def test_little_is_enough_for_a_page(tmp_path):
    """Greedy answers without judge, samples or several domains."""
    rows = [row for row in clinic_rows(20, 1) if row.question.domain == "dosing"]
    bare = evaluate(greedy_of(rows), None, config=EvaluationConfig(resamples=100))
    write_evaluation_page(bare, tmp_path / "page.html")
    assert "Strategies" not in (tmp_path / "page.html").read_text()
    Console(file=(tmp_path / "out").open("w")).print(evaluation_view(bare.evaluation))


@pytest.mark.parametrize("width", [40, 100])
def test_terminal_views_hold_the_figures_and_no_control_characters(width):
    console = Console(width=width, record=True, file=None, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(evaluation_view(pages.evaluation().evaluation))
        console.print(comparison_view(pages.comparison()))
        console.print(stages_table(pages.stages()))
    text = captured.get()
    assert "chosen: " in text and "McNemar" in text and "SFT 1" in text
    assert all(len(line) <= width for line in text.splitlines())


def test_charts_put_every_point_inside():
    points = tuple(Point(x, y, "p", y - 0.05, y + 0.05) for x, y in ((1, 0.42), (4, 0.5), (16, 0.93)))
    for scale in ("linear", "log"):
        chart = line_chart("t", [Series("s", points)], x_label="x", y_label="y", x_scale=scale)
        for mark in chart.series[0].marks:
            assert chart.left <= mark.x <= chart.right
            assert chart.top <= mark.high <= mark.y <= mark.low <= chart.bottom
        assert all(chart.top <= tick.at <= chart.bottom for tick in chart.y_ticks) and len(chart.y_ticks) >= 3
        assert all(chart.left <= tick.at <= chart.right for tick in chart.x_ticks) and len(chart.x_ticks) >= 2
    assert line_chart("t", [], x_label="x", y_label="y") is None


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_chart_of_one_point_has_axes(value):
    chart = line_chart("t", [Series("s", (Point(3, value, "p"),))], x_label="x", y_label="y", x_scale="log")
    mark = chart.series[0].marks[0]
    assert chart.left <= mark.x <= chart.right and chart.top <= mark.y <= chart.bottom


def test_whiskers_share_one_scale():
    rows = [WhiskerRow("a", 0.1, -0.02, 0.22, "x"), WhiskerRow("b", -0.3, -0.33, -0.1, "y", dots=(-0.4,))]
    table = whisker_table("t", rows, differences=True)
    assert table.zero == 50.0 and table.high_label == "+40 points"
    assert table.rows[0].value > 50 > table.rows[1].high and table.rows[1].dots == (0.0,)
    assert whisker_table("t", []) is None
