"""Bounds the bodies of requests before anybody reads them.

Django writes a whole body to disk before any view or permission is asked. So this stands in front of it: a body that
says it is too long is refused unread, and one that says nothing is counted while it comes.
"""

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApplication = Callable[[Message, Receive, Send], Awaitable[None]]

_CHUNK = re.compile(r"/api/v1/teams/[^/]+/uploads/files/[^/]+/?")


class _TooLong(Exception):
    pass


class BoundedBodies:
    """An ASGI application around another one."""

    def __init__(self, application: AsgiApplication) -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer 413 in the application's place, or let it answer."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        limit = limit_of(scope["method"], scope["path"])
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if announced.isdigit() and int(announced) > limit:
            await _refuse(send, limit)
            return
        count, answering = 0, False

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            if message["type"] == "http.request":
                count += len(message.get("body", b""))
                if count > limit:
                    raise _TooLong
            return message

        async def noted(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self._application(scope, counted, noted)
        except _TooLong:
            if not answering:
                await _refuse(send, limit)


def limit_of(method: str, path: str) -> int:
    """Bytes that the body of a request may have."""
    is_chunk = method == "PUT" and _CHUNK.fullmatch(path) is not None
    return int(settings.UPLOAD_CHUNK_BYTES if is_chunk else settings.REQUEST_BYTES)


async def _refuse(send: Send, limit: int) -> None:
    detail = f"The body of this request may have {limit:,} bytes. Files are sent in parts: see uploads."
    problem = {
        "type": "urn:meds3:error:too-long",
        "title": "The request is too long",
        "status": 413,
        "detail": detail,
        "code": "too-long",
    }
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(problem).encode()})
