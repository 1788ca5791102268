"""Asynchronous work that stops when a cancel token says so."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from meds3core.errors import Cancelled
from meds3core.progress import CancelToken

_LOOK_SECONDS = 0.1

Outcome = TypeVar("Outcome")


async def until_cancelled(work: Coroutine[Any, Any, Outcome], cancel: CancelToken) -> Outcome:
    """The result of `work`, or `Cancelled` once the token is set and the work has tidied up after itself."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait((task,), timeout=_LOOK_SECONDS))[0]:
            if cancel.cancelled:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                break
    finally:
        task.cancel()
    if task.cancelled():
        raise Cancelled("stopped")
    return task.result()
