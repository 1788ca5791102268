"""Distributions of a search as the rows of histograms: label, count, and the count in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.jobs.standing import pace, span
from webapp.trees.figures import BINS, SearchFigures, Throughput

Rows = list[tuple[str, int, str]]
_LABELS = 6
"""Labels that find room below a row of narrow columns."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the page of a search draws."""

    solved: Rows
    values: Rows
    depths: Rows
    rollouts: Rows
    throughput: Rows
    speed: str
    """Trees in time over the whole; empty where nothing can be said."""


def drawn(figures: SearchFigures) -> Drawn:
    """Rows for every histogram; empty ones where there is nothing to show."""
    return Drawn(
        solved=_tenths(figures.solved_bins, "tree"),
        values=_tenths(figures.values, "step") if any(figures.values) else [],
        depths=[(str(depth), count, f"{_counted(count, 'step')} at depth {depth}")
                for depth, count in enumerate(figures.depths, start=1)],
        rollouts=[(str(each.low), each.trees,
                   f"{_counted(each.trees, 'tree')} with {each.low} to {each.high} rollouts")
                  for each in figures.rollout_bins],
        throughput=_throughput(figures.throughput) if figures.throughput else [],
        speed=_speed(figures.throughput, figures.trees) if figures.throughput else "",
    )  # fmt: skip


def _tenths(counts: Sequence[int], noun: str) -> Rows:
    edges = [f"{number / BINS:.1f}" for number in range(BINS + 1)]
    return [
        (edges[number], count, f"{_counted(count, noun)} from {edges[number]} to {edges[number + 1]}")
        for number, count in enumerate(counts)
    ]


def _throughput(found: Throughput) -> Rows:
    every = max(1, len(found.spans) // _LABELS)
    return [
        (
            _clock(each.begins) if not place % every else "",
            each.trees,
            f"{_counted(each.trees, 'tree')} in {span(found.seconds)} from {_clock(each.begins)}",
        )
        for place, each in enumerate(found.spans)
    ]


def _speed(found: Throughput, trees: int) -> str:
    return pace((trees - 1) / (found.seconds * len(found.spans)))


def _clock(seconds: float) -> str:
    """A time since the first tree: `0:40`, `12:05`, `3:20 h`."""
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
