"""Trajectories: the finished paths of a tree, right and wrong ones, ranked by their weakest step."""

from collections.abc import Iterator

from meds3core.types.record import Record
from meds3core.types.tree import Tree


class Trajectory(Record):
    """The steps from the root to a node that states an answer, both included."""

    nodes: tuple[int, ...]
    bodies: tuple[str, ...]
    values: tuple[float | None, ...]
    """After backup, step by step; the root's first."""
    answer: str
    correct: bool | None
    """None in a tree grown at inference."""

    @property
    def weakest(self) -> float:
        """The minimum node value along the trajectory, root excluded: what ranks it. Valueless steps do not count."""
        return min((value for value in self.values[1:] if value is not None), default=0.0)


def finished_trajectories(tree: Tree) -> Iterator[Trajectory]:
    """Every path to a node that states an answer, by node id.

    An answer that was reflected upon ends a trajectory of its own as well: its verdict stays (METHOD.md §2).
    """
    for node in tree.nodes:
        if node.answer is None:
            continue
        path = tree.path(node.id)
        yield Trajectory(
            nodes=tuple(step.id for step in path),
            bodies=tuple(step.text for step in path),
            values=tuple(step.value for step in path),
            answer=node.answer,
            correct=node.verdict,
        )
