"""The wall in front of every socket: each class says who may open it, with the same declarations as views.

    class JobSocket(GuardedSocket):
        access = Access(action=Action.JOB_VIEW)

Asked when a socket opens, and again every `LIVE_CHECK_SECONDS`: somebody who signed out, was taken out of the team,
lost the role or has to set up a second factor is let go. A page of another origin is refused before anything else.
tests/web/test_sockets.py walks all sockets (webapp.config.sockets).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar
from urllib.parse import urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest
from django.http.request import split_domain_port, validate_host

from webapp.accounts.models import Team, User
from webapp.accounts.rules import may
from webapp.accounts.selectors import membership_of, needs_second_factor
from webapp.common.access import Access
from webapp.common.databases import ask_database

log = logging.getLogger(__name__)

SIGNED_OUT, REFUSED, NOT_FOUND, BROKEN = 4401, 4403, 4404, 1011
"""Codes of closing, for the page's script: the first three are final."""

TICK = '{"type": "tick"}'
"""Said at every check, so that a page knows that the line is alive."""


@dataclass(frozen=True)
class Admission:
    """Somebody who may have this socket, and the team that it belongs to if to one."""

    user: User
    team: Team | None


class NotAdmitted(Exception):
    """Nobody who may have this socket; `code` says why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def admit(*, session_key: str, access: Access, team_slug: str = "") -> Admission:
    """Ask the session, the person, the membership and the rules, all as they are now. Raises `NotAdmitted`."""
    user = _user_of(session_key)
    if user is None:
        raise NotAdmitted(SIGNED_OUT)
    if access.operator and not user.is_operator:
        raise NotAdmitted(REFUSED)
    if access.action is None:
        return Admission(user, None)
    try:
        membership = membership_of(user=user, team_slug=team_slug)
    except Http404:
        raise NotAdmitted(NOT_FOUND) from None
    if not may(membership.role, access.action) or needs_second_factor(user=user, team=membership.team):
        raise NotAdmitted(REFUSED)
    return Admission(user, membership.team)


def _user_of(session_key: str) -> User | None:
    if not session_key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)  # also compares the session with the present password
    return user if isinstance(user, User) else None


class GuardedSocket(AsyncWebsocketConsumer):
    """A socket that says who may have it. A subclass prepares (reads what it needs) and serves until it is let go."""

    access: ClassVar[Access]
    channel_layer_alias = "none of its own"
    """One reader per process hears the hints (webapp.jobs.live.hub); a socket needs no channel."""

    admission: Admission

    def prepare(self) -> None:
        """Read what the socket is about. Called with the database at hand; `Http404` and `PermissionDenied` close."""

    async def serve(self) -> None:
        """Send what there is to say, until cancelled."""
        raise NotImplementedError

    async def connect(self) -> None:
        """Ask, then serve; refused people are told by the code that the socket is closed with."""
        self._tasks: list[asyncio.Task[None]] = []
        await self.accept()
        try:
            await ask_database(self._ask)()
        except NotAdmitted as refusal:
            await self.close(refusal.code)
            return
        self._tasks = [asyncio.create_task(self._keep(work)) for work in (self.serve, self._check)]

    async def disconnect(self, code: int) -> None:
        """Stop serving."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Pages only listen."""

    def _admit(self) -> None:
        arguments = self.scope["url_route"]["kwargs"]
        self.admission = admit(
            session_key=self.scope["cookies"].get(settings.SESSION_COOKIE_NAME, ""),
            access=self.access,
            team_slug=arguments.get("team_slug", ""),
        )

    def _ask(self) -> None:
        self._admit()
        try:
            self.prepare()
        except Http404:
            raise NotAdmitted(NOT_FOUND) from None
        except PermissionDenied:
            raise NotAdmitted(REFUSED) from None

    async def _check(self) -> None:
        await asyncio.sleep(settings.LIVE_CHECK_SECONDS * random.random())  # not all sockets at the same moment
        while True:
            with suppress(DatabaseError):  # nothing can be read for anybody as long as it lasts
                await ask_database(self._admit)()
            await self.send(TICK)
            await asyncio.sleep(settings.LIVE_CHECK_SECONDS)

    async def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work; close the socket when it may not go on."""
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except NotAdmitted as refusal:
            await self._let_go(refusal.code)
        except Exception as error:  # the page comes back and catches up
            log.warning("a socket broke: %s", type(error).__name__)  # its words may quote what somebody said
            await self._let_go(BROKEN)

    async def _let_go(self, code: int) -> None:
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        with suppress(Exception):  # the other end may be gone already
            await self.close(code)


class OwnOrigin:
    """Lets in only sockets that a page of this very site opened: cookies go along with those of any page.

    The origin is the host that was asked, by name and port, or one of `CSRF_TRUSTED_ORIGINS`.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on, or refuse the handshake."""
        headers = {name: value.decode("latin1") for name, value in scope["headers"] if name in (b"origin", b"host")}
        if not self._is_own(headers.get(b"origin", ""), headers.get(b"host", "")):
            await receive()
            await send({"type": "websocket.close", "code": REFUSED})
            return
        await self._application(scope, receive, send)

    @staticmethod
    def _is_own(origin: str, host: str) -> bool:
        if origin in settings.CSRF_TRUSTED_ORIGINS:
            return True
        domain, _ = split_domain_port(host)
        allowed = settings.ALLOWED_HOSTS
        parts = urlsplit(origin)
        same = parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
        return bool(domain) and validate_host(domain, allowed) and same


async def no_such_socket(scope: Any, receive: Any, send: Any) -> None:
    """The last entry of the map: whatever no other one has."""
    await receive()
    await send({"type": "websocket.close", "code": NOT_FOUND})
