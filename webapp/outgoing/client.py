"""The one way out: a request to a host that the operator listed, short in time and small in answer.

For single questions. Engines of remote models keep connections open and take `webapp.outgoing.engines` instead.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from meds3core.errors import AppError
from webapp.outgoing.rules import Resolver, outbound_rules
from webapp.outgoing.transport import checked_transport, resolved

SECONDS = 10.0
LARGEST_ANSWER = 64 << 10
_UNPACKED = {"Accept-Encoding": "identity"}


class OutgoingFailed(AppError):
    """The other side could not be reached or did not answer well. Holds no word of what it answered."""

    code = "outgoing-failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side answered."""

    status: int
    seconds: float
    content: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes = b"",
    seconds: float = SECONDS,
    largest_answer: int = LARGEST_ANSWER,
    resolve: Resolver = resolved,
) -> Answer:
    """Send, and read a small answer. Redirects are not followed: a 3xx is an answer like any other.

    Raises `OutgoingRefused` where it may not go, `OutgoingFailed` where nobody answers in time or the answer is large.
    """
    outbound_rules().check_url(url)
    begun = time.monotonic()
    transport = checked_transport(resolve=resolve, deadline=begun + seconds)
    try:
        with (
            httpx.Client(transport=transport, timeout=seconds, trust_env=False, follow_redirects=False) as client,
            client.stream(method, url, content=content, headers={**headers, **_UNPACKED}) as response,
        ):
            parts, size = [], 0
            for part in response.iter_raw():  # never unpacked: packed twice, a few kilobytes are gigabytes
                size += len(part)
                if size > largest_answer:
                    raise OutgoingFailed("The answer is larger than is read.")
                parts.append(part)
            return Answer(response.status_code, time.monotonic() - begun, b"".join(parts))
    except httpx.RequestError as error:
        raise OutgoingFailed(_reason(error)) from None


def _reason(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "No answer in time."
    if isinstance(error, httpx.ConnectError):
        if "certificate" in str(error).lower():
            return "Its certificate is not valid for its name, or its authority is not trusted here."
        return "No connection."
    return f"The connection failed ({type(error).__name__})."
