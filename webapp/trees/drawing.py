"""A tree as columns for its drawing: one list per property. A node's place is its id, ids are the order of growth.

No text of a rollout is in it, and of a step only its beginning: the drawing of 50,000 nodes has to fit through a wire.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from meds3core.errors import UserError
from meds3core.labels.subsample import value_growth
from meds3core.types.tree import Tree as TreeRecord
from webapp.trees.models import Tree, TreeScore
from webapp.trees.reading import DROP_SHOWN, drop_of
from webapp.trees.services import arena_read

FORMAT = "meds3-drawing/1"
MOVES = ("root", "reason", "finish", "reflect")
MOST_TEXTS = 2000
"""Nodes of the largest tree whose steps' beginnings are given too."""
BEGINNING = 90
MOST_REPLAYED = 500
"""Nodes of the largest tree whose replay shows the values of each moment."""
_DIGITS = 9
"""Fewer would round twice: what is shown has two digits."""


def tree_columns(*, tree: Tree, scores: Sequence[TreeScore], flagged: Collection[int] = ()) -> dict[str, Any]:
    """Of a finished tree, with the reward models' scores and the nodes that people flagged."""
    return record_columns(line=arena_read(bytes(tree.arena))) | {
        "flagged": sorted(flagged),
        "scores": [
            {"model": str(score.model_id), "name": str(score.model), "values": [_short(each) for each in score.scores]}
            for score in scores
            if score.scores
        ],
    }


def record_columns(*, line: str) -> dict[str, Any]:
    """Of a tree as its line has it (`meds3core.data.trees.tree_line`), without what was said or found out since."""
    nodes = json.loads(line)["nodes"]  # what is as by default stands in no line
    return _columns(
        parents=[node["parent"] for node in nodes],
        moves=[node["move"] for node in nodes],
        values=[node.get("value") for node in nodes],
        visits=[node.get("visits", 0) for node in nodes],
        right=[sum(node.get("outcomes", ())) for node in nodes],
        rollouts=[len(node.get("outcomes", ())) for node in nodes],
        verdicts=[node.get("verdict") for node in nodes],
        rest=nodes,
    ) | {
        "state": "done",
        "growth": _growth(line) if len(nodes) <= MOST_REPLAYED else None,
        "flagged": [],
        "scores": [],
    }


def growing_columns(*, snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Of a tree that still grows, from what its worker published last."""
    nodes = snapshot["nodes"]
    return _columns(
        parents=[node["parent_idx"] for node in nodes],
        moves=[node["move"] for node in nodes],
        values=[node["value"] for node in nodes],
        visits=[node["visits"] for node in nodes],
        right=[node["right"] for node in nodes],
        rollouts=[node["rollouts"] for node in nodes],
        verdicts=[node["verdict"] for node in nodes],
        rest=nodes,
    ) | {"state": "growing", "growth": None, "flagged": [], "scores": []}


def _columns(
    *,
    parents: list[int],
    moves: list[str],
    values: list[float | None],
    visits: list[int],
    right: list[int],
    rollouts: list[int],
    verdicts: list[bool | None],
    rest: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    with_texts = len(parents) <= MOST_TEXTS
    number = {move: place for place, move in enumerate(MOVES)}
    return {
        "format": FORMAT,
        "moves": MOVES,
        "drop_shown": DROP_SHOWN,
        "parent": parents,
        "move": [number[move] for move in moves],
        "value": [_short(value) for value in values],
        "visits": visits,
        "right": right,
        "rollouts": rollouts,
        "drop": [
            _short(drop_of(depth=node["depth"], before=values[parent], value=value))
            for node, parent, value in zip(rest, parents, values, strict=True)
        ],
        "verdict": [None if verdict is None else int(verdict) for verdict in verdicts],
        "truncated": [place for place, node in enumerate(rest) if node.get("truncated")],
        "closing": [place for place, node in enumerate(rest) if node.get("closing")],
        "copies": [[place, node["copies"]] for place, node in enumerate(rest) if node.get("copies", 1) > 1],
        "answers": [[place, node["answer"][:BEGINNING]] for place, node in enumerate(rest) if node.get("answer")],
        "texts": [_beginning(node["text"]) for node in rest] if with_texts else None,
    }


def _growth(line: str) -> list[list[float | None] | None] | None:
    """By node, the values of its path, itself first, once it was backed up; None where no backup rule repeats them."""
    record = TreeRecord.model_validate_json(line)
    try:
        found = value_growth(record)
    except UserError:
        return None
    visits = [0] * len(record.nodes)
    for node, values in zip(record.nodes, found, strict=True):
        for each in record.path(node.id) if values else ():
            visits[each.id] += 1
    if visits != [node.visits for node in record.nodes]:
        return None  # written elsewhere, and counted in another way
    return [None if values is None else [_short(value) for value in values] for values in found]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _beginning(text: str) -> str:
    words = " ".join(text[: 2 * BEGINNING].split())
    return words if len(words) <= BEGINNING else words[: BEGINNING - 1] + "…"
