"""Writes of accounts: keyword-only functions that pages, API and commands call. Each leaves a line in the audit log."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from meds3core.errors import UserError
from webapp.accounts.models import ApiToken, AuditEntry, Door, Invitation, Membership, OneTimeLink, Team, User
from webapp.accounts.rules import Action, Role, actions_of

INVITATION_LIFETIME = timedelta(days=14)
SIGN_IN_LIFETIME = timedelta(minutes=10)
RESET_LIFETIME = timedelta(hours=24)
TOKEN_PREFIX = "meds3"


class AccountError(UserError):
    """Somebody asked for what the rules of accounts do not allow; the message says what to do instead."""

    code = "account"


@dataclass(frozen=True)
class Actor:
    """Who does something, and by which door."""

    user: User | None
    via: Door = Door.PAGE
    address: str | None = None

    @property
    def name(self) -> str:
        """For the audit log."""
        return self.user.username if self.user else "the instance"


SYSTEM = Actor(None, Door.SYSTEM)


def secret_hash(secret: str) -> str:
    """How a secret of 256 random bits is stored. No salt: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def audit_write(*, actor: Actor, verb: str, team: Team | None, subject: str = "", **details: Any) -> None:
    """One line of the audit log: names and ids, no content."""
    AuditEntry.objects.create(
        team=team,
        actor=actor.user,
        actor_name=actor.name,
        via=actor.via,
        verb=verb,
        subject=subject,
        details=details,
        address=actor.address,
    )


# --- teams and members ---------------------------------------------------------------------------------------------


@transaction.atomic
def team_create(*, actor: Actor, name: str, owner: User) -> Team:
    """A team with its first owner. Its slug is made from the name and never changes."""
    base = slugify(name)[:32] or "team"
    slug, number = base, 1
    while Team.objects.filter(slug=slug).exists():
        number += 1
        slug = f"{base}-{number}"
    team = Team.objects.create(name=name, slug=slug)
    Membership.objects.create(user=owner, team=team, role=Role.OWNER)
    audit_write(actor=actor, verb="team.created", team=team, subject=team.name)
    return team


def system_team() -> Team:
    """The team of what comes with the product: bundled models and benchmarks. Made when first asked for."""
    team, _ = Team.objects.get_or_create(is_system=True, defaults={"name": "Bundled", "slug": "bundled"})
    return team


@transaction.atomic
def membership_set(*, actor: Actor, team: Team, user: User, role: Role) -> Membership:
    """Let somebody in, or change their role.

    Raises `AccountError` when it would leave the team without an owner.
    """
    present = Membership.objects.filter(team=team, user=user).first()
    if present and present.role == Role.OWNER and role != Role.OWNER:
        _refuse_without_owner(team, user)
    membership, created = Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
    verb = "membership.added" if created else "membership.changed"
    audit_write(actor=actor, verb=verb, team=team, subject=user.username, role=role)
    return membership


@transaction.atomic
def membership_end(*, actor: Actor, team: Team, user: User) -> None:
    """Take somebody out; their API tokens for the team die with it. Raises `AccountError` for the last owner."""
    membership = Membership.objects.filter(team=team, user=user).first()
    if membership is None:
        return
    if membership.role == Role.OWNER:
        _refuse_without_owner(team, user)
    membership.delete()
    ApiToken.objects.filter(team=team, user=user, revoked=None).update(revoked=timezone.now())
    audit_write(actor=actor, verb="membership.ended", team=team, subject=user.username)


def _refuse_without_owner(team: Team, leaving: User) -> None:
    if not team.memberships.filter(role=Role.OWNER).exclude(user=leaving).exists():
        raise AccountError(f"{leaving} is the only owner of {team}. Make somebody else an owner first.")


# --- links ---------------------------------------------------------------------------------------------------------


