"""The steps of trees as the columns that flagging and choosing read; what the web application reads from its tables."""

from collections.abc import Mapping, Sequence

import numpy as np

from meds3core.judgements.flagging import STATED, Steps
from meds3core.types.tree import Move, Tree

Place = tuple[int, int]
"""Number of a tree, and the node in it."""


def tree_steps(trees: Sequence[Tree], scores: Mapping[str, Sequence[float]] | None = None) -> tuple[Steps, list[Place]]:
    """Every step of these trees but the openers, with its place; `scores` of nodes by a tree's content hash."""
    scores = scores or {}
    numbers: dict[str, int] = {}
    columns: dict[str, list[float | bool]] = {
        name: [] for name in ("question", "value", "drop", "rollouts", "score", "right", "reflection", "flagged")
    }
    places: list[Place] = []
    for number, tree in enumerate(trees):
        question = numbers.setdefault(tree.question.content_hash, len(numbers))
        given = scores.get(tree.content_hash, ())
        reached = [bool(node.verdict) for node in tree.nodes]
        for node in reversed(tree.nodes[1:]):  # a child's id is greater than its parent's
            reached[node.parent] = reached[node.parent] or reached[node.id]
        for node in tree.nodes[1:]:
            value = node.value if node.verdict is None else float(node.verdict)
            before = tree.nodes[node.parent].value
            known = node.depth >= 2 and value is not None and before is not None
            places.append((number, node.id))
            columns["question"].append(question)
            columns["value"].append(np.nan if value is None else value)
            columns["drop"].append(before - value if known and before is not None and value is not None else np.nan)
            columns["rollouts"].append(len(node.outcomes) if node.verdict is None else STATED)
            columns["score"].append(given[node.id] if node.id < len(given) else np.nan)
            columns["right"].append(reached[node.id])
            columns["reflection"].append(node.move is Move.REFLECT)
            columns["flagged"].append(False)
    whole, share = np.int64, np.float64
    types = {"question": whole, "rollouts": whole, "value": share, "drop": share, "score": share}
    return Steps(**{name: np.array(cells, dtype=types.get(name, bool)) for name, cells in columns.items()}), places
