"""Writes the audit lines of what allauth does by itself: passwords, second factors, provider accounts, sign-ins.

Our own services write theirs. allauth tells of its doings by signals and no other way.
"""

from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from allauth.socialaccount import signals as social
from django.dispatch import Signal
from django.http import HttpRequest

from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import User
from webapp.common.client import client_address

VERBS: dict[str, Signal] = {
    "user.signed-in": account.user_logged_in,
    "user.password": account.password_changed,
    "user.password-set": account.password_set,
    "user.password-reset": account.password_reset,
    "user.second-factor-added": mfa.authenticator_added,
    "user.second-factor-removed": mfa.authenticator_removed,
    "user.second-factor-reset": mfa.authenticator_reset,
}


def connect() -> None:
    """Called once, when the app is ready."""
    for verb, signal in VERBS.items():
        signal.connect(_writer(verb), weak=False, dispatch_uid=f"audit:{verb}")
    social.social_account_added.connect(_provider_added, dispatch_uid="audit:provider-added")
    social.social_account_removed.connect(_provider_removed, dispatch_uid="audit:provider-removed")


def _writer(verb: str) -> Any:
    def write(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
        _line(request, user, verb)

    return write


def _provider_added(sender: Any, request: HttpRequest, sociallogin: Any, **_: Any) -> None:
    _line(request, sociallogin.user, "user.provider-added", provider=sociallogin.account.provider)


def _provider_removed(sender: Any, request: HttpRequest, socialaccount: Any, **_: Any) -> None:
    _line(request, socialaccount.user, "user.provider-removed", provider=socialaccount.provider)


def _line(request: HttpRequest, user: User, verb: str, **details: Any) -> None:
    actor = Actor(user, address=client_address(request))
    audit_write(actor=actor, verb=verb, team=None, subject=user.username, **details)
