"""Reads of accounts. A view gets teams and people from here and nowhere else."""

from allauth.mfa.utils import is_mfa_enabled
from django.db.models import QuerySet
from django.http import Http404

from webapp.accounts.models import ApiToken, AuditEntry, Invitation, Membership, Team, User


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


def audit_of(*, team: Team) -> QuerySet[AuditEntry]:
    """What was done in the team, newest first."""
    return team.audit.order_by("-id")
