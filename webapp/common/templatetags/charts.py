"""Charts drawn on the server as SVG, out of the geometry that reports use (meds3core.report.charts).

    {% load charts %}   and in the page's head   {% include "components/charts/head.html" %}

    {% line_chart chart %}        lines with intervals, switched on and off by their names
    {% whiskers table %}          intervals one below the other on one scale
    {% bars "Depth" rows %}       a histogram of (label, count) or (label, count, hint)
    {% report_section section %}  a whole part of a report as a card
    {% graph drawing "Stages" %}  what follows from what (webapp.common.graphs)

Curves with thousands of points are drawn in the browser (static/jobs/curves.js).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import template

from meds3core.report.charts import Chart, WhiskerRow, WhiskerTable
from meds3core.report.parts import Section
from webapp.common.graphs import Drawing

register = template.Library()

WIDTH, HEIGHT = 480.0, 200.0
_BELOW, _ABOVE = 40.0, 18.0


@register.inclusion_tag("components/charts/lines.html")
def line_chart(chart: Chart) -> dict[str, Any]:
    """Lines with intervals."""
    return {"chart": chart, "middle": ((chart.left + chart.right) / 2, (chart.top + chart.bottom) / 2)}


@register.inclusion_tag("components/charts/whiskers.html")
def whiskers(table: WhiskerTable) -> dict[str, Any]:
    """Intervals one below the other."""
    return {"table": table}


@register.filter
def reach(row: WhiskerRow) -> str:
    """Width of a row's interval, never nothing."""
    return f"{max(row.high - row.low, 0.4):g}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a histogram, in the drawing's own coordinates."""

    label: str
    figure: str
    hint: str
    left: float
    width: float
    top: float
    height: float
    middle: float


@register.inclusion_tag("components/charts/bars.html")
def bars(title: str, rows: Sequence[Sequence[Any]], x_label: str = "") -> dict[str, Any]:
    """A histogram. The greatest count has the whole height."""
    most = max((int(row[1]) for row in rows), default=0) or 1
    step = WIDTH / max(1, len(rows))
    base = HEIGHT - _BELOW
    columns = []
    for place, (label, count, *hint) in enumerate(rows):
        height = (base - _ABOVE) * int(count) / most
        columns.append(
            Column(
                label=str(label),
                figure=_short(int(count)),
                hint=str(hint[0]) if hint else f"{label}: {int(count):,}",
                left=round(step * (place + 0.1), 2),
                width=round(step * 0.8, 2),
                top=round(base - height, 2),
                height=round(height, 2),
                middle=round(step * (place + 0.5), 2),
            )
        )
    return {
        "title": title,
        "columns": columns,
        "x_label": x_label,
        "width": WIDTH,
        "height": HEIGHT,
        "base": base,
        "centre": WIDTH / 2,
        "summary": "; ".join(each.hint for each in columns if each.height),
    }


@register.inclusion_tag("components/charts/section.html")
def report_section(section: Section) -> dict[str, Any]:
    """A part of a report: words, charts, intervals, tables."""
    return {"section": section}


@register.inclusion_tag("components/charts/graph.html")
def graph(drawing: Drawing, label: str) -> dict[str, Any]:
    """Nodes with arrows; each node is a link."""
    return {"drawing": drawing, "label": label}


def _short(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"
