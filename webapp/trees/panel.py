"""Everything that is known of one node, as the side panel of a tree shows it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meds3core.text.steps import render_trajectory
from meds3core.types.tree import Node, Tree
from webapp.trees.grid import score_at
from webapp.trees.models import TreeScore
from webapp.trees.reading import NodeFigures, figures_of


@dataclass(frozen=True, slots=True)
class Score:
    """What one reward model gives a node."""

    name: str
    score: float | None
    apart: float | None
    """The score minus the node's value; none where either is unknown."""


@dataclass(frozen=True, slots=True)
class Step:
    """A node in short: on the path, beside the chosen one, or after it."""

    node: Node
    figures: NodeFigures
    scores: list[float | None]
    flags: int
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One node with its surroundings."""

    node: Node
    figures: NodeFigures
    scores: list[Score]
    path: list[Step]
    """From the root to the node, both included."""
    text: str
    """The path as the trajectory text that models read and write."""
    siblings: list[Step]
    """The children of its parent in order of growth, itself included; the root has none beside it."""
    children: list[Step]
    models: list[str]


def node_panel(*, tree: Tree, idx: int, scores: Sequence[TreeScore], flags: Mapping[int, int]) -> Panel:
    """The panel of the node `idx`. Raises `IndexError` for one that the tree does not have."""
    node = tree.nodes[idx]

    def step(one: Node) -> Step:
        found = [score_at(score, one.id) for score in scores]
        return Step(one, figures_of(tree, one), found, flags.get(one.id, 0), one.id == idx)

    path = tree.path(idx)
    return Panel(
        node=node,
        figures=figures_of(tree, node),
        scores=[Score(str(each.model), given := score_at(each, idx), _apart(given, node.value)) for each in scores],
        path=[step(one) for one in path],
        text=render_trajectory([one.text for one in path]),
        siblings=[step(one) for one in tree.nodes if one.parent == node.parent and one.parent >= 0],
        children=[step(one) for one in tree.nodes if one.parent == idx],
        models=[str(each.model) for each in scores],
    )


def _apart(score: float | None, value: float | None) -> float | None:
    return None if score is None or value is None else score - value
