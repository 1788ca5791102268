"""A tree as the trajectories from its root to its leaves, and the way back from their scores to nodes."""

from collections.abc import Sequence

from meds3core.encoding.trajectory import EncodedTrajectory, TrajectoryEncoder
from meds3core.types.tree import Tree


class TreePaths:
    """`trajectories`: one per leaf of every tree, all nodes covered."""

    def __init__(self, trees: Sequence[Tree], encoder: TrajectoryEncoder) -> None:
        self.trajectories: list[EncodedTrajectory] = []
        self._nodes: list[tuple[int, list[int]]] = []
        self._sizes = [len(tree.nodes) for tree in trees]
        for number, tree in enumerate(trees):
            parents = {node.parent for node in tree.nodes}
            for node in tree.nodes:
                if node.id not in parents:
                    path = tree.path(node.id)
                    self.trajectories.append(encoder.steps(tree.question, [step.text for step in path]))
                    self._nodes.append((number, [step.id for step in path]))

    def by_node(self, scores: Sequence[Sequence[float]]) -> list[list[float]]:
        """Per tree one score per node; where paths share a node, the first one's."""
        found = [[-1.0] * size for size in self._sizes]
        for (number, nodes), values in zip(self._nodes, scores, strict=True):
            for node, value in zip(nodes, values, strict=True):
                if found[number][node] < 0.0:
                    found[number][node] = value
        return found
