"""Drawings of what follows from what: nodes in rows, each row below those that it needs. Pure arithmetic.

`{% graph drawing label %}` (webapp.common.templatetags.charts) draws it as SVG; every node is a link. A page shows the
same as a list beside it, for those who do not see it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

GAP_X, GAP_Y = 10.0, 26.0
HEAD = 30.0
"""Room for the names of lanes."""
LETTER = 7.3
"""Width of a letter of the title, about."""


@dataclass(frozen=True, slots=True)
class Node:
    """A thing. `lane` is the column group that it stands in, `tone` a class of its look, `hint` all of it in words."""

    key: str
    title: str
    url: str
    note: str = ""
    tone: str = ""
    icon: str = ""
    hint: str = ""
    lane: int = 0
    current: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A node in the drawing's own coordinates."""

    node: Node
    x: float
    y: float
    title: str
    note: str


@dataclass(frozen=True, slots=True)
class Line:
    """An arrow from one node to another."""

    source: str
    target: str
    path: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The name over a group of columns."""

    name: str
    left: float
    middle: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """All that the template needs."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    lanes: tuple[Lane, ...]
    width: float
    height: float
    box_width: float
    box_height: float


def draw(
    nodes: Sequence[Node],
    edges: Iterable[tuple[str, str]],
    *,
    lanes: Sequence[str] = (),
    keep: Collection[str] = (),
    box: tuple[float, float] = (150.0, 44.0),
) -> Drawing:
    """Lay the nodes out from top to bottom.

    An edge that follows from others is left out, unless it begins or ends at a node of `keep`. Edges to unknown nodes
    are ignored. Raises `graphlib.CycleError` for what goes round in a circle.
    """
    by_key = {node.key: node for node in nodes}
    pairs = {(one, other) for one, other in edges if one in by_key and other in by_key and one != other}
    parents: dict[str, set[str]] = {key: set() for key in by_key}
    for one, other in pairs:
        parents[other].add(one)
    order = list(TopologicalSorter({key: sorted(found) for key, found in parents.items()}).static_order())
    shown = _without_detours(pairs, order, parents, keep)
    rows = _rows(order, parents)
    groups = len(lanes) or 1
    table: dict[tuple[int, int], list[str]] = {}
    for key in (node.key for node in nodes):
        table.setdefault((rows[key], by_key[key].lane if lanes else 0), []).append(key)
    _untangle(table, shown, max(rows.values(), default=0) + 1, groups)
    width, height = box
    columns = [
        max((len(keys) for (_, lane), keys in table.items() if lane == group), default=0) for group in range(groups)
    ]
    lefts, left = [], 0.0
    for count in columns:
        lefts.append(left)
        left += count * (width + GAP_X) + (GAP_X if count else 0.0)
    head = HEAD if lanes else 2.0
    places: dict[str, tuple[float, float]] = {}
    for (row, group), keys in table.items():
        spare = (columns[group] - len(keys)) * (width + GAP_X) / 2
        for place, key in enumerate(keys):
            places[key] = (lefts[group] + spare + place * (width + GAP_X) + 2, head + row * (height + GAP_Y))
    boxes = tuple(
        Box(node, round(x, 1), round(y, 1), _short(node.title, width - 10), _short(node.note, width - 28, 6.0))
        for node in nodes
        for x, y in (places[node.key],)
    )
    lines = tuple(Line(one, other, _path(places[one], places[other], width, height)) for one, other in sorted(shown))
    named = tuple(
        Lane(name, lefts[group] + 2, lefts[group] + columns[group] * (width + GAP_X) / 2)
        for group, name in enumerate(lanes)
        if columns[group]
    )
    depth = max(rows.values(), default=-1) + 1
    return Drawing(
        boxes, lines, named, round(max(left - GAP_X, width) + 4, 1), head + depth * (height + GAP_Y), width, height
    )


def _without_detours(
    pairs: set[tuple[str, str]], order: Sequence[str], parents: Mapping[str, set[str]], keep: Collection[str]
) -> set[tuple[str, str]]:
    """The edges that are not implied by a longer way."""
    above: dict[str, set[str]] = {}
    for key in order:
        above[key] = parents[key].union(*(above[one] for one in parents[key])) if parents[key] else set()
    return {
        (one, other)
        for one, other in pairs
        if one in keep or other in keep or not any(one in above[middle] for middle in parents[other])
    }


def _rows(order: Sequence[str], parents: Mapping[str, set[str]]) -> dict[str, int]:
    """Each below all that it needs; what needs nothing stands just above the first that needs it."""
    rows: dict[str, int] = {}
    for key in order:
        rows[key] = max((rows[one] + 1 for one in parents[key]), default=0)
    for key in reversed(order):
        if not parents[key]:
            below = [rows[other] for other in order if key in parents[other]]
            rows[key] = max(min(below, default=1) - 1, 0)
    return rows


def _untangle(table: dict[tuple[int, int], list[str]], edges: set[tuple[str, str]], depth: int, groups: int) -> None:
    """Order each row by where its neighbours stand, a few times down and up."""
    near: dict[str, list[str]] = {}
    for one, other in sorted(edges):
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    at = {key: float(place) for keys in table.values() for place, key in enumerate(keys)}
    for sweep in range(4):
        for row in range(depth) if sweep % 2 == 0 else range(depth - 1, -1, -1):
            for group in range(groups):
                keys = table.get((row, group), [])
                middle = {key: sum(at[one] for one in near.get(key, [key])) / len(near.get(key, [key])) for key in keys}
                keys.sort(key=lambda key: middle[key])
                spare = len(keys) / 2
                at.update({key: place - spare + 0.5 for place, key in enumerate(keys)})


def _path(one: tuple[float, float], other: tuple[float, float], width: float, height: float) -> str:
    x1, y1, x2, y2 = one[0] + width / 2, one[1] + height, other[0] + width / 2, other[1]
    if abs(x1 - x2) < 1:
        return f"M{x1:g} {y1:g} L{x2:g} {y2:g}"
    bend = y2 - GAP_Y  # straight down, and over just above the target
    half = GAP_Y / 2
    return f"M{x1:g} {y1:g} L{x1:g} {bend:g} C{x1:g} {bend + half:g} {x2:g} {bend + half:g} {x2:g} {y2:g}"


def _short(text: str, width: float, letter: float = LETTER) -> str:
    most = int(width / letter)
    return text if len(text) <= most else text[: most - 1] + "…"
