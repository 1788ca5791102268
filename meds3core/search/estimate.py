"""What a search would cost, from a few of its questions that are really grown.

The first tree grows alone and the others together, so that the trial also shows what the engine gains from company:
with more trees at once it gains more, up to a limit that a trial of a few cannot reach. Hence a range, never one
number.
"""

import math
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from pydantic import Field

from meds3core.data.trees import tree_line
from meds3core.errors import AppError
from meds3core.progress import NullSink, ProgressEvent, ProgressSink
from meds3core.search.forest import TreeFailure, forest
from meds3core.search.grow import grow
from meds3core.search.opening import OpenSearch
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.record import Record
from meds3core.types.tree import Tree

ROW_BYTES = 120
"""Of a node's row in the database, its text apart."""
_T90 = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81, 1.80, 1.78, 1.77, 1.76, 1.75)
"""Student's t that leaves out a tenth, by degrees of freedom from 1."""
_T90_MANY = 1.7
_LEAST_SPREAD = 0.5
"""Of the mean, where a single tree says nothing about spread."""


class NoTrial(AppError):
    """Not one tree of a trial could be grown."""

    code = "no-trees"


class TreeCost(Record):
    """What one tree of the trial cost."""

    nodes: int
    rollouts: int
    generated_tokens: int
    prompt_tokens: int
    stored_bytes: int = Field(description="The compressed tree and its rows")


class Trial(Record):
    """What was measured."""

    policy: str
    engine: str
    trees: tuple[TreeCost, ...] = Field(min_length=1)
    failures: int = Field(ge=0, description="Questions of the trial without a tree")
    load_seconds: float = Field(ge=0.0, description="Until the engine was ready; not in the estimate")
    seconds_alone: float = Field(gt=0.0, description="The first tree, with nothing beside it")
    tokens_alone: int
    together: int = Field(ge=0, description="Trees that then grew at once")
    seconds_together: float = Field(ge=0.0)
    tokens_together: int


class Range(Record):
    """The likely value and the bounds within which it should lie."""

    value: float
    low: float
    high: float


class SearchEstimate(Record):
    """A whole search, scaled from a trial."""

    questions: int
    workers: int
    at_once: int = Field(description="Trees that grow at once in each worker")
    nodes: Range
    rollouts: Range
    generated_tokens: Range
    stored_bytes: Range
    seconds: Range = Field(description="Of wall-clock time with these workers, the engine being ready")
    trial: Trial


