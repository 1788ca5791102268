"""Connections that go only where the rules allow: a name is resolved once, every address of it is judged, and the
connection is made to an address that was judged. TLS is verified for the name.

For `httpx`: `checked_transport()`, `checked_async_transport()`. With these a client uses no proxy of the environment.
"""

import asyncio
import socket
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from webapp.outgoing.rules import Address, OutgoingRefused, Resolver, Rules, Target, outbound_rules, plain


def resolved(host: str, port: int) -> list[str]:
    """The addresses that this machine's resolver knows for a host. Raises `OSError`."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def checked_addresses(rules: Rules, host: str, port: int, resolve: Resolver) -> list[Address]:
    """Where a connection to the host may go. Raises `OutgoingRefused` if any of its addresses is not allowed."""
    target = Target(str(_literal_or_name(host)), port)
    if target not in rules.hosts or target in rules.own:  # a client that was given another URL than was checked
        rules.check_url(f"http://{target}")
    addresses = [plain(text) for text in resolve(host, port)]
    for address in addresses:
        rules.check_address(target, address, resolve)
    return addresses


def checked_transport(*, resolve: Resolver = resolved, deadline: float | None = None) -> httpx.HTTPTransport:
    """For one client. With a `deadline` (of `time.monotonic`) everything ends by then, however slowly it drips."""
    transport = httpx.HTTPTransport()
    backend = _Backend(outbound_rules(), resolve, deadline)
    transport._pool = httpcore.ConnectionPool(ssl_context=httpx.create_ssl_context(), network_backend=backend)
    return transport


def checked_async_transport(
    *, limits: httpx.Limits | None = None, resolve: Resolver = resolved
) -> httpx.AsyncHTTPTransport:
    """The same for an asynchronous client: the engine of a remote model."""
    transport = httpx.AsyncHTTPTransport()
    kept = limits or httpx.Limits(max_connections=100, max_keepalive_connections=20)
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=httpx.create_ssl_context(),
        max_connections=kept.max_connections,
        max_keepalive_connections=kept.max_keepalive_connections,
        network_backend=_AsyncBackend(outbound_rules(), resolve),
    )
    return transport


class _Backend(httpcore.SyncBackend):
    def __init__(self, rules: Rules, resolve: Resolver, deadline: float | None) -> None:
        self._rules = rules
        self._resolve = resolve
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = checked_addresses(self._rules, host, port, self._resolve)
        except OSError:
            raise httpcore.ConnectError(f"{host} is not known") from None
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                left = _left(timeout, self._deadline)
                stream = super().connect_tcp(str(address), port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
                continue
            return stream if self._deadline is None else _Timed(stream, self._deadline)
        raise failed

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise OutgoingRefused("Nothing is sent to a socket of this machine.")


class _AsyncBackend(httpcore.AnyIOBackend):
    def __init__(self, rules: Rules, resolve: Resolver) -> None:
        self._rules = rules
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 – httpcore's word
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await asyncio.to_thread(checked_addresses, self._rules, host, port, self._resolve)
        except OSError:
            raise httpcore.ConnectError(f"{host} is not known") from None
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await super().connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise OutgoingRefused("Nothing is sent to a socket of this machine.")


class _Timed(httpcore.NetworkStream):
    """A connection whose every wait ends by the deadline: single waits that are short do not add up to a long one."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, _left(timeout, self._deadline))
        return _Timed(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, deadline: float | None) -> float | None:
    """Seconds that a wait may take. Raises `httpcore.ReadTimeout` when the time is over."""
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is over")
    return left if timeout is None else min(timeout, left)


def _literal_or_name(host: str) -> Address | str:
    try:
        return plain(host)
    except ValueError:
        return host.rstrip(".").lower()
