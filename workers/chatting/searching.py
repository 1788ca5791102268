"""A turn answered by tree search: no gold, so the reward model's scores guide it, and its vote picks the answer."""

import asyncio
import contextlib
import zlib
from dataclasses import dataclass

from meds3core.config.chat import ChatConfig
from meds3core.config.search import PRESETS, SearchConfig
from meds3core.data.trees import tree_line
from meds3core.decoding.metering import MeteredEngine, SharedScorer
from meds3core.decoding.tree import answer_by_tree
from meds3core.engines.base import Engine
from meds3core.search.tree import GrowingTree
from meds3core.text.prompts import TEMPLATES
from meds3core.text.steps import render_trajectory
from meds3core.types.question import OpenQuestion
from webapp.chat.turns import Claimed
from workers.chatting.engines import Tell
from workers.chatting.writing import Writing

TELL_SECONDS = 1.0
LONGEST_STEP = 256
"""Tokens of a step; of all that follows it, what the settings say."""


@dataclass(frozen=True)
class Searched:
    """What a search gave, for the row."""

    text: str
    steps: tuple[float, ...]
    """The scores of the chosen answer's steps, step 0 first; none where no leaf states an answer."""
    chosen: int | None
    why: str
    prompt_tokens: int
    generated_tokens: int
    scored_tokens: int
    tree: bytes


def search_config(config: ChatConfig) -> SearchConfig:
    """The quick search, of the size that the turn wants, as it runs at inference."""
    values = PRESETS["quick"].model_dump() | {
        "max_nodes": config.nodes,
        "step_tokens": min(LONGEST_STEP, config.max_tokens),
        "rollout_tokens": config.max_tokens,
        "mode": "inference",
        "simulation": "scorer",
    }
    return SearchConfig.model_validate(values)


async def searched(
    turn: Claimed,
    engine: Engine,
    question: OpenQuestion,
    scorer: SharedScorer,
    out: Writing,
    tell: Tell,
    made_for: str | None,
) -> Searched:
    """Grow a tree over what was asked. Raises what engine and reward model raise; cancelled, it keeps the count."""
    config, metered = search_config(turn.config), MeteredEngine(engine)
    grown = 0

    def watch(tree: GrowingTree) -> None:
        nonlocal grown
        grown = tree.searched_nodes
        out.generated_tokens, out.prompt_tokens = metered.generated_tokens, metered.prompt_tokens

    async def telling() -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            await tell(f"Searching: {grown} of at most {config.max_nodes} steps of the tree.")

    prompt = TEMPLATES[made_for if made_for in TEMPLATES else "guided"]  # type: ignore[index]
    teller = asyncio.create_task(telling())
    try:
        found, tree = await answer_by_tree(
            question, metered, prompt, scorer, config, seed=turn.config.seed or 0, watch=watch
        )
    finally:
        teller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await teller
    out.offer(
        [
            {"number": at, "text": render_trajectory(each.bodies), "answer": each.answer, "score": each.score}
            for at, each in enumerate(found.candidates)
        ]
    )
    scores: tuple[float, ...] = ()
    if found.chosen is None:
        deepest = max(tree.nodes, key=lambda node: (node.value or 0.0, node.depth))
        bodies = tuple(node.text for node in tree.path(deepest.id))
    else:
        bodies = found.candidates[found.chosen].bodies
    end = next((node for node in tree.nodes if tuple(each.text for each in tree.path(node.id)) == bodies), None)
    if end is not None:
        scores = tuple(node.rollout_value or 0.0 for node in tree.path(end.id))
    return Searched(
        text=render_trajectory(bodies),
        steps=scores,
        chosen=found.chosen,
        why=found.why,
        prompt_tokens=metered.prompt_tokens,
        generated_tokens=metered.generated_tokens,
        scored_tokens=found.cost.scored_tokens,
        tree=zlib.compress(tree_line(tree).encode()),
    )