def evenly_spaced(count: int, total: int) -> list[int]:
    """`count` positions among `total`, each in the middle of an equal share of them; all when there are no more."""
    count = min(count, total)
    return [(2 * number + 1) * total // (2 * count) for number in range(count)]


async def try_search(
    questions: Sequence[Question | OpenQuestion],
    opening: AbstractAsyncContextManager[OpenSearch],
    *,
    concurrency: int,
    sink: ProgressSink | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Trial:
    """Grow the trees of a trial, as the search itself would grow them.

    Raises `NoTrial` when none could be grown, and what opening the search raises.
    """
    sink = sink or NullSink()
    costs: list[TreeCost] = []
    codes: list[str] = []
    began = clock()
    async with opening as opened:

        async def tokens_of(some: Sequence[Question | OpenQuestion]) -> int:
            before = len(costs)
            outcomes = forest(some, lambda question: grow(question, opened.tools), concurrency)
            try:
                async for outcome in outcomes:
                    if isinstance(outcome.result, TreeFailure):
                        codes.append(outcome.result.code)
                    else:
                        costs.append(tree_cost(outcome.result))
                    done = len(costs) + len(codes)
                    sink.emit(ProgressEvent(kind="tree", done=done, total=len(questions), data={"unit": "trees"}))
            finally:
                await outcomes.aclose()  # type: ignore[attr-defined]
            return sum(one.generated_tokens for one in costs[before:])

        loaded = clock()
        tokens_alone = await tokens_of(questions[:1])
        alone = clock()
        tokens_together = await tokens_of(questions[1:])
        together = clock()
        info = opened.tools.engine.info
    if not costs:
        raise NoTrial(
            f"None of the {len(questions)} trees of the trial could be grown ({', '.join(sorted(set(codes)))})."
        )
    return Trial(
        policy=info.model,
        engine=info.kind,
        trees=tuple(costs),
        failures=len(codes),
        load_seconds=round(loaded - began, 3),
        seconds_alone=max(alone - loaded, 1e-6),
        tokens_alone=tokens_alone,
        together=min(concurrency, len(questions) - 1),
        seconds_together=together - alone,
        tokens_together=tokens_together,
    )


def tree_cost(tree: Tree) -> TreeCost:
    """What a finished tree cost and takes on disk."""
    texts = sum(len(node.text.encode()) + ROW_BYTES for node in tree.nodes)
    return TreeCost(
        nodes=len(tree.nodes) - 1,
        rollouts=tree.totals.rollouts,
        generated_tokens=tree.totals.generated_tokens,
        prompt_tokens=tree.totals.prompt_tokens,
        stored_bytes=len(zlib.compress(tree_line(tree).encode())) + texts,
    )


def scaled(trial: Trial, questions: int, *, concurrency: int, workers: int = 1) -> SearchEstimate:
    """The whole search: counts by their mean over the trial, time by the tokens and the speeds that were measured."""
    workers = max(1, min(workers, questions))
    at_once = max(1, min(concurrency, math.ceil(questions / workers)))
    tokens = _whole([one.generated_tokens for one in trial.trees], questions)
    slow, fast = _speeds(trial, at_once)
    likely = math.sqrt(slow * fast)
    return SearchEstimate(
        questions=questions,
        workers=workers,
        at_once=at_once,
        nodes=_whole([one.nodes for one in trial.trees], questions),
        rollouts=_whole([one.rollouts for one in trial.trees], questions),
        generated_tokens=tokens,
        stored_bytes=_whole([one.stored_bytes for one in trial.trees], questions),
        seconds=Range(
            value=tokens.value / likely / workers, low=tokens.low / fast / workers, high=tokens.high / slow / workers
        ),
        trial=trial,
    )


def _whole(found: Sequence[int], questions: int) -> Range:
    """The sum over all questions: the mean with its 90% interval by Student's t, nothing left of it when all were
    tried."""
    tried = len(found)
    mean = sum(found) / tried
    if tried == 1:
        margin = _LEAST_SPREAD * mean
    else:
        variance = sum((each - mean) ** 2 for each in found) / (tried - 1)
        margin = (_T90[tried - 2] if tried - 2 < len(_T90) else _T90_MANY) * math.sqrt(variance / tried)
    margin *= math.sqrt(max(0.0, 1.0 - tried / questions))
    return Range(value=mean * questions, low=max(0.0, mean - margin) * questions, high=(mean + margin) * questions)


def _speeds(trial: Trial, at_once: int) -> tuple[float, float]:
    """Tokens a second with so many trees at once: if company gains nothing more than in the trial, and if it goes on
    gaining as it did from one tree to several."""
    alone = max(trial.tokens_alone, 1) / trial.seconds_alone
    if trial.tokens_together <= 0 or trial.seconds_together <= 0 or trial.together < 2:
        seen = trial.tokens_alone + trial.tokens_together
        speed = max(seen, 1) / (trial.seconds_alone + trial.seconds_together)
        return (speed, speed) if at_once == 1 else (speed, speed * at_once)
    together = trial.tokens_together / trial.seconds_together
    gain = min(1.0, max(0.0, math.log(together / alone) / math.log(trial.together)))
    if at_once <= trial.together:
        fitting = alone * at_once**gain
        return min(fitting, together), max(fitting, together)
    return together, together * (at_once / trial.together) ** gain
