"""Select: from the root down, always to the child with the largest upper confidence bound (METHOD.md §2)."""

import math

from meds3core.config.search import SearchConfig
from meds3core.search.tree import GrowingNode, GrowingTree


def select(tree: GrowingTree, config: SearchConfig) -> GrowingNode:
    """The incomplete leaf to expand next; the root itself in a new tree.

    Complete children are never entered. A node without children is where the walk ends: an unexpanded step, or a
    rejected answer that may be reflected upon. Must not be called on a complete tree.
    """
    node = tree.root
    while node.children:
        # max() keeps the first of equals: ties go to the lowest child index.
        node = max(
            (child for child in tree.children(node) if not child.complete),
            key=lambda child, parent=node: upper_confidence_bound(parent, child, config),  # type: ignore[misc]
        )
    return node


def upper_confidence_bound(parent: GrowingNode, child: GrowingNode, config: SearchConfig) -> float:
    """`v_child + c·sqrt(ln(N_parent) / N_child)`; a constant for an unvisited child.

    At inference the child's value is the product of the scores along its path.
    """
    if child.visits == 0 or child.value is None:
        return config.unvisited_score
    value = child.path_score if config.mode == "inference" else child.value
    return value + config.exploration * math.sqrt(math.log(parent.visits) / child.visits)
