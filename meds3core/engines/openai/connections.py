"""How this process connects to servers. The command line connects as httpx does; a job's process is told by the web
application to check first where it may go.
"""

from typing import Any, Protocol

import httpx


class Connections(Protocol):
    """Makes clients; takes what httpx's own take, but for `transport`."""

    def client(self, **options: Any) -> httpx.Client:
        """For one question."""

    def async_client(self, **options: Any) -> httpx.AsyncClient:
        """For many at once, within one event loop."""


class PlainConnections:
    """httpx as it comes."""

    def client(self, **options: Any) -> httpx.Client:
        """For one question."""
        return httpx.Client(**options)

    def async_client(self, **options: Any) -> httpx.AsyncClient:
        """For many at once, within one event loop."""
        return httpx.AsyncClient(**options)


_present: Connections = PlainConnections()


def connect_by(chosen: Connections) -> None:
    """From now on the engines of this process connect by these. Engines that are open keep theirs."""
    global _present
    _present = chosen


def connections() -> Connections:
    """What was chosen."""
    return _present
