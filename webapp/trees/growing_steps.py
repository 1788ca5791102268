"""A tree that still grows as the rows of its page: each step below the one that it follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webapp.trees.grid import DEEPEST_INDENT
from webapp.trees.reading import drop_of

MOST_ROWS = 2000
"""Rows of the table; the drawing has them all."""


@dataclass(frozen=True, slots=True)
class GrowingRow:
    """One node; `node` has the fields that `workers.kinds.search.snapshot` gives."""

    node: Mapping[str, Any]
    indent: int
    level: int
    drop: float | None


def growing_rows(*, snapshot: Mapping[str, Any]) -> list[GrowingRow]:
    """The steps of a snapshot, depth first."""
    nodes = snapshot["nodes"]
    children: dict[int, list[int]] = {}
    for node in nodes[1:]:
        children.setdefault(node["parent_idx"], []).append(node["idx"])
    rows: list[GrowingRow] = []
    waiting = [0] if nodes else []
    while waiting and len(rows) < MOST_ROWS:
        node = nodes[waiting.pop()]
        waiting += reversed(children.get(node["idx"], []))
        depth = node["depth"]
        drop = drop_of(depth=depth, before=nodes[node["parent_idx"]]["value"], value=node["value"])
        rows.append(GrowingRow(node, min(depth, DEEPEST_INDENT), depth + 1, drop))
    return rows
