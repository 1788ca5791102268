"""Waiting for several requests of one tree at once."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def gather(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Results in the order of the work, whatever order they arrive in.

    The first failure cancels the rest, which frees their slots in the engine, and is raised as it is.
    """
    pieces = list(work)
    if len(pieces) == 1:
        return [await pieces[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(piece) for piece in pieces]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
