"""The answer of a tree grown at inference: the scorer's vote over its finished leaves (METHOD.md §2, §5)."""

from meds3core.types.record import Record
from meds3core.types.tree import Tree


class TreeAnswer(Record):
    """The answer with the greatest sum of leaf scores."""

    answer: str
    score: float
    """Sum of the scores of the leaves that state it."""
    best_leaf: int
    """The best-scored of these leaves."""


def vote_sum(tree: Tree) -> TreeAnswer | None:
    """Sum the leaves' scores per answer; ties go to the greater best score, then to the lower node id.

    A leaf's score is the simulation value of its last step. None when no leaf states an answer.
    """
    has_children = {node.parent for node in tree.nodes}
    votes: dict[str, tuple[float, float, int]] = {}
    for node in tree.nodes:
        if node.answer is None or node.id in has_children:
            continue
        score = node.rollout_value or 0.0
        total, best, leaf = votes.get(node.answer, (0.0, -1.0, node.id))
        votes[node.answer] = (total + score, *((score, node.id) if score > best else (best, leaf)))
    if not votes:
        return None
    answer, (total, _, leaf) = max(votes.items(), key=lambda vote: (vote[1][0], vote[1][1], -vote[1][2]))
    return TreeAnswer(answer=answer, score=total, best_leaf=leaf)
