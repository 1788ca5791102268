"""What django-axes is told: by which name and address wrong passwords are counted.

By name *and* address: a ward shares one address, and nobody may lock a colleague out from elsewhere. A user name and
the e-mail of the same account are one name.
"""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from webapp.accounts.selectors import account_name
from webapp.common.client import client_address


def counted_name(request: HttpRequest, credentials: Mapping[str, Any] | None) -> str:
    """The account's user name behind what was typed, or what was typed."""
    given = credentials or request.POST
    return account_name(login=next((str(given[key]) for key in ("username", "email", "login") if given.get(key)), ""))


def counted_address(request: HttpRequest) -> str:
    """The client's address."""
    return client_address(request)
