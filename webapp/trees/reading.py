"""A finished tree in the figures that lists filter and sort by. Pure; the words are those of `meds3core.report`."""

from dataclasses import dataclass

from meds3core.types.tree import Node, Tree

DROP_SHOWN = 0.3
"""Losses of value from a step to the next that are drawn as drops, from here on."""


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """One node."""

    right: int
    rollouts: int
    drop: float | None
    """The value of the step before minus its own, from step 2 on: the root's value is a mean over everything."""

    @property
    def drops(self) -> bool:
        """Whether so much is lost that pages say so."""
        return self.drop is not None and self.drop >= DROP_SHOWN


@dataclass(frozen=True, slots=True)
class TreeFigures:
    """A whole tree."""

    nodes: int
    """All but the root."""
    depth: int
    solved: float
    right_answers: int
    wrong_answers: int
    largest_drop: float


def drop_of(*, depth: int, before: float | None, value: float | None) -> float | None:
    """What is lost from the step before to this one; None at the first step and where a value is unknown."""
    return None if depth < 2 or before is None or value is None else before - value


def figures_of(tree: Tree, node: Node) -> NodeFigures:
    """Of one node of the tree."""
    drop = drop_of(depth=node.depth, before=tree.nodes[node.parent].value, value=node.value)
    return NodeFigures(sum(node.outcomes), len(node.outcomes), drop)


def node_figures(tree: Tree) -> list[NodeFigures]:
    """Of every node, by id."""
    return [figures_of(tree, node) for node in tree.nodes]


def tree_figures(tree: Tree) -> TreeFigures:
    """`solved` is the share of right ones among all rollouts and all stated answers that were judged."""
    right = sum(node.verdict is True for node in tree.nodes)
    wrong = sum(node.verdict is False for node in tree.nodes)
    figures = node_figures(tree)
    tried = right + wrong + sum(one.rollouts for one in figures)
    return TreeFigures(
        nodes=len(tree.nodes) - 1,
        depth=max(node.depth for node in tree.nodes),
        solved=(right + sum(one.right for one in figures)) / tried if tried else 0.0,
        right_answers=right,
        wrong_answers=wrong,
        largest_drop=max((one.drop for one in figures if one.drop is not None), default=0.0),
    )
