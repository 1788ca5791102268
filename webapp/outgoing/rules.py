"""Where this instance may send anything: the operator's list, and what is refused whatever the list says.

`MEDS3_OUTBOUND_ALLOW` holds two kinds of entries, separated by commas; it is empty by default:

- a host, `hooks.ward.example` (ports 80 and 443) or `models.ward.example:8000`, or an address, `10.2.0.5:8000`;
- a network, `10.2.0.0/16`: a listed host's name may lead to a private address only if the address lies in one.

Refused always: link-local addresses (among them the metadata services of clouds), multicast and reserved ones, and the
stack's own services. An address that carries another one inside (IPv6-mapped, 6to4, NAT64) is judged by both.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit

import httpx
import psutil
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from meds3core.errors import UserError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]
"""The addresses of a host, as text."""

PLAIN_PORTS = frozenset({80, 443})
METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")))
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class OutgoingRefused(UserError):
    """This instance may not send anything there. The message says who can change that."""

    code = "outgoing-refused"


@dataclass(frozen=True)
class Target:
    """Host and port that a URL names: in lower case, as ASCII, without the dot at the end."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True)
class Rules:
    """The operator's list, read."""

    hosts: frozenset[Target]
    networks: tuple[Network, ...]
    own: frozenset[Target]
    """The stack's own services that listen on a network."""

    def check_url(self, url: str) -> Target:
        """The URL's target, if it is listed. Asks nobody. Raises `OutgoingRefused`."""
        target = target_of(url)
        if target not in self.hosts:
            raise OutgoingRefused(
                f"{target} is not among the hosts that this instance may reach. An operator lists it in "
                "MEDS3_OUTBOUND_ALLOW."
            )
        if target in self.own:
            raise OutgoingRefused(f"{target} is a service of this instance itself.")
        return target

    def check_address(self, target: Target, address: Address, resolve: Resolver) -> None:
        """Whether a listed target may be reached at this address. Raises `OutgoingRefused`."""
        for one in _inside(address):
            if _never(one):
                raise OutgoingRefused(f"{target} leads to {address}, which is never reached.")
            if self._is_own(one, target.port, resolve):
                raise OutgoingRefused(f"{target} leads to a service of this instance itself.")
            named = _literal(target.host) == one
            if not one.is_global and not named and not any(one in network for network in self.networks):
                raise OutgoingRefused(
                    f"{target} leads to the private address {address}. An operator lists its network in "
                    "MEDS3_OUTBOUND_ALLOW, such as 10.2.0.0/16."
                )

    def _is_own(self, address: Address, port: int, resolve: Resolver) -> bool:
        hosts = [each.host for each in self.own if each.port == port]
        return bool(hosts) and (_is_here(address) or any(address in _addresses(host, port, resolve) for host in hosts))


def outbound_rules() -> Rules:
    """As the settings have them now. Raises `ImproperlyConfigured` for an entry that is neither host nor network."""
    hosts: set[Target] = set()
    networks: list[Network] = []
    for entry in filter(None, (each.strip() for each in settings.OUTBOUND_ALLOW)):
        try:
            if "/" in entry:
                networks.append(ipaddress.ip_network(entry))
            else:
                hosts.update(_listed(entry))
        except (ValueError, httpx.InvalidURL):
            raise ImproperlyConfigured(
                f"MEDS3_OUTBOUND_ALLOW: {entry!r} is neither host, host:port nor a network such as 10.2.0.0/16"
            ) from None
    return Rules(frozenset(hosts), tuple(networks), frozenset(_own_services()))


def target_of(url: str) -> Target:
    """What a URL names. Raises `OutgoingRefused` for one that is no plain http or https URL."""
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii").rstrip(".").lower()
    except (httpx.InvalidURL, ValueError):
        raise OutgoingRefused("This is no address of a server.") from None
    if parsed.scheme not in ("http", "https") or not host:
        raise OutgoingRefused("The address must begin with https:// or http://.")
    if parsed.userinfo:
        raise OutgoingRefused("An address holds no user name or password.")
    literal = _literal(host)
    return Target(str(literal) if literal else host, parsed.port or (443 if parsed.scheme == "https" else 80))


def _listed(entry: str) -> Iterator[Target]:
    bare = entry if entry.count(":") < 2 or entry.startswith("[") else f"[{entry}]"
    parsed = httpx.URL(f"//{bare}")
    host = parsed.raw_host.decode("ascii").rstrip(".").lower()
    literal = _literal(host)
    if not (literal or _NAME.fullmatch(host)) or parsed.path not in ("", "/") or parsed.userinfo:
        raise ValueError(entry)
    for port in [parsed.port] if parsed.port else PLAIN_PORTS:
        yield Target(str(literal) if literal else host, port)


def _literal(host: str) -> Address | None:
    try:
        return plain(host)
    except ValueError:
        return None


def plain(text: str) -> Address:
    """An address without its scope; an IPv4 address that is written as an IPv6 one, as itself."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _addresses(host: str, port: int, resolve: Resolver) -> set[Address]:
    try:
        return {plain(one) for one in resolve(host, port)}
    except OSError:
        return set()


def _inside(address: Address) -> Iterator[Address]:
    """The address and those that it carries."""
    yield address
    if isinstance(address, IPv6Address):
        carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            carried.append(IPv4Address(int(address) & 0xFFFFFFFF))
        yield from (one for one in carried if one is not None)


def _never(address: Address) -> bool:
    return (
        address in METADATA
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (address.is_reserved and not address.is_global and not address.is_loopback)
    )


def _is_here(address: Address) -> bool:
    """Whether it is an address of this machine."""
    if address.is_loopback:
        return True
    own = (each.address.partition("%")[0] for cards in psutil.net_if_addrs().values() for each in cards)
    return str(address) in own


def _own_services() -> Iterator[Target]:
    """Redis in all its uses, the database and the site, as far as they listen on a network."""
    live = [str(each["address"]) for each in settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"]]
    cache = settings.CACHES["default"].get("LOCATION") or []
    caches = cache.split(",") if isinstance(cache, str) else cache
    for url in (settings.REDIS, *live, *caches, settings.PUBLIC_URL):
        parts = urlsplit(url)
        if parts.hostname:
            default = {"redis": 6379, "rediss": 6379, "https": 443}.get(parts.scheme, 80)
            yield Target(parts.hostname, parts.port or default)
    database = settings.DATABASES["default"]
    host = str(database.get("HOST") or "")
    if host and not host.startswith("/"):
        yield Target(host.lower(), int(database.get("PORT") or 5432))
