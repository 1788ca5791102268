"""Charts that the server draws: every figure is in the drawing, and said in words."""

from django.template import Context, Template

from meds3core.report.charts import Point, Series, line_chart, whisker_table
from meds3core.report.parts import FigureTable, Section, Words, row
from meds3core.report.wording import WhiskerRow


def drawn(text, **values):
    return Template("{% load charts %}" + text).render(Context(values))


def test_a_histogram_says_every_count_in_words():
    html = drawn("{% bars 'Depth' rows x_label='steps' %}", rows=[(1, 0), (2, 40, "two steps: 40 nodes"), (3, 10)])
    assert 'aria-label="Depth. two steps: 40 nodes; 3: 10"' in html
    assert html.count("<rect") == 3
    heights = [float(part.split('"')[0]) for part in html.split(' height="')[1:]]
    assert heights[1] == 4 * heights[2] > heights[0] == 0
    assert drawn("{% bars 'None' rows %}", rows=[]).count("<rect") == 0


def test_lines_have_names_whiskers_and_words():
    lines = [
        Series("best-of-n", (Point(1, 0.5, "n=1: 50%", 0.4, 0.6), Point(8, 0.7, "n=8: 70%", 0.6, 0.8))),
        Series("<script>", (Point(1, 0.4, "n=1: 40%"),), shown=False),
    ]
    chart = line_chart("Accuracy", lines, x_label="samples", y_label="right", x_scale="log")
    html = drawn("{% line_chart chart %}", chart=chart)
    assert html.count('class="whisker"') == 2
    assert "<title>n=8: 70%</title>" in html
    assert 'data-series="&lt;script&gt;" hidden' in html
    assert html.count("data-toggles") == 2
    assert "style=" not in html


def test_a_part_of_a_report_is_drawn_whole():
    table = whisker_table("Right", [WhiskerRow("base", 0.5, 0.4, 0.6, "50%")])
    figures = FigureTable("All", ("Strategy", "Right"), [row("greedy", ["50%"], chosen=True)])
    html = drawn("{% report_section part %}", part=Section("Result", (Words("Good."),), (), (table,), (figures,)))
    for text in ("Result", "Good.", "base", "greedy", "50%", "0%", "100%"):
        assert text in html
