"""A turn answered by tree search: no gold, so the reward model's scores guide it, and its vote picks the answer."""

import asyncio
import contextlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from meds3core.config.chat import ChatConfig
from meds3core.config.search import PRESETS, DrawConfig, SearchConfig
from meds3core.data.trees import tree_line
from meds3core.decoding.metering import MeteredEngine, SharedScorer
from meds3core.decoding.tree import answer_by_tree
from meds3core.engines.base import Completion, Engine, Request
from meds3core.search.tree import GrowingTree
from meds3core.text.steps import header, render_trajectory, split
from meds3core.types.question import OpenQuestion
from webapp.chat.turns import Claimed
from workers.chatting.engines import Tell
from workers.chatting.prompts import conversation_prompt
from workers.chatting.writing import Writing

TELL_SECONDS = 1.0
LONGEST_STEP = 256
"""Tokens of a step; of all that follows it, what the settings say."""
DRAWN_AT = 0.7
"""Temperature of the moves where the settings say 0: greedy ones would all be the same."""


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
        "step_draw": DrawConfig(temperature=config.temperature or DRAWN_AT, top_p=config.top_p),
        "mode": "inference",
        "simulation": "scorer",
    }
    return SearchConfig.model_validate(values)


class StoppingEngine(MeteredEngine):
    """Ends a path for good where a stop string of the person's stands in its text, headers of steps included.

    A search asks for a path bit by bit and knows nothing of such strings: what would follow an end is empty here.
    """

    def __init__(self, inner: Engine, stop: Sequence[str]) -> None:
        super().__init__(inner)
        self._stop = tuple(stop)
        self._ended: set[tuple[str, ...]] = set()
        """Paths that are over, by the bodies of their steps."""

    async def generate(self, request: Request) -> Completion:
        """The engine's completion up to the first stop string."""
        pieces, own = request.prompt.pieces, request.sampling.stop
        so_far = "".join(pieces)
        given = len(pieces[0] + header(1))  # not generated: what stands there ends nothing
        if self._first(so_far, given) is not None or self._is_over(so_far):
            return Completion("", "stop", 0, 0)
        # A step that ends at the next one's header: which string ended it no engine says, so ours are looked for after.
        sampling = replace(request.sampling, stop=own or self._stop)
        completion = await super().generate(replace(request, sampling=sampling))
        whole = so_far + completion.text
        end = self._first(whole, given)
        if end is None and not (completion.finish == "stop" and not own):
            return completion
        text = whole[len(so_far) : end]
        if text.strip():
            self._ended.add(_bodies(so_far + text))
        return replace(completion, text=text, finish="stop")

    def _first(self, text: str, since: int) -> int | None:
        found = [at for each in self._stop if (at := text.find(each, since)) >= 0]
        return min(found, default=None)

    def _is_over(self, so_far: str) -> bool:
        bodies = _bodies(so_far)
        return any(bodies[:count] in self._ended for count in range(1, len(bodies) + 1))


def _bodies(text: str) -> tuple[str, ...]:
    return tuple(body for step in split(text) if (body := step.body.strip()))


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
    config, stop = search_config(turn.config), turn.config.stop
    metered = StoppingEngine(engine, stop) if stop else MeteredEngine(engine)
    grown = 0

    def watch(tree: GrowingTree) -> None:
        nonlocal grown
        grown = tree.searched_nodes
        out.generated_tokens, out.prompt_tokens = metered.generated_tokens, metered.prompt_tokens

    async def telling() -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            await tell(f"Searching: {grown} of at most {config.max_nodes} steps of the tree.")

    prompt = conversation_prompt(turn.history, turn.config, made_for)
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
