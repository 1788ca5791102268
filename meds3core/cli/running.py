"""How commands run long work: where they talk, how Ctrl-C stops them, and what they say then."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console

from meds3core.errors import Cancelled
from meds3core.progress import CancelToken

_STOPPING = (signal.SIGINT, signal.SIGTERM)

Result = TypeVar("Result")


def talking_console() -> Console:
    """For what people read while a command works; stdout is for what tools read."""
    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


@contextmanager
def stopped_by_signals(cancel: CancelToken, *, insist: bool = True) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks the work to save and stop.

    With `insist` a second one interrupts it where it stands; without, it is asked again.
    """

    def stop(*_: object) -> None:
        if insist and cancel.cancelled:
            raise KeyboardInterrupt
        cancel.cancel()

    before = {number: signal.signal(number, stop) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def cancelled_by_signals(work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work; Ctrl-C (or SIGTERM) cancels it, and `CancelledError` is raised."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, task.cancel)
    return await task


@contextmanager
def to_be_continued(console: Console, out: Path) -> Iterator[None]:
    """Work that was stopped ends with exit code 130 and says how to go on."""
    try:
        yield
    except (asyncio.CancelledError, Cancelled, KeyboardInterrupt):
        console.print(f"Stopped. What is finished lies in {out}; the same command continues.")
        raise typer.Exit(130) from None
