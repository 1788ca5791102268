"""Requests to an OpenAI-compatible server: a limit in flight, patience with a busy server, clear words otherwise.

Retried, with exponentially growing pauses or as long as the server asks: broken connections, 408, 429 and 5xx.
Error messages never quote what a server wrote about a request, since it may quote the question.
"""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from meds3core.config.engine import OpenAIEngineConfig
from meds3core.engines.openai.connections import connections
from meds3core.errors import ConfigError, ContextOverflow, EngineError, Meds3Error

_LONGEST_PAUSE = 60.0
_CONNECT_SECONDS = 10.0
_Result = TypeVar("_Result")


def list_models(config: OpenAIEngineConfig) -> list[dict[str, Any]]:
    """What the server offers; empty where it does not tell. Blocks; raises `ConfigError` or `EngineError`."""
    try:
        with connections().client(timeout=httpx.Timeout(_CONNECT_SECONDS)) as client:
            response = client.get(_base(config) + "models", headers=_headers(config))
    except httpx.InvalidURL as error:
        raise ConfigError(f"base_url {config.base_url} is no address: {error}") from error
    except httpx.RequestError as error:
        raise _unreachable(config, error) from error
    if response.status_code in (404, 405, 501):
        return []
    if response.status_code != 200:
        raise _refusal(config, response)
    try:
        models = response.json()["data"]
        return [model for model in models if isinstance(model.get("id"), str)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{config.base_url} is not an OpenAI-compatible server; does its path end in /v1?") from None


class Transport:
    """One client, used within one event loop. The first pause lasts about `first_pause` seconds, later ones longer."""

    def __init__(self, config: OpenAIEngineConfig, first_pause: float) -> None:
        self._config = config
        self._first_pause = first_pause
        limit = config.max_in_flight
        self._client = connections().async_client(
            base_url=_base(config),
            headers=_headers(config),
            timeout=httpx.Timeout(config.timeout_seconds, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=limit, max_keepalive_connections=limit),
        )
        self._slots = asyncio.Semaphore(limit)
        self._open: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The server's answer as JSON."""

        async def ask() -> dict[str, Any]:
            async with self._opened(path, body) as response:
                try:
                    await response.aread()
                    answer: dict[str, Any] = response.json()
                except ValueError:
                    raise EngineError(f"{self._config.base_url} answered with something else than JSON.") from None
                return answer

        return await self._until_closed(self._patiently(ask))

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The server's events as JSON, up to its closing one. Tried again only while nothing has arrived."""
        async with self._slots:
            for attempt in range(self._config.retries + 1):
                arrived = False
                try:
                    async with self._opened(path, body) as response:
                        async for event in _events(response):
                            arrived = True
                            yield event
                    return
                except (httpx.RequestError, _Busy) as error:
                    if arrived or attempt == self._config.retries or self._closed:
                        raise self._give_up(error, attempt) from error
                    await asyncio.sleep(_pause(error, attempt, self._first_pause))

    async def close(self) -> None:
        """Close the connections; what is pending fails with `EngineError`."""
        self._closed = True
        for task in list(self._open):
            task.cancel()
        await self._client.aclose()

    async def _patiently(self, ask: Any) -> Any:
        # The slot is kept while pausing: a busy server is not given the next request instead.
        async with self._slots:
            for attempt in range(self._config.retries + 1):
                try:
                    return await ask()
                except (httpx.RequestError, _Busy) as error:
                    if attempt == self._config.retries:
                        raise self._give_up(error, attempt) from error
                    await asyncio.sleep(_pause(error, attempt, self._first_pause))
        raise AssertionError("unreachable")

    async def _until_closed(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        if self._closed:
            work.close()
            raise EngineError("The engine is closed.")
        task = asyncio.ensure_future(work)
        self._open.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._closed and caller is not None and not caller.cancelling():
                raise EngineError("The engine was closed.") from None
            raise
        finally:
            self._open.discard(task)

    @asynccontextmanager
    async def _opened(self, path: str, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        if self._closed:
            raise EngineError("The engine is closed.")
        async with self._client.stream("POST", path, json=body) as response:
            if response.status_code != 200:
                await response.aread()
                if response.status_code in (408, 429) or response.status_code >= 500:
                    raise _Busy(response)
                raise _refusal(self._config, response)
            yield response

    def _give_up(self, error: Exception, attempt: int) -> EngineError:
        if self._closed:
            return EngineError("The engine was closed.")
        if isinstance(error, _Busy):
            status = error.response.status_code
            return EngineError(f"{self._config.base_url} answered {status} {attempt + 1} times; is it overloaded?")
        return _unreachable(self._config, error)


class _Busy(Exception):
    """An answer that asks for patience."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


async def _events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in response.aiter_lines():
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            return
        try:
            event = json.loads(data)
        except ValueError:
            raise EngineError("The server sent an event that is not JSON.") from None
        if "error" in event:
            raise EngineError(f"The server broke off the answer ({_kind(event['error'])}).")
        yield event
    raise httpx.RemoteProtocolError("the stream ended before its last event")


def _pause(error: Exception, attempt: int, first_pause: float) -> float:
    """Seconds until the next attempt: what the server asks for, else doubling, shaken so that callers part ways."""
    asked = error.response.headers.get("retry-after") if isinstance(error, _Busy) else None
    if asked:
        try:
            seconds = float(asked)
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds()
            except (ValueError, TypeError):
                seconds = first_pause
        return min(max(seconds, 0.0), _LONGEST_PAUSE)
    return float(min(first_pause * 2**attempt, _LONGEST_PAUSE / 2) * random.uniform(0.5, 1.5))


def _refusal(config: OpenAIEngineConfig, response: httpx.Response) -> Meds3Error:
    """What an answer that will not get better by waiting means."""
    status = response.status_code
    if status in (401, 403):
        return ConfigError(
            f"{config.base_url} refused the key ({status}): put the right one into the environment variable "
            f"{config.key_variable}, or enter it anew where the remote engine is registered."
        )
    try:
        fault = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        fault = {}
    if status == 404:
        return ConfigError(
            f"{config.base_url} knows no such model or path (404): check the model's name, and that base_url "
            "ends in /v1."
        )
    words = str(fault.get("message", "")) + str(fault.get("code", "")) if isinstance(fault, dict) else ""
    if status == 400 and ("context length" in words or "context_length" in words):
        return ContextOverflow("The prompt does not fit the context of the server's model.")
    return EngineError(f"{config.base_url} refused the request ({status}, {_kind(fault)}).")


def _unreachable(config: OpenAIEngineConfig, error: Exception) -> EngineError:
    reasons: dict[type[Exception], str] = {
        httpx.ConnectError: "no connection: is the server running, and is the address right?",
        httpx.ConnectTimeout: "no connection within ten seconds: is the address right?",
        httpx.ReadTimeout: f"no answer within {config.timeout_seconds:g} seconds (timeout_seconds).",
        httpx.RemoteProtocolError: "the connection broke off in the middle of an answer.",
        httpx.UnsupportedProtocol: "the address must begin with http:// or https://.",
    }
    reason = reasons.get(type(error), f"the connection failed ({type(error).__name__}).")
    return EngineError(f"{config.base_url}: {reason}")


def _kind(fault: Any) -> str:
    if not isinstance(fault, dict):
        return "no reason given"
    told = [str(fault[name])[:80] for name in ("type", "param", "code") if fault.get(name) is not None]
    return ", ".join(told) or "no reason given"


def _base(config: OpenAIEngineConfig) -> str:
    return config.base_url.rstrip("/") + "/"


def _headers(config: OpenAIEngineConfig) -> dict[str, str]:
    key = os.environ.get(config.key_variable, "")
    return {"authorization": f"Bearer {key}"} if key else {}
