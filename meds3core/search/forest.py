"""Work on many questions at once against one engine that batches whatever is waiting: a forest of trees, above all.

Speed comes from concurrency, never from entangling them: nothing is shared between them but the engine.
"""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from meds3core.data.run_folder import QuestionFailure
from meds3core.errors import Cancelled, Meds3Error
from meds3core.types.question import OpenQuestion, Question

Result = TypeVar("Result")

log = logging.getLogger(__name__)


TreeFailure = QuestionFailure
"""A question whose tree could not be grown, or whose other work failed."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """What became of one question: a tree (or whatever is made of it) or a failure."""

    position: int
    """Of the question among those asked for."""
    result: Result | TreeFailure


async def forest(
    questions: Iterable[Question | OpenQuestion] | AsyncIterable[Question | OpenQuestion],
    grow_one: Callable[[Question | OpenQuestion], Awaitable[Result]],
    concurrency: int,
) -> AsyncIterator[Outcome[Result]]:
    """Keep `concurrency` trees growing and yield each as it finishes, in order of arrival.

    Questions are taken one by one as there is room; an asynchronous source may have others that take from it too.
    A failing question becomes a `TreeFailure` and harms no other. Closing the iterator cancels what still grows.
    """
    waiting = _numbered(questions)
    growing: set[asyncio.Task[Outcome[Result]]] = set()

    async def fill() -> None:
        while len(growing) < concurrency and (following := await anext(waiting, None)) is not None:
            growing.add(asyncio.create_task(_outcome(*following, grow_one)))

    try:
        await fill()
        while growing:
            done, growing = await asyncio.wait(growing, return_when=asyncio.FIRST_COMPLETED)
            # Start the successors before handing results out: whoever takes them may be slow (a disk, a database).
            await fill()
            for task in done:
                yield task.result()
    finally:
        for task in growing:
            task.cancel()
        await asyncio.gather(*growing, return_exceptions=True)


async def _numbered(
    questions: Iterable[Question | OpenQuestion] | AsyncIterable[Question | OpenQuestion],
) -> AsyncIterator[tuple[int, Question | OpenQuestion]]:
    position = 0
    if isinstance(questions, AsyncIterable):
        async for question in questions:
            yield position, question
            position += 1
        return
    for numbered in enumerate(questions):
        yield numbered


async def _outcome(
    position: int,
    question: Question | OpenQuestion,
    grow_one: Callable[[Question | OpenQuestion], Awaitable[Result]],
) -> Outcome[Result]:
    try:
        return Outcome(position, await grow_one(question))
    except Cancelled:
        raise
    except Meds3Error as error:
        return Outcome(position, TreeFailure(id=question.id, code=error.code, reason=str(error)))
    except Exception as error:
        # A fault of ours must not cost the other trees. The traceback shows code, never local values.
        log.exception("work on a question failed")
        return Outcome(position, TreeFailure(id=question.id, code="internal", reason=type(error).__name__))
