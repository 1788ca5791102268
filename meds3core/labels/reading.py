"""What labels need of a tree, and no more: a set of labels may come from more trees than fit into memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from meds3core.types.labels import Origin
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.tree import Node, Tree


@dataclass(frozen=True, slots=True)
class TreeReading:
    """One tree as labels see it; every tuple is indexed by node id.

    A step that states a wrong answer has value 0, whatever was found below it (METHOD.md §2, Reflect); one that states
    the right answer has at least its verdict for a value. None: nothing was ever simulated.
    """

    question: OpenQuestion
    origin: Origin
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    texts: tuple[str, ...]
    values: tuple[float | None, ...]
    """After backup."""
    rollout_values: tuple[float | None, ...]
    verdicts: tuple[bool | None, ...]
    answered: tuple[bool, ...]
    """Whether the step states an answer that could be read."""
    truncated: frozenset[int]
    scored: bool
    """Whether values are a reward model's scores, which are never used as its labels."""

    def path(self, node: int) -> list[int]:
        """Node ids from the root to this node, both included."""
        path = [node]
        while node:
            node = self.parents[node]
            path.append(node)
        return path[::-1]

    def bodies(self, nodes: list[int]) -> tuple[str, ...]:
        """The steps of these nodes."""
        return tuple(self.texts[node] for node in nodes)

    def finished(self) -> Iterator[int]:
        """Nodes that end a finished trajectory, right or wrong, in order of creation."""
        return (node for node, verdict in enumerate(self.verdicts) if verdict is not None)

    def weakest(self, node: int) -> float:
        """The minimum value on the way to this node, root excluded; 0 where no step has one."""
        lowest = None
        while node:
            value = self.values[node]
            if value is not None and (lowest is None or value < lowest):
                lowest = value
            node = self.parents[node]
        return lowest or 0.0

    def took_back(self, node: int) -> bool:
        """Whether a step before this one stated an answer already."""
        while node:
            node = self.parents[node]
            if self.verdicts[node] is not None:
                return True
        return False

    def common_ancestor(self, one: int, other: int) -> int:
        """The lowest node from which both descend (a node descends from itself)."""
        while one != other:
            # A child's id is greater than its parent's, so the greater of two nodes is no ancestor of the other.
            if one > other:
                one = self.parents[one]
            else:
                other = self.parents[other]
        return one


def read_tree(tree: Tree) -> TreeReading | None:
    """What labels need of this tree; None where it was grown without a gold answer and so knows no right and wrong."""
    if not isinstance(tree.question, Question):
        return None
    nodes = tree.nodes
    made_by = tree.provenance
    return TreeReading(
        question=tree.question.without_gold(),
        origin=Origin(tree=tree.content_hash, policy_hash=made_by.policy_hash, prompt_hash=made_by.prompt_hash),
        parents=tuple(node.parent for node in nodes),
        depths=tuple(node.depth for node in nodes),
        texts=tuple(node.text for node in nodes),
        values=tuple(_stated(node, node.value) for node in nodes),
        rollout_values=tuple(_stated(node, node.rollout_value) for node in nodes),
        verdicts=tuple(None if node.truncated else node.verdict for node in nodes),
        answered=tuple(node.answer is not None for node in nodes),
        truncated=frozenset(node.id for node in nodes if node.truncated),
        scored=made_by.engine != "unknown" and any(map(_scored, nodes)),
    )


def _stated(node: Node, value: float | None) -> float | None:
    """A node's value, where its verdict does not decide it."""
    if node.verdict is False:
        return 0.0
    if node.verdict is True and value is None:
        return 1.0 if node.rollout_value is None else node.rollout_value
    return value


def _scored(node: Node) -> bool:
    """Whether a node was valued without a rollout: a model's score (an imported tree does not tell)."""
    return node.rollout_value is not None and not node.outcomes and node.verdict is None and not node.truncated
