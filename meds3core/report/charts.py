"""Geometry of the charts: figures with intervals in, coordinates out. `assets/charts.html.j2` draws them as SVG.

Pure arithmetic. Everything visible is also said in words (a title on every mark, a label on the chart), and tables
beside the charts hold the same figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

WIDTH, HEIGHT = 480.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 14.0, 12.0, 46.0
SERIES_COLOURS = 8


@dataclass(frozen=True)
class Point:
    """One mark; `low` and `high` where it has an interval. `hint` says it in words."""

    x: float
    y: float
    hint: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Marks joined by a line. `shown`: whether it is visible before anyone chooses."""

    name: str
    points: tuple[Point, ...]
    shown: bool = True
    dashed: bool = False


@dataclass(frozen=True)
class Tick:
    """A place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A point in the drawing's own coordinates."""

    x: float
    y: float
    low: float | None
    high: float | None
    hint: str


@dataclass(frozen=True)
class DrawnSeries:
    """A series in the drawing's own coordinates; `path` is its line."""

    name: str
    number: int
    path: str
    marks: tuple[Mark, ...]
    shown: bool
    dashed: bool


@dataclass(frozen=True)
class Chart:
    """All that the template needs."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[DrawnSeries, ...]
    diagonal: str = ""
    summary: str = ""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM
    legend: bool = field(default=True)


Scale = Literal["linear", "log"]


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_scale: Scale = "linear",
    x_ticks: Sequence[tuple[float, str]] | None = None,
    unit_square: bool = False,
    diagonal: bool = False,
    summary: str = "",
) -> Chart | None:
    """A chart of shares (y in [0, 1]) with whiskers. None without any point.

    `unit_square`: both axes from 0 to 1. Else the y axis covers the intervals, rounded to tenths.
    """
    points = [point for each in series for point in each.points]
    if not points:
        return None
    x_low, x_high = (0.0, 1.0) if unit_square else _span([point.x for point in points], x_scale)
    y_low, y_high = (0.0, 1.0) if unit_square else _share_span(points)

    def x_at(value: float) -> float:
        if x_scale == "log":
            value, low, high = math.log(value), math.log(x_low), math.log(x_high)
        else:
            low, high = x_low, x_high
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low), 2)

    def y_at(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - y_low) / (y_high - y_low), 2)

    visible = [each for each in series if each.shown and len(each.points) > 1]
    drawn = []
    for number, each in enumerate(series):
        # Whiskers at the same x would hide each other.
        dodge = 0.0
        if each in visible and not unit_square:
            dodge = 3.0 * (visible.index(each) - (len(visible) - 1) / 2)
        marks = tuple(
            Mark(
                x=x_at(point.x) + dodge,
                y=y_at(point.y),
                low=None if point.low is None else y_at(point.low),
                high=None if point.high is None else y_at(point.high),
                hint=point.hint,
            )
            for point in each.points
        )
        path = " ".join(f"{'L' if place else 'M'}{mark.x:g} {mark.y:g}" for place, mark in enumerate(marks))
        dashed = each.dashed or number >= SERIES_COLOURS  # the second time round the colours
        drawn.append(DrawnSeries(each.name, number % SERIES_COLOURS + 1, path, marks, each.shown, dashed))
    ticks = x_ticks if x_ticks is not None else _ticks(x_low, x_high, x_scale, percent=unit_square)
    return Chart(
        title=title,
        x_label=x_label,
        y_label=y_label,
        x_ticks=tuple(Tick(x_at(at), label) for at, label in ticks if x_low <= at <= x_high),
        y_ticks=tuple(Tick(y_at(at), label) for at, label in _share_ticks(y_low, y_high)),
        series=tuple(drawn),
        diagonal=f"M{x_at(0):g} {y_at(0):g} L{x_at(1):g} {y_at(1):g}" if diagonal else "",
        summary=summary,
        legend=len(series) > 1,
    )


@dataclass(frozen=True)
class WhiskerRow:
    """A figure with its interval; `dots`: single runs. In a drawn table all are percent of the track's width."""

    name: str
    value: float
    low: float
    high: float
    figure: str
    hint: str = ""
    tone: str = ""
    dots: tuple[float, ...] = ()


@dataclass(frozen=True)
class WhiskerTable:
    """Rows on one scale; `zero`: where no difference lies, None for plain shares."""

    title: str
    rows: tuple[WhiskerRow, ...]
    low_label: str
    high_label: str
    zero: float | None = None


def whisker_table(title: str, rows: Sequence[WhiskerRow], *, differences: bool = False) -> WhiskerTable | None:
    """Intervals one below the other: of shares from 0 to 1, or of differences around zero. None without rows."""
    if not rows:
        return None
    if differences:
        reach = max(max(abs(row.low), abs(row.high), *map(abs, row.dots), 0.0) for row in rows)
        reach = math.ceil(max(reach, 0.01) * 20) / 20
        low, high = -reach, reach
    else:
        low, high = 0.0, 1.0

    def at(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    placed = tuple(
        replace(row, value=at(row.value), low=at(row.low), high=at(row.high), dots=tuple(map(at, row.dots)))
        for row in rows
    )
    sign = f"{100 * high:.0f}"
    return WhiskerTable(
        title=title,
        rows=placed,
        low_label=f"−{sign} points" if differences else "0%",
        high_label=f"+{sign} points" if differences else "100%",
        zero=at(0.0) if differences else None,
    )


def _span(values: Sequence[float], scale: Scale) -> tuple[float, float]:
    low, high = min(values), max(values)
    if scale == "log":
        pad = 1.08 if high > low else 2.0
        return low / pad, high * pad
    pad = (high - low) * 0.04 or 0.5
    return low - pad, high + pad


def _share_span(points: Sequence[Point]) -> tuple[float, float]:
    low = min(point.y if point.low is None else min(point.low, point.y) for point in points)
    high = max(point.y if point.high is None else max(point.high, point.y) for point in points)
    low, high = math.floor(low * 10 + 1e-9) / 10, math.ceil(high * 10 - 1e-9) / 10
    return (low, high) if high - low > 0.15 else (max(0.0, low - 0.1), min(1.0, low + 0.2) if low < 1 else 1.0)


def _share_ticks(low: float, high: float) -> list[tuple[float, str]]:
    tenths = 1 if high - low <= 0.65 else 2
    first, last = math.ceil(low * 10 - 1e-6), math.floor(high * 10 + 1e-6)
    return [(tenth / 10, f"{10 * tenth}%") for tenth in range(first + first % tenths, last + 1, tenths)]


def _ticks(low: float, high: float, scale: Scale, *, percent: bool) -> list[tuple[float, str]]:
    if percent:
        return [(tenth / 10, f"{10 * tenth}%") for tenth in range(0, 11, 2)]
    if scale == "log":
        ticks = []
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
            for lead in (1, 2, 5):
                value = lead * 10.0**power
                if low <= value <= high:
                    ticks.append((value, _short(value)))
        return ticks if len(ticks) > 1 else [(low * 1.05, _short(low * 1.05)), (high / 1.05, _short(high / 1.05))]
    step = 10 ** math.floor(math.log10((high - low) / 3))
    first = math.ceil(low / step)
    return [(index * step, _short(index * step)) for index in range(first, int(high / step) + 1)]


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
