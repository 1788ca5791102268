"""One turn from the prompt to the answer: the ways to answer, over the engine that all turns share.

The text grows while it is generated. With a reward model each step is scored as soon as it is complete, beside the
generation, never in its way.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from meds3core.decoding.metering import MeteredScorer, SharedScorer
from meds3core.decoding.strategies import STRATEGIES, sample_score
from meds3core.engines.base import Completion, Engine, Request, Sampling
from meds3core.engines.lost import lost_device
from meds3core.errors import ConfigError, ContextOverflow, EngineError
from meds3core.text.steps import NEXT_STEP
from meds3core.types.question import OpenQuestion
from meds3core.verify.judge import verifier_for
from webapp.chat.questions import question_of
from webapp.chat.turns import Claimed
from workers.chatting.engines import Engines, Loaded, Tell
from workers.chatting.prompts import Asked, asked, spans
from workers.chatting.searching import searched
from workers.chatting.writing import Writing

AGGREGATOR = "last"
LONGEST_HEADER = 10
"""Characters of a step's number and its colon."""


@dataclass(frozen=True)
class Ended:
    """What goes into the row with the answer."""

    finish: str
    prompt_tokens: int
    generated_tokens: int
    scored_tokens: int = 0
    chosen: int | None = None
    why: str = ""
    tree: bytes | None = None


async def answer(turn: Claimed, engines: Engines, out: Writing, tell: Tell) -> Ended:
    """Answer; raises what engines and reward models raise."""
    async with AsyncExitStack() as stack:
        if turn.endpoint is None and turn.policy is None:
            raise ConfigError("The model of this conversation was deleted. Choose another one.")
        policy = turn.policy if turn.endpoint is None else None
        remote = await stack.enter_async_context(engines.remote(turn.endpoint)) if turn.endpoint else None
        local, judge = await stack.enter_async_context(engines.local(policy, turn.scorer, tell))
        loaded = remote or local
        assert loaded is not None
        scorer: SharedScorer | None = judge.thing if judge is not None else None
        await tell("")
        question = question_of(turn.history)
        request = asked(turn.history, turn.config, loaded.made_for, turn.given)
        steps = Steps(out, question, scorer)
        if turn.config.way == "tree-search" and not turn.given:
            if scorer is None:
                raise ConfigError("The reward model of this conversation was deleted. Choose another one.")
            return await _grown(turn, loaded, scorer, out, steps, question, tell)
        if turn.config.way == "fast":
            return await _fast(turn, loaded.thing, request, out, steps)
        return await _chosen(turn, loaded.thing, request, out, steps, question)


class Steps:
    """Where the steps of the growing text stand, and their scores as they come."""

    def __init__(self, out: Writing, question: OpenQuestion, scorer: SharedScorer | None) -> None:
        self._out = out
        self._question = question
        self._reader = MeteredScorer(scorer) if scorer is not None else None
        self._scores: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._complete = 0
        self._looked = 0
        self._lost: Exception | None = None
        """Of a reward model's device: with it goes all of this process."""

    @property
    def scored_tokens(self) -> int:
        """Tokens that scoring has computed."""
        return self._reader.tokens if self._reader else 0

    def may_have_ended(self, text: str) -> bool:
        """Whether another step may have begun since this was asked: only then all of the text is looked through."""
        since, self._looked = max(0, self._looked - len(NEXT_STEP) - LONGEST_HEADER), len(text)
        return text.find(NEXT_STEP, since) >= 0

    def look(self, *, final: bool = False) -> None:
        """Take note of steps that have been completed since."""
        found = spans(self._out.text)
        complete = len(found) if final else len(found) - 1
        if not final and complete == self._complete:
            return
        self._show(found)
        if self._reader is not None and complete > self._complete:
            self._complete = complete
            bodies = [each.body for each in found[:complete]]
            task = asyncio.create_task(self._score(bodies))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._complete = max(self._complete, complete)

    async def done(self) -> None:
        """When all scores have come. Raises only what ends this process: the device is lost."""
        self.look(final=True)
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._lost is not None:
            raise self._lost

    async def trajectory(self, text: str) -> list[float]:
        """The scores of a whole text's steps; none without steps or a reward model."""
        bodies = [each.body for each in spans(text)]
        if self._reader is None or not bodies:
            return []
        with contextlib.suppress(ContextOverflow):
            return await self._reader.score(self._question, bodies)
        return []

    def know(self, scores: Sequence[float]) -> None:
        """Scores that were computed elsewhere."""
        self._scores.update(enumerate(scores))
        self._complete = len(scores)

    def cancel(self) -> None:
        """The text ends here, and nobody waits for scores any more."""
        for task in self._tasks:
            task.cancel()
        self._show(spans(self._out.text))

    async def _score(self, bodies: list[str]) -> None:
        assert self._reader is not None
        # A trajectory beyond the reward model's context, or a reward model that failed: the answer stands without. The
        # words of what it raised may quote the answer.
        try:
            values = await self._reader.score(self._question, bodies)
            self._scores.update(enumerate(values))
            self._out.scored_tokens = self._reader.tokens
            self._show(spans(self._out.text))
        except Exception as error:
            self._lost = error if lost_device(error) is not None else self._lost

    def _show(self, found: Sequence[Any]) -> None:
        self._out.score([[each.begin, each.end, self._scores.get(number)] for number, each in enumerate(found)])