def invitation_create(*, actor: Actor, team: Team, role: Role, email: str = "") -> tuple[Invitation, str]:
    """An invitation and the secret of its link, which is shown or sent now and never again."""
    secret = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        team=team,
        email=email,
        role=role,
        secret_hash=secret_hash(secret),
        invited_by=actor.user,
        expires=timezone.now() + INVITATION_LIFETIME,
    )
    audit_write(actor=actor, verb="invitation.created", team=team, subject=email or "whoever holds the link", role=role)
    return invitation, secret


@transaction.atomic
def invitation_accept(*, secret: str, user: User) -> Membership:
    """Spend an invitation. Raises `AccountError` when it is unknown, spent, revoked or too old."""
    now = timezone.now()
    # A conditional UPDATE: of two who hold the same link one gets in.
    spent = Invitation.objects.filter(
        secret_hash=secret_hash(secret), accepted=None, revoked=None, expires__gt=now
    ).update(accepted=now, accepted_by=user)
    if not spent:
        raise AccountError("This invitation is not valid any more. Ask the person who sent it for a new one.")
    invitation = Invitation.objects.select_related("team").get(secret_hash=secret_hash(secret))
    held = Membership.objects.filter(team=invitation.team, user=user).first()
    if held is not None:  # never narrows what somebody already is
        return held
    actor = Actor(user)
    return membership_set(actor=actor, team=invitation.team, user=user, role=Role(invitation.role))


def invitation_revoke(*, actor: Actor, invitation: Invitation) -> None:
    """Make a link worthless."""
    Invitation.objects.filter(pk=invitation.pk, accepted=None, revoked=None).update(revoked=timezone.now())
    audit_write(actor=actor, verb="invitation.revoked", team=invitation.team, subject=invitation.email)


def one_time_link_create(*, actor: Actor, user: User, purpose: OneTimeLink.Purpose) -> str:
    """The secret of a link that works once: ten minutes to sign in, a day to set a new password."""
    secret = secrets.token_urlsafe(32)
    lifetime = SIGN_IN_LIFETIME if purpose == OneTimeLink.Purpose.SIGN_IN else RESET_LIFETIME
    OneTimeLink.objects.create(
        user=user, purpose=purpose, secret_hash=secret_hash(secret), expires=timezone.now() + lifetime
    )
    audit_write(actor=actor, verb=f"link.{purpose}", team=None, subject=user.username)
    return secret


def one_time_link_spend(*, secret: str, purpose: OneTimeLink.Purpose) -> User:
    """Whose link it is. Raises `AccountError` when it is unknown, spent or too old."""
    now = timezone.now()
    hashed = secret_hash(secret)
    spent = OneTimeLink.objects.filter(
        secret_hash=hashed, purpose=purpose, spent=None, expires__gt=now, user__is_active=True
    ).update(spent=now)
    if not spent:
        raise AccountError("This link was used before or is too old. Ask for a new one.")
    return OneTimeLink.objects.select_related("user").get(secret_hash=hashed).user


# --- API tokens ----------------------------------------------------------------------------------------------------


def api_token_create(
    *, actor: Actor, user: User, team: Team, name: str, scopes: frozenset[Action], lifetime: timedelta | None
) -> tuple[ApiToken, str]:
    """A token and its text `meds3_<prefix>_<secret>`, which is shown now and never again.

    Raises `AccountError` for scopes that the person's role does not have.
    """
    membership = Membership.objects.filter(user=user, team=team).first()
    wider = scopes - actions_of(membership.role) if membership else scopes
    if wider:
        raise AccountError(f"Your role in {team} does not allow: {', '.join(sorted(wider))}. Leave these out.")
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
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
    allowed = actions_of(membership.role) & {Action(scope) for scope in token.scopes}
    return Bearer(token, token.user, token.team, frozenset(allowed))


def api_token_revoke(*, actor: Actor, token: ApiToken) -> None:
    """Make a token worthless."""
    ApiToken.objects.filter(pk=token.pk, revoked=None).update(revoked=timezone.now())
    audit_write(actor=actor, verb="token.revoked", team=token.team, subject=f"{token.name} ({token.prefix})")
