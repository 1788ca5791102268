"""API tokens: `meds3_<prefix>_<secret>`, for one person and one team, never wider than the person's present role."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from webapp.accounts.actors import Actor
from webapp.accounts.audit import AccountError, audit_write
from webapp.accounts.models import ApiToken, Membership, Team, User
from webapp.accounts.rules import Action, actions_of
from webapp.accounts.secrets import new_secret, secret_hash

TOKEN_PREFIX = "meds3"


@transaction.atomic
def api_token_create(
    *, actor: Actor, user: User, team: Team, name: str, scopes: frozenset[Action], lifetime: timedelta | None
) -> tuple[ApiToken, str]:
    """A token and its text `meds3_<prefix>_<secret>`, which is shown now and never again.

    Raises `AccountError` for scopes that the person's role does not have, and for none.
    """
    membership = Membership.objects.filter(user=user, team=team).first()
    wider = scopes - actions_of(membership.role) if membership else frozenset(Action)
    if wider:
        raise AccountError(f"Your role in {team} does not allow: {', '.join(sorted(wider))}. Leave these out.")
    if not scopes:
        raise AccountError("A token without scopes may do nothing. Choose at least one.")
    prefix, secret = secrets.token_hex(4), new_secret()
    token = ApiToken.objects.create(
        user=user,
        team=team,
        name=name,
        prefix=prefix,
        secret_hash=secret_hash(secret),
        scopes=sorted(scopes),
        expires=timezone.now() + lifetime if lifetime else None,
    )
    audit_write(actor=actor, verb="token.created", team=team, subject=f"{name} ({prefix})", scopes=sorted(scopes))
    return token, f"{TOKEN_PREFIX}_{prefix}_{secret}"


@dataclass(frozen=True)
class Bearer:
    """Whom a token speaks for, and what it may do at this moment."""

    token: ApiToken
    user: User
    team: Team
    actions: frozenset[Action]


def api_token_check(*, text: str) -> Bearer | None:
    """Whom the token's text speaks for; none when it is unknown, revoked, expired, or its bearer left the team.

    What it may do is its scopes and what its owner's *present* role allows.
    """
    parts = text.split("_", 2)
    if len(parts) != 3 or parts[0] != TOKEN_PREFIX:
        return None
    now = timezone.now()
    token = (
        ApiToken.objects.select_related("user", "team")
        .filter(prefix=parts[1], secret_hash=secret_hash(parts[2]), revoked=None, user__is_active=True)
        .first()
    )
    if token is None or (token.expires is not None and token.expires <= now):
        return None
    membership = Membership.objects.filter(user=token.user, team=token.team).first()
    if membership is None:
        return None
    if token.last_used is None or now - token.last_used > timedelta(minutes=1):  # not a write for every request
        ApiToken.objects.filter(pk=token.pk).update(last_used=now)
    allowed = frozenset(action for action in actions_of(membership.role) if action in token.scopes)
    return Bearer(token, token.user, token.team, allowed)


def bearer_of(request: HttpRequest) -> Bearer | None:
    """Whom the request's `Authorization: Bearer` header speaks for. A token anywhere else is not read."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return api_token_check(text=text.strip()) if scheme.lower() == "bearer" else None


@transaction.atomic
def api_token_revoke(*, actor: Actor, token: ApiToken) -> None:
    """Make a token worthless."""
    if ApiToken.objects.filter(pk=token.pk, revoked=None).update(revoked=timezone.now()):
        audit_write(actor=actor, verb="token.revoked", team=token.team, subject=f"{token.name} ({token.prefix})")
