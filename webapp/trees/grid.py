"""A stored tree as the rows of an accessible table: depth first, so that every step stands below the one before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meds3core.types.tree import Node, Tree
from webapp.trees.models import TreeScore
from webapp.trees.reading import NodeFigures, node_figures

ROWS = 100
"""Rows of a page: with more, a browser has thousands of elements to keep."""
DEEPEST_INDENT = 24


@dataclass(frozen=True, slots=True)
class Row:
    """One node, and where it stands among its siblings."""

    node: Node
    figures: NodeFigures
    level: int
    place: int
    siblings: int
    has_children: bool
    scores: list[float | None]
    flags: int

    @property
    def marked(self) -> bool:
        """Whether there is anything to be said of it beside its figures."""
        node = self.node
        special = node.answer is not None or node.verdict is not None or node.truncated or node.closing
        return special or bool(self.flags) or self.figures.drops

    @property
    def indent(self) -> int:
        """How far to the right it stands."""
        return min(self.node.depth, DEEPEST_INDENT)


@dataclass(frozen=True, slots=True)
class Grid:
    """A page of the table. Places count from 0; `before` and `after` are the first places of the pages beside it."""

    rows: list[Row]
    first: int
    total: int
    before: int | None
    after: int | None

    @property
    def last(self) -> int:
        """The place of its last row, counted from 1."""
        return self.first + len(self.rows)


def tree_grid(
    *,
    tree: Tree,
    scores: Sequence[TreeScore],
    flags: Mapping[int, int],
    first: int = 0,
    node: int | None = None,
    size: int = ROWS,
) -> Grid:
    """The page of the table that begins at `first`, or the one that holds `node`; a column for each model's scores."""
    children = tree.children()
    order = _depth_first(children)
    total = len(order)
    if node is not None:
        first = order.index(node) // size * size
    first = max(0, min(first, total - 1))
    figures = node_figures(tree)
    rows = []
    for idx in order[first : first + size]:
        one = tree.nodes[idx]
        beside = children[one.parent] if one.parent >= 0 else [idx]
        rows.append(
            Row(
                node=one,
                figures=figures[idx],
                level=one.depth + 1,
                place=beside.index(idx) + 1,
                siblings=len(beside),
                has_children=bool(children[idx]),
                scores=[score_at(each, idx) for each in scores],
                flags=flags.get(idx, 0),
            )
        )
    return Grid(
        rows=rows,
        first=first,
        total=total,
        before=max(0, first - size) if first else None,
        after=first + size if first + size < total else None,
    )


def score_at(score: TreeScore, idx: int) -> float | None:
    """A model's score of a node; none where it has none, or where the tree did not fit the model."""
    return score.scores[idx] if idx < len(score.scores) else None


def _depth_first(children: Sequence[Sequence[int]]) -> list[int]:
    order, waiting = [], [0]
    while waiting:
        idx = waiting.pop()
        order.append(idx)
        waiting.extend(reversed(children[idx]))
    return order
