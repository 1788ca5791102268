"""Connections of remote engines: they go only where the rules allow (`meds3core.engines.openai.connections`)."""

from typing import Any

import httpx

from webapp.outgoing.rules import Resolver
from webapp.outgoing.transport import checked_async_transport, checked_transport, resolved


class CheckedConnections:
    """Every connection is judged at the address that it is made to; no proxy, no redirect."""

    def __init__(self, resolve: Resolver = resolved) -> None:
        self._resolve = resolve

    def client(self, **options: Any) -> httpx.Client:
        """For one question."""
        return httpx.Client(transport=checked_transport(resolve=self._resolve), trust_env=False, **options)

    def async_client(self, **options: Any) -> httpx.AsyncClient:
        """For many at once, within one event loop."""
        limits = options.pop("limits", None)
        transport = checked_async_transport(limits=limits, resolve=self._resolve)
        return httpx.AsyncClient(transport=transport, trust_env=False, **options)
