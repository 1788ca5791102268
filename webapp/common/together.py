"""One question to the database for all who want to know the same kind of thing at about the same time."""

import asyncio
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from webapp.common.databases import ask_database

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass
class _Round(Generic[Value, Key]):
    """Of one event loop: who waits, and until when at most."""

    asked: "dict[Key, asyncio.Future[Value | None]]" = field(default_factory=dict)
    next: asyncio.TimerHandle | None = None
    running: "set[asyncio.Task[None]]" = field(default_factory=set)


class Together(Generic[Key, Value]):
    """Asks `ask` (with the database at hand) about all keys that are wanted at about the same time."""

    def __init__(self, ask: Callable[[Sequence[Key]], Mapping[Key, Value]]) -> None:
        self._ask = ask
        self._rounds: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Round[Value, Key]] = (
            weakref.WeakKeyDictionary()
        )

    async def about(self, key: Key, within: float) -> Value | None:
        """What is known of this one, so many seconds from now at the latest; none where `ask` says nothing of it.

        Raises what `ask` raises.
        """
        loop = asyncio.get_running_loop()
        this = self._rounds.setdefault(loop, _Round())
        told = this.asked.setdefault(key, loop.create_future())
        if this.next is None or this.next.when() > loop.time() + within:
            if this.next is not None:
                this.next.cancel()
            # Asked for everybody: not in the thread of whichever request happened to be first, which may end.
            this.next = loop.call_later(within, self._begin, this, context=Context())
        return await asyncio.shield(told)  # whoever goes away does not take it from others

    def _begin(self, this: _Round[Value, Key]) -> None:
        this.next = None
        asking = asyncio.create_task(self._asking(this))
        this.running.add(asking)
        asking.add_done_callback(this.running.discard)

    async def _asking(self, this: _Round[Value, Key]) -> None:
        asked, this.asked = this.asked, {}
        try:
            found = await ask_database(self._ask)(list(asked))
        except Exception as error:
            for told in asked.values():
                told.set_exception(error)
                told.exception()  # heard, also where nobody waits any more
            return
        for key, told in asked.items():
            told.set_result(found.get(key))
