"""A stored tree as the rows of an accessible table: depth first, so that every step stands below the one before it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webapp.trees.models import NodeRow, Tree, TreeScore
from webapp.trees.services import arena_read

MOST_ROWS = 2000
"""Rows of a page; a larger tree is downloaded."""
DEEPEST_INDENT = 24


@dataclass(frozen=True, slots=True)
class Row:
    """One node, and where it stands among its siblings."""

    node: NodeRow
    indent: int
    level: int
    place: int
    siblings: int
    has_children: bool
    answer: str
    truncated: bool
    copies: int
    samples: list[dict[str, Any]]
    scores: list[float | None]


@dataclass(frozen=True, slots=True)
class Grid:
    """What a tree's page shows of it."""

    question: dict[str, Any]
    gold: str
    provenance: dict[str, Any]
    rows: list[Row]
    left_out: int


def tree_grid(*, tree: Tree, scores: Sequence[TreeScore]) -> Grid:
    """The tree's question and nodes, with a column for each reward model's scores."""
    arena = json.loads(arena_read(bytes(tree.arena)))
    nodes = list(NodeRow.objects.filter(tree=tree).order_by("idx"))
    children: dict[int, list[int]] = {}
    for node in nodes[1:]:
        children.setdefault(node.parent_idx, []).append(node.idx)
    rows: list[Row] = []
    waiting = [(0, 1, 1)] if nodes else []
    while waiting and len(rows) < MOST_ROWS:
        idx, place, siblings = waiting.pop()
        below = children.get(idx, [])
        waiting += [(child, at, len(below)) for at, child in reversed(list(enumerate(below, start=1)))]
        node, stored = nodes[idx], arena["nodes"][idx]
        rows.append(
            Row(
                node=node,
                indent=min(node.depth, DEEPEST_INDENT),
                level=node.depth + 1,
                place=place,
                siblings=siblings,
                has_children=bool(below),
                answer=stored.get("answer") or "",
                truncated=bool(stored.get("truncated")),
                copies=stored.get("copies", 1),
                samples=stored.get("samples", []),
                scores=[one.scores[idx] if idx < len(one.scores) else None for one in scores],
            )
        )
    gold = arena["question"].get("gold") or {}
    return Grid(
        arena["question"], str(gold.get("value", "")), arena["provenance"], rows, max(0, len(nodes) - len(rows))
    )
