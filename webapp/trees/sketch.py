"""A small still picture of a tree, drawn by the server: two of them stand side by side where trees are compared.

Steps go from left to right by depth, leaves from top to bottom. The large drawing that moves is the browser's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from meds3core.types.tree import Move, Node, Tree
from webapp.trees.reading import node_figures

MOST = 400
"""Nodes that a small picture can hold."""
STEP, LINE, EDGE = 56.0, 16.0, 10.0
_TICK = 8.0
"""Room for the sign behind an answer."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A node in the picture's own coordinates. `tone` is the tenth of its value, 0 to 9; none: it has no value."""

    node: Node
    x: float
    y: float
    tone: int | None
    shape: str
    hint: str


@dataclass(frozen=True, slots=True)
class Line:
    """An edge; `drops` where much value is lost along it."""

    path: str
    drops: bool


@dataclass(frozen=True, slots=True)
class Sketch:
    """The whole picture."""

    dots: list[Dot]
    lines: list[Line]
    width: float
    height: float


def tree_sketch(tree: Tree) -> Sketch | None:
    """The picture, or none where the tree is too large for it."""
    if len(tree.nodes) > MOST:
        return None
    children = tree.children()
    rows = _rows(children)
    x = [EDGE + STEP * node.depth for node in tree.nodes]
    y = [EDGE + LINE * row for row in rows]
    figures = node_figures(tree)
    lines = []
    for node in tree.nodes[1:]:
        before = node.parent
        middle = (x[before] + x[node.id]) / 2
        curve = f"{x[before]:g} {y[before]:g}C{middle:g} {y[before]:g} {middle:g} {y[node.id]:g} {x[node.id]:g}"
        lines.append(Line(f"M{curve} {y[node.id]:g}", figures[node.id].drops))
    dots = [Dot(node, x[node.id], y[node.id], _tone(node), _shape(node), _hint(node)) for node in tree.nodes]
    return Sketch(dots, lines, max(x) + 2 * EDGE + _TICK, max(y) + EDGE)


def _rows(children: Sequence[Sequence[int]]) -> list[float]:
    """Leaves get lines of their own from top to bottom, others stand in the middle of what follows them."""
    rows = [0.0] * len(children)
    leaves = 0
    waiting = [(0, False)]
    while waiting:
        idx, done = waiting.pop()
        below = children[idx]
        if not below:
            rows[idx] = float(leaves)
            leaves += 1
        elif done:
            rows[idx] = (rows[below[0]] + rows[below[-1]]) / 2
        else:
            waiting.append((idx, True))
            waiting.extend((child, False) for child in reversed(below))
    return rows


def _tone(node: Node) -> int | None:
    return None if node.value is None else min(int(node.value * 10), 9)


def _shape(node: Node) -> str:
    if node.move is Move.REFLECT:
        return "diamond"
    return "square" if node.verdict is not None or node.answer is not None else "circle"


def _hint(node: Node) -> str:
    value = "no value" if node.value is None else f"value {node.value:.2f}"
    verdict = {True: ", right", False: ", wrong", None: ""}[node.verdict]
    return f"Node {node.id}, step {node.depth}, {node.move.value}, {value}{verdict}"