async def _fast(turn: Claimed, engine: Engine, request: Asked, out: Writing, steps: Steps) -> Ended:
    out.add(request.beginning)
    completion: Completion | None = None
    try:
        async for delta in engine.stream(Request(request.prompt, _sampling(turn, 0))):
            out.add(delta.text)
            out.generated_tokens, out.prompt_tokens = delta.generated_tokens, delta.prompt_tokens
            if ":" in delta.text and steps.may_have_ended(out.text):
                steps.look()
            completion = delta.completion or completion
        if completion is None:
            raise EngineError("the engine ended the answer without a word of why")
        await steps.done()
    except BaseException:
        steps.cancel()
        raise
    return Ended(completion.finish, completion.prompt_tokens, completion.generated_tokens, steps.scored_tokens)


async def _chosen(
    turn: Claimed, engine: Engine, request: Asked, out: Writing, steps: Steps, question: OpenQuestion
) -> Ended:
    """n answers at once; those that are there can be looked at while the others come."""
    strategy, n = STRATEGIES[turn.config.way], turn.config.n
    verifier = verifier_for(question)
    found: list[dict[str, Any] | None] = [None] * n
    completions: list[Completion | None] = [None] * n

    async def draw(number: int) -> None:
        completion = await engine.generate(Request(request.prompt, _sampling(turn, number)))
        completions[number] = completion
        out.generated_tokens += completion.generated_tokens
        out.prompt_tokens = completion.prompt_tokens
        text = request.beginning + completion.text
        whole = completion.finish != "length"
        stated = verifier.extract_answer(text, question) if whole else None
        scores = await steps.trajectory(text) if strategy.needs == "prm" else []
        found[number] = {
            "text": text,
            "answer": stated,
            "score": sample_score(scores, AGGREGATOR) if strategy.needs == "prm" else None,
            "steps": scores,
        }
        out.offer([{**each, "number": at} for at, each in enumerate(found) if each is not None])

    tasks = [asyncio.create_task(draw(number)) for number in range(n)]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    drawn = [each for each in found if each is not None]
    scores = [each["score"] or 0.0 for each in drawn] if strategy.needs == "prm" else None
    choice = strategy.choose([each["answer"] for each in drawn], scores, range(n))
    chosen = choice.index
    if chosen is None:  # no answer is stated anywhere: the best text, or the first
        chosen = max(range(n), key=lambda at: (scores[at], -at)) if scores else 0
    out.add(drawn[chosen]["text"])
    if drawn[chosen]["steps"]:
        steps.know(drawn[chosen]["steps"])
    await steps.done()
    done = [each for each in completions if each is not None]
    return Ended(
        finish=done[chosen].finish,
        prompt_tokens=done[0].prompt_tokens,
        generated_tokens=sum(each.generated_tokens for each in done),
        scored_tokens=steps.scored_tokens,
        chosen=chosen,
        why=choice.why,
    )


async def _grown(
    turn: Claimed,
    loaded: Loaded,
    scorer: SharedScorer,
    out: Writing,
    steps: Steps,
    question: OpenQuestion,
    tell: Tell,
) -> Ended:
    """By tree search: all of the answer at once, when the tree is grown."""
    found = await searched(turn, loaded.thing, question, scorer, out, tell, loaded.made_for)
    out.add(found.text)
    if found.steps:
        steps.know(found.steps)
    await steps.done()
    return Ended(
        finish="end",
        prompt_tokens=found.prompt_tokens,
        generated_tokens=found.generated_tokens,
        scored_tokens=found.scored_tokens,
        chosen=found.chosen,
        why=found.why,
        tree=found.tree,
    )


def _sampling(turn: Claimed, number: int) -> Sampling:
    config = turn.config
    return Sampling(
        max_tokens=config.max_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        stop=config.stop,
        seed=_seed(config.seed or 0, number),
    )


def _seed(given: int, number: int) -> int:
    """Of one of several answers: other ones than a neighbouring seed gives, for choices of one request have those."""
    if number == 0:
        return given
    return int.from_bytes(hashlib.blake2b(f"{given}/{number}".encode(), digest_size=8).digest()) >> 1
