"""Stop: which nodes are done with, and when a whole tree is (METHOD.md §2)."""

from meds3core.config.search import SearchConfig
from meds3core.search.tree import GrowingNode, GrowingTree
from meds3core.types.tree import StopReason


def stop_reason(tree: GrowingTree, config: SearchConfig) -> StopReason | None:
    """Why the tree must not be expanded further, or None. Asked before each expansion."""
    if tree.root.complete:
        limited = any(node.depth_limited for node in tree.nodes)
        return StopReason.MAX_DEPTH if limited else StopReason.COMPLETE
    if tree.searched_nodes >= config.max_nodes:
        return StopReason.MAX_NODES
    if config.mode == "training" and config.enough_correct is not None:  # noqa: SIM102
        if len(tree.correct_leaves()) >= config.enough_correct:
            return StopReason.ENOUGH_CORRECT
    return None


def needs_closing(tree: GrowingTree, config: SearchConfig) -> bool:
    """Whether too few correct leaves (at inference: finished ones) exist."""
    leaves = tree.correct_leaves() if config.mode == "training" else tree.finished_leaves()
    return len(leaves) < config.close_below


def settle(tree: GrowingTree, node: GrowingNode, config: SearchConfig) -> None:
    """Mark a simulated node complete if nothing can grow from it, then its ancestors as far as that completes them."""
    if node.is_leaf:
        node.complete = _leaf_is_complete(node, config)
    _complete_upwards(tree, node)


def settle_barren(tree: GrowingTree, node: GrowingNode) -> None:
    """Mark a node complete whose expansion gave no child."""
    node.complete = True
    _complete_upwards(tree, node)


def may_reflect(node: GrowingNode, config: SearchConfig) -> bool:
    """Whether this answer is rejected and a reflection is left on its path and in its depth."""
    return (
        node.answer is not None
        and node.is_leaf
        and node.rollout_value is not None
        and node.rollout_value < config.reject_below
        and node.reflections < config.max_reflections
        and not _at_max_depth(node, config)
    )


def _leaf_is_complete(node: GrowingNode, config: SearchConfig) -> bool:
    if node.truncated:
        return True
    if node.answer is not None:
        # Accepted, or rejected with no reflection left, or between the two thresholds: all complete, so that the
        # search can never come back to it for ever (a published fault).
        return not may_reflect(node, config)
    if _at_max_depth(node, config):
        node.depth_limited = True
        return True
    return False


def _at_max_depth(node: GrowingNode, config: SearchConfig) -> bool:
    return config.max_depth is not None and node.depth >= config.max_depth


def _complete_upwards(tree: GrowingTree, node: GrowingNode) -> None:
    for ancestor in (node, *tree.ancestors(node)):
        if ancestor.children:
            ancestor.complete = all(child.complete for child in tree.children(ancestor))
