"""The same tree with fewer rollouts per node: what would its values have been? For studies of label noise.

Only the estimates change. Where the search went was decided with all rollouts.
"""

import random
from typing import get_args

from meds3core.config.search import BackupRule
from meds3core.errors import UserError
from meds3core.search.backup import back_up
from meds3core.search.tree import GrowingNode, GrowingTree
from meds3core.types.tree import Node, Tree

_TOLERANCE = 1e-9


def with_fewer_rollouts(tree: Tree, k: int, seed: int, *, backup: BackupRule | None = None) -> Tree:
    """Keep k of every node's stored outcomes, drawn without replacement, and compute all values anew.

    Which outcomes stay depends on (seed, question, node) only, and those of a smaller k are among those of a greater
    one, so studies with several k are paired. Nodes with k outcomes or fewer keep theirs; verdicts, texts, visits
    and totals (what the search did cost) stay. `backup` is the rule the tree was grown with; None: the one that gives
    the tree's own values when replayed.

    Raises `UserError`: k < 1, a node was valued without rollouts, or no rule gives the tree's values.
    """
    if k < 1:
        raise UserError(f"{k} rollouts per node: at least 1 is needed")
    _check_rollouts(tree)
    rule = backup or backup_rule(tree)
    nodes = []
    for node in tree.nodes:
        if len(node.outcomes) > k:
            draw = random.Random(f"{seed} {tree.question.content_hash} {node.id}")
            order = list(range(len(node.outcomes)))
            draw.shuffle(order)
            outcomes = tuple(node.outcomes[index] for index in sorted(order[:k]))
            node = node.model_copy(update={"outcomes": outcomes, "rollout_value": sum(outcomes) / k})
        nodes.append(node)
    values = replayed_values(tuple(nodes), tree, rule)
    changed = (node.model_copy(update={"value": value}) for node, value in zip(nodes, values, strict=True))
    # `model_copy` would carry the content hash of the old values along.
    return Tree(
        question=tree.question,
        provenance=tree.provenance,
        stop_reason=tree.stop_reason,
        totals=tree.totals,
        nodes=tuple(changed),
    )


def backup_rule(tree: Tree) -> BackupRule:
    """The rule whose replay gives the tree's stored values; the published one where several do. Raises `UserError`."""
    for rule in get_args(BackupRule):
        values = replayed_values(tree.nodes, tree, rule)
        if all(_same(value, node.value) for value, node in zip(values, tree.nodes, strict=True)):
            return rule  # type: ignore[no-any-return]
    raise UserError(
        f"tree of question {tree.question.id!r}: no backup rule gives its values, so they cannot be computed anew"
    )


def replayed_values(nodes: tuple[Node, ...], tree: Tree, rule: BackupRule) -> list[float | None]:
    """The values after backing up every node in the order of creation, by the search's own code.

    A search backs up its new nodes round by round, in order of id: nodes of later rounds have no visits yet and weigh
    nothing, so one pass over the finished tree repeats it.
    """
    growing = _attached(nodes, tree)
    for grown in growing.nodes[1:]:
        if _counts(growing, grown):
            back_up(growing, grown, rule)
    return [grown.value for grown in growing.nodes]


def value_growth(tree: Tree) -> list[list[float | None] | None]:
    """What each backup made of the values along its path, by node: its own value, its parent's, … the root's.

    None for the root and for nodes that were not backed up; each backup counts one visit for all of its path. Raises
    `UserError` where no backup rule repeats the tree.
    """
    rule = backup_rule(tree)
    growing = _attached(tree.nodes, tree)
    found: list[list[float | None] | None] = [None]
    for grown in growing.nodes[1:]:
        if _counts(growing, grown):
            back_up(growing, grown, rule)
            found.append([grown.value, *(above.value for above in growing.ancestors(grown))])
        else:
            found.append(None)
    return found


def _attached(nodes: tuple[Node, ...], tree: Tree) -> GrowingTree:
    growing = GrowingTree(tree.question)
    for node in nodes[1:]:
        grown = growing.attach(growing.nodes[node.parent], node.move, node.text, closing=node.closing)
        grown.rollout_value = node.rollout_value
    return growing


def _counts(growing: GrowingTree, node: GrowingNode) -> bool:
    """As in the search: no visit is counted below a closing step that got no rollouts."""
    return node.rollout_value is not None and all(
        ancestor.rollout_value is not None for ancestor in growing.ancestors(node) if ancestor.closing
    )


def _check_rollouts(tree: Tree) -> None:
    for node in tree.nodes:
        by_rollouts = node.outcomes or node.verdict is not None or node.truncated or node.rollout_value is None
        if not by_rollouts:
            raise UserError(
                f"tree of question {tree.question.id!r}: node {node.id} has a value but no stored rollouts "
                "(imported, or valued by a reward model), so none can be left out"
            )


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _TOLERANCE
