"""Back up: a new node's simulation changes the values of all its ancestors (METHOD.md §2)."""

from meds3core.config.search import BackupRule
from meds3core.search.tree import GrowingNode, GrowingTree


def back_up(tree: GrowingTree, node: GrowingNode, rule: BackupRule) -> None:
    """Count one visit for the node and every ancestor, and renew the ancestors' values from their children's.

    `mean`:     v = Σ v_child·N_child / Σ N_child
    `blend`:    v = (v + Σ v_child·N_child / Σ N_child) / 2, the old v on the right: depends on the order (published)
    `anchored`: v = (rollout value + Σ v_child·N_child / Σ N_child) / 2, a function of the finished tree (ours)

    The root has no simulation of its own and uses `mean` under every rule. A node without a simulation value
    (a closing step that got no rollouts) is not backed up and weighs nothing.
    """
    node.visits += 1
    node.value = node.rollout_value
    for ancestor in tree.ancestors(node):
        ancestor.visits += 1
        mean = children_mean(tree, ancestor)
        if mean is None:
            continue
        if ancestor is tree.root or rule == "mean":
            ancestor.value = mean
        else:
            own = ancestor.value if rule == "blend" else ancestor.rollout_value
            ancestor.value = mean if own is None else (own + mean) / 2


def children_mean(tree: GrowingTree, node: GrowingNode) -> float | None:
    """Mean of the children's values weighted by their visits; None where no child has any."""
    total = 0.0
    visits = 0
    for child in tree.children(node):
        if child.visits and child.value is not None:
            total += child.value * child.visits
            visits += child.visits
    return total / visits if visits else None
