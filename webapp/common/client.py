"""Who is at the other end of a request: the address behind the proxies that the operator counted."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The client's address.

    With `MEDS3_PROXIES=n` it is the nth entry of `X-Forwarded-For` from the right, the one that our outermost proxy
    wrote; whatever a client puts further left is ignored, and without proxies the header is. A request that came
    through fewer proxies than counted has the address of its connection.
    """
    direct = _address_or_none(request.META.get("REMOTE_ADDR", "")) or "0.0.0.0"  # a Unix socket has none
    if settings.PROXIES < 1:
        return direct
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    if len(hops) < settings.PROXIES:
        return direct
    return _address_or_none(hops[-settings.PROXIES]) or direct


def is_on_this_machine(request: HttpRequest) -> bool:
    """Whether the request comes over loopback and through no proxy (behind one, everybody would seem to)."""
    if any(name in request.META for name in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")):
        return False
    address = _address_or_none(request.META.get("REMOTE_ADDR", ""))
    return address is not None and ipaddress.ip_address(address).is_loopback


def _address_or_none(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
