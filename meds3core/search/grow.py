"""Grow one tree: straight-line code that waits, so that hundreds can grow at once (METHOD.md §2).

A tree is a function of (question, policy, configuration, seed) and nothing else.
"""

import hashlib
from collections.abc import Callable, Sequence

from meds3core.search.backup import back_up
from meds3core.search.base import SearchTools
from meds3core.search.concurrency import gather
from meds3core.search.expand import attach_chain, draw_move, expand, state_answers
from meds3core.search.select import select
from meds3core.search.simulate import simulate
from meds3core.search.stop import needs_closing, settle, settle_barren, stop_reason
from meds3core.search.tree import GrowingNode, GrowingTree
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.tree import Move, Provenance, Tree

Watch = Callable[[GrowingTree], None]
"""Called after each round with the tree as it stands; must be quick and change nothing."""


async def grow(question: Question | OpenQuestion, tools: SearchTools, watch: Watch | None = None) -> Tree:
    """Search one question and return its whole tree, dead ends included.

    Raises what the engine or the scorer raised; a cancelled or failed tree leaves nothing behind.
    """
    config = tools.config
    tree = GrowingTree(question)
    while (reason := stop_reason(tree, config)) is None:
        node = select(tree, config)
        new_nodes = await expand(tree, node, tools)
        if not new_nodes:
            settle_barren(tree, node)
        await simulate(tree, new_nodes, tools)
        absorb(tree, new_nodes, tools)
        if watch:
            watch(tree)
    if needs_closing(tree, config):
        await close(tree, tools)
        if watch:
            watch(tree)
    return tree.record(reason, provenance(tools))


async def close(tree: GrowingTree, tools: SearchTools) -> None:
    """Give every unfinished, untruncated leaf one Finish move, best value first, outside `max_nodes`."""
    leaves = sorted(tree.open_leaves(), key=lambda leaf: (-(leaf.value or 0.0), leaf.id))
    drawn = await gather(draw_move(tree, leaf, Move.FINISH, 0, tools, purpose="close") for leaf in leaves)
    first_new = len(tree.nodes)
    for leaf, steps in zip(leaves, drawn, strict=True):
        attach_chain(tree, leaf, Move.FINISH, steps, closing=True)
    new_nodes = state_answers(tree, first_new, tools)
    to_simulate = new_nodes
    if not tools.config.close_rollouts:
        # The intermediate steps stay without value and label.
        to_simulate = [node for node in new_nodes if node.answer is not None or node.truncated]
    await simulate(tree, to_simulate, tools)
    absorb(tree, new_nodes, tools)


def absorb(tree: GrowingTree, new_nodes: Sequence[GrowingNode], tools: SearchTools) -> None:
    """Back up and settle new nodes in request order, never in order of arrival."""
    for node in new_nodes:
        if _simulated_from_the_root(tree, node):
            back_up(tree, node, tools.config.backup)
    for node in new_nodes:
        settle(tree, node, tools.config)


def provenance(tools: SearchTools) -> Provenance:
    """What makes these trees, besides their questions."""
    info = tools.engine.info
    config = tools.config.model_dump_json() + tools.scorer_hash
    return Provenance(
        policy=info.model,
        policy_hash=info.model_hash,
        engine=info.kind,
        prompt=tools.prompt.label,
        prompt_hash=tools.prompt.hash,
        config_hash=hashlib.blake2b(config.encode(), digest_size=16).hexdigest(),
        seed=tools.seed,
    )


def _simulated_from_the_root(tree: GrowingTree, node: GrowingNode) -> bool:
    """Whether a visit can be counted along the whole path: not below a closing step that got no rollouts."""
    return node.rollout_value is not None and all(
        ancestor.rollout_value is not None for ancestor in tree.ancestors(node) if ancestor.closing
    )
