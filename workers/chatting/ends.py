"""How turns ended, on the way into their rows: those of one moment in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from webapp.chat.turns import written_together

MOST_SECONDS, MORE_SECONDS = 0.1, 0.002
"""Others are waited for, so much for each turn that is being answered: alone nobody waits. With fifty small answers at
once a transaction for each took some 3% of the core."""


class Ends:
    """Written in the order in which they are given. `ask`: calls a function where the database is; `beside`: how many
    turns may end soon.
    """

    def __init__(self, ask: Callable[..., Awaitable[Any]], beside: Callable[[], int]) -> None:
        self._ask = ask
        self._beside = beside
        self._due: list[tuple[Callable[[], object], asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, function: Callable[..., Any], **named: Any) -> Any:
        """What `function` gives, as soon as it is written; raises what it raises of this one."""
        future = asyncio.get_running_loop().create_future()
        self._due.append((partial(function, **named), future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())
        return await future

    async def _write(self) -> None:
        while self._due:
            await asyncio.sleep(min(MOST_SECONDS, MORE_SECONDS * (self._beside() - len(self._due))))
            due, self._due = self._due, []
            try:
                given = await self._ask(written_together, writes=[write for write, _ in due])
            except Exception:  # one of them cannot be written: it must not cost the others theirs
                await self._one_by_one(due)
            else:
                for (_, future), value in zip(due, given, strict=True):
                    _tell(future, value)

    async def _one_by_one(self, due: list[tuple[Callable[[], object], asyncio.Future[Any]]]) -> None:
        for write, future in due:
            try:
                _tell(future, await self._ask(write))
            except Exception as error:
                if not future.done():
                    future.set_exception(error)


def _tell(future: "asyncio.Future[Any]", value: object) -> None:
    if not future.done():
        future.set_result(value)
