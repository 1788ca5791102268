"""Reads of accounts. A view gets teams and people from here and nowhere else."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from allauth.mfa.utils import is_mfa_enabled
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone

from webapp.accounts.models import ApiToken, AuditEntry, Invitation, Membership, OneTimeLink, Team, User
from webapp.accounts.secrets import secret_hash

Row = TypeVar("Row")


def theirs(team: Team) -> Q:
    """Rows that a team sees: its own, and the system team's."""
    return Q(team=team) | Q(team__is_system=True)


def memberships_for(*, user: User) -> QuerySet[Membership]:
    """A person's memberships, by name of the team."""
    return Membership.objects.filter(user=user).select_related("team").order_by("team__name")


def membership_of(*, user: User, team_slug: str) -> Membership:
    """A person's membership in the team of this slug. Raises `Http404` where there is none, be there a team or not."""
    found = Membership.objects.filter(user=user, team__slug=team_slug).select_related("team").first()
    if found is None:
        raise Http404("There is no such team, or you are not in it.")
    return found


def needs_second_factor(*, user: User, team: Team) -> bool:
    """Whether the team asks for a second factor that this person has not set up."""
    return team.mfa_required and not is_mfa_enabled(user)


def members_of(*, team: Team) -> QuerySet[Membership]:
    """The members, by name."""
    return team.memberships.select_related("user").order_by("user__name", "user__username")


def open_invitations_of(*, team: Team) -> QuerySet[Invitation]:
    """Invitations that nobody accepted or revoked, newest first; expired ones among them."""
    return team.invitations.filter(accepted=None, revoked=None).select_related("invited_by").order_by("-id")


def api_tokens_for(*, user: User, team: Team) -> QuerySet[ApiToken]:
    """A person's own tokens for a team, newest first."""
    return ApiToken.objects.filter(user=user, team=team).order_by("-id")


def member_of(*, team: Team, membership_id: uuid.UUID) -> Membership:
    """A membership in this team. Raises `Http404`."""
    return _found(members_of(team=team).filter(pk=membership_id).first())


def open_invitation_of(*, team: Team, invitation_id: uuid.UUID) -> Invitation:
    """An open invitation of this team. Raises `Http404`."""
    return _found(open_invitations_of(team=team).filter(pk=invitation_id).first())


def valid_invitation(*, secret: str = "", invitation_id: str = "") -> Invitation | None:
    """The invitation that this secret, or this id out of a person's own session, stands for, if it can be accepted."""
    which = {"secret_hash": secret_hash(secret)} if secret else {"pk": invitation_id or None}
    still_open = Invitation.objects.filter(accepted=None, revoked=None, expires__gt=timezone.now(), **which)
    return still_open.select_related("team", "invited_by").first()


def api_token_for(*, user: User, team: Team, token_id: uuid.UUID) -> ApiToken:
    """One of a person's own tokens for a team. Raises `Http404`."""
    return _found(api_tokens_for(user=user, team=team).filter(pk=token_id).first())


def one_time_link_user(*, secret: str, purpose: OneTimeLink.Purpose) -> User | None:
    """Whose link it is, without spending it; none when it is unknown, spent or too old."""
    links = OneTimeLink.objects.filter(secret_hash=secret_hash(secret), purpose=purpose, spent=None)
    link = links.filter(expires__gt=timezone.now(), user__is_active=True).select_related("user").first()
    return link.user if link else None


def user_by_name(*, username: str) -> User | None:
    """The person of this user name, in whatever case."""
    return User.objects.filter(username__iexact=username).first()


def users_exist() -> bool:
    """Whether this instance knows anybody."""
    return User.objects.exists()


def account_name(*, login: str) -> str:
    """The user name behind what somebody typed to sign in, a user name or an e-mail; what they typed if nobody's."""
    login = login.strip()
    user = user_by_name(username=login)
    if user is None and "@" in login:
        user = User.objects.filter(email__iexact=login).first()
    return (user.username if user else login).lower()[:255]


@dataclass(frozen=True)
class AuditPage:
    """Some lines of the audit log, newest first, and the id to ask older ones with; none at the end."""

    entries: Sequence[AuditEntry]
    before: int | None


def audit_of(*, team: Team, before: int | None = None, size: int = 50) -> AuditPage:
    """What was done in the team: the newest lines, or those older than the line `before`."""
    found = team.audit.order_by("-id")
    if before is not None:
        found = found.filter(id__lt=before)
    entries = list(found[: size + 1])
    more = len(entries) > size
    return AuditPage(entries[:size], entries[size - 1].pk if more else None)


def _found(row: Row | None) -> Row:
    if row is None:
        raise Http404("There is nothing here.")
    return row
