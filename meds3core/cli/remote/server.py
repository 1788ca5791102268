"""A MedS3 Studio server seen from the command line: its API by HTTP, its refusals in words.

The token goes to the server that it was given for and nowhere else: redirects are not followed.
"""

import ipaddress
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from meds3core.cli.remote.account import Account
from meds3core.errors import AppError, ConfigError, UserError

API = "/api/v1"
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_WAITING = httpx.Timeout(60.0, connect=10.0)


class ServerError(UserError):
    """The server refused; the message is its own."""

    code = "server"


class Unreachable(AppError):
    """The server does not answer, or answers that it cannot now."""

    code = "unreachable"
    exit_code = 1


class OtherVersion(UserError):
    """The server speaks differently from this command."""

    code = "other-version"


class Server:
    """One server, by one account. Use as a context."""

    def __init__(self, account: Account, transport: httpx.BaseTransport | None = None) -> None:
        self.account = account
        parts = urlsplit(account.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{account.url} is no address of a server: write https://host or http://host:port.")
        self._client = httpx.Client(
            base_url=account.url,
            headers={"Authorization": f"Bearer {account.token}", "User-Agent": f"meds3/{own_version()}"},
            timeout=_TIMEOUT,
            follow_redirects=False,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def is_in_clear(self) -> bool:
        """Whether the token would travel unencrypted over a network."""
        parts = urlsplit(self.account.url)
        return parts.scheme == "http" and not _is_loopback(parts.hostname or "")

    def get(self, path: str, *, patient: bool = False, **query: Any) -> Any:
        """JSON of a GET; `path` is below the API, or one that the server gave. `patient`: the answer may take long."""
        sent = {name: value for name, value in query.items() if value not in (None, "")}
        return self._ask("GET", path, params=sent or None, timeout=_WAITING if patient else _TIMEOUT)

    def post(self, path: str, body: Any = None, *, key: str = "") -> Any:
        """JSON of a POST; with a `key` it may be sent again without doing anything twice."""
        return self._ask("POST", path, json=body or {}, headers={"Idempotency-Key": key} if key else None)

    def me(self) -> dict[str, Any]:
        """Who the token speaks for. Raises `OtherVersion` where the answer is not understood."""
        found = self.get("/me")
        if not isinstance(found, dict) or "username" not in found or not isinstance(found.get("teams"), list):
            raise self._not_ours()
        return found

    def _ask(self, method: str, path: str, **how: Any) -> Any:
        whole = path if path.startswith(API) else API + path
        try:
            response = self._client.request(method, whole, **how)
        except httpx.InvalidURL as error:
            raise ConfigError(f"{self.account.url} is no address: {error}.") from error
        except httpx.RequestError as error:
            raise Unreachable(f"{self.account.url}: {_reason(error)}") from error
        if response.is_redirect:
            where = response.headers.get("location", "elsewhere")
            raise ConfigError(
                f"{self.account.url} sends on to {where}. Sign in with the address that it leads to, so that the token "
                "goes nowhere else."
            )
        if response.is_success:
            try:
                return response.json()
            except ValueError:
                raise self._not_ours() from None
        raise self._refusal(response)

    def _refusal(self, response: httpx.Response) -> Exception:
        status = response.status_code
        if response.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
            return self._not_ours() if status < 500 else Unreachable(f"{self.account.url} answers {status}.")
        problem = response.json()
        if status == 401:
            return ConfigError(
                f"{self.account.url} does not know this token: it was revoked, has expired, or its owner left the "
                "team. Make a new one on the page API tokens and sign in again: meds3 login …"
            )
        if status == 429 or status >= 500:
            return Unreachable(f"{problem.get('title')}. {problem.get('detail')}")
        where = [f"{'.'.join(each['where'])}: {each['what']}" for each in problem.get("problems", [])]
        return ServerError("\n".join([f"{problem.get('title')}. {problem.get('detail')}", *where]))

    def _not_ours(self) -> OtherVersion:
        return OtherVersion(
            f"{self.account.url} does not answer like a MedS3 Studio {'.'.join(own_version().split('.')[:2])}. Is the "
            "address right, without a path behind the host, and is the server of this command's version?"
        )


def own_version() -> str:
    """Of this command."""
    try:
        return version("meds3-studio")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "0"


def speaks_like_us(server_version: str) -> bool:
    """Whether two versions agree in what the API promises: the first two numbers."""
    return server_version.split(".")[:2] == own_version().split(".")[:2]


def _reason(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.ConnectError) and "certificate" in str(error).lower():
        return (
            "its certificate is not trusted here. Where your hospital has its own authority, name its file in "
            "SSL_CERT_FILE."
        )
    reasons: dict[type[httpx.RequestError], str] = {
        httpx.ConnectError: "no connection. Is the server running, and is the address right?",
        httpx.ConnectTimeout: "no connection within ten seconds. Is the address right?",
        httpx.ReadTimeout: "no answer in time.",
        httpx.RemoteProtocolError: "the connection broke off, or it is no web server.",
    }
    return reasons.get(type(error), f"the connection failed ({type(error).__name__}).")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
