"""A stored tree as the rows of an accessible table: depth first, so that every step stands below the one before it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from meds3core.types.tree import Node, Tree
from webapp.trees.models import TreeScore
from webapp.trees.reading import NodeFigures, figures_of

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
    links = _Links.of(tree)
    total = len(tree.nodes)
    if node is not None:
        first = next(place for place, idx in enumerate(links.depth_first()) if idx == node) // size * size
    first = max(0, min(first, total - 1))
    rows = []
    for idx in islice(links.depth_first(), first, first + size):
        one = tree.nodes[idx]
        beside = links.children(one.parent) if one.parent >= 0 else [idx]
        rows.append(
            Row(
                node=one,
                figures=figures_of(tree, one),
                level=one.depth + 1,
                place=beside.index(idx) + 1,
                siblings=len(beside),
                has_children=links.first[idx] >= 0,
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


@dataclass(frozen=True, slots=True)
class _Links:
    """What follows what, in two lists: a tree of 50,000 steps is walked as far as a page of its table needs."""

    first: list[int]
    """First child by node; -1 for none."""
    next: list[int]
    """Next child of the same parent; -1 for none."""

    @staticmethod
    def of(tree: Tree) -> "_Links":
        first, following = [-1] * len(tree.nodes), [-1] * len(tree.nodes)
        for idx in range(len(tree.nodes) - 1, 0, -1):
            parent = tree.nodes[idx].parent
            first[parent], following[idx] = idx, first[parent]
        return _Links(first, following)

    def children(self, idx: int) -> list[int]:
        """In order of creation."""
        found, child = [], self.first[idx]
        while child >= 0:
            found.append(child)
            child = self.next[child]
        return found

    def depth_first(self) -> Iterator[int]:
        """Every node from the root on, each before what follows it."""
        waiting = [0]
        while waiting:
            idx = waiting.pop()
            yield idx
            if self.next[idx] >= 0:
                waiting.append(self.next[idx])
            if self.first[idx] >= 0:
                waiting.append(self.first[idx])
