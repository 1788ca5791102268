"""The sockets of conversations and comparisons: what is new of every answer that is still to come."""

import asyncio
import json
import logging
from contextlib import suppress
from uuid import UUID

from django.http import Http404

from webapp.accounts.rules import Action
from webapp.chat.duels import duel_for
from webapp.chat.following import follow
from webapp.chat.selectors import Present, conversation_for, present_in
from webapp.common.access import Access
from webapp.common.sockets import NOT_FOUND, GuardedSocket, NotAdmitted
from webapp.common.together import Together

LOOK_SECONDS = 2.0
"""How often it looks for turns that another page asked for; this one's own page says when to look."""
GATHER_SECONDS = 0.01

_present: Together[UUID, Present] = Together(lambda keys: present_in(conversations=keys))

log = logging.getLogger(__name__)


class ConversationSocket(GuardedSocket):
    """Of one conversation. Whatever the page sends means "look now"."""

    access = Access(action=Action.CHAT_USE)

    def prepare(self) -> None:
        """Which conversation; it must be the person's own or shared."""
        self._hides = False
        self._conversations = self.readable()
        self._asked = asyncio.Event()

    def readable(self) -> list[UUID]:
        """The conversations that it tells of. Raises `Http404` when they may not be read."""
        assert self.admission.team is not None
        asked: UUID = self.scope["url_route"]["kwargs"]["conversation_id"]
        user, team = self.admission.user, self.admission.team
        return [conversation_for(user=user, team=team, conversation_id=asked).pk]

    def _admit(self) -> None:
        super()._admit()
        if hasattr(self, "_conversations"):  # still shared, still there
            try:
                self.readable()
            except Http404:
                raise NotAdmitted(NOT_FOUND) from None

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The page has asked for something."""
        if hasattr(self, "_asked"):
            self._asked.set()

    async def serve(self) -> None:
        """Follow every open turn, and look for new ones.

        Who has just come, or asks, is told which there are: an answer may have ended while nobody listened. So is
        everybody of an answer that another page asked for: it may be there before it was seen open.
        """
        following: dict[UUID, asyncio.Task[None]] = {}
        asked, newest = True, None
        try:
            while True:
                self._asked.clear()
                found, last = await self._look()
                if asked or last != newest:
                    newest = last
                    await self.send(json.dumps({"type": "open", "ids": _texts(found), "newest": _texts(last)}))
                for pk in found:
                    if pk not in following or following[pk].done():
                        following[pk] = asyncio.create_task(self._follow(pk))
                asked = False
                with suppress(TimeoutError):  # all sockets at the same moments, so that one look does for all
                    rest = LOOK_SECONDS - asyncio.get_running_loop().time() % LOOK_SECONDS
                    asked = await asyncio.wait_for(self._asked.wait(), rest)
        finally:
            for task in following.values():
                task.cancel()

    async def _look(self) -> tuple[list[UUID], list[UUID]]:
        """Answers that are open, and the newest one of each conversation."""
        found = [await _present.about(each, GATHER_SECONDS) for each in self._conversations]
        there = [each for each in found if each is not None]
        return [pk for each in there for pk in each.open], [each.newest for each in there if each.newest is not None]

    async def _follow(self, pk: UUID) -> None:
        try:
            await self._tell(pk)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # its words may quote what was said; the page asks again
            log.warning("an answer could not be followed (%s)", type(error).__name__)

    async def _tell(self, pk: UUID) -> None:
        async for news in follow(pk):
            told = {
                "type": "news",
                "id": str(pk),
                "attempt": news.attempt,
                "seq": news.seq,
                "state": news.state,
                "text": news.text,
                "whole": news.whole,
                "note": news.note,
                "ahead": news.ahead,
                "over": news.is_over,
            }
            if news.steps is not None and not self._hides:
                told["scores"] = [score for _, _, score in news.steps]
            if news.candidates is not None:
                told["candidates"] = news.candidates
            await self.send(json.dumps(told, ensure_ascii=False))


class DuelSocket(ConversationSocket):
    """Of both sides of a comparison. While it is blind nobody is told scores: they would be half a vote."""

    def readable(self) -> list[UUID]:
        """Both sides of one's own."""
        assert self.admission.team is not None
        asked: UUID = self.scope["url_route"]["kwargs"]["duel_id"]
        duel = duel_for(user=self.admission.user, team=self.admission.team, duel_id=asked)
        self._hides = duel.hides
        return [duel.left_id, duel.right_id]


def _texts(keys: list[UUID]) -> list[str]:
    return [str(key) for key in keys]
