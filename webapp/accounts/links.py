"""Links that let a person in: invitations to a team, one-time sign-in, password reset.

A link carries its secret in the URL's fragment, which no server, proxy or log ever sees; a POST spends it.
"""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from webapp.accounts.actors import Actor
from webapp.accounts.audit import AccountError, audit_write
from webapp.accounts.models import Invitation, Membership, OneTimeLink, Team, User
from webapp.accounts.rules import Role, may_grant
from webapp.accounts.secrets import new_secret, secret_hash
from webapp.accounts.services import membership_set

INVITATION_LIFETIME = timedelta(days=14)
SIGN_IN_LIFETIME = timedelta(minutes=10)
RESET_LIFETIME = timedelta(hours=24)

SPENT_INVITATION = "This invitation is not valid any more. Ask the person who sent it for a new one."
SPENT_LINK = "This link was used before or is too old. Ask for a new one."


# --- invitations ---------------------------------------------------------------------------------------------------


@transaction.atomic
def invitation_create(*, actor: Actor, team: Team, role: Role, email: str = "") -> tuple[Invitation, str]:
    """An invitation and the secret of its link, which is shown or sent now and never again.

    Raises `AccountError` for a role that the actor may not give.
    """
    own = Membership.objects.filter(team=team, user=actor.user).values_list("role", flat=True).first()
    if not may_grant(own, role):
        raise AccountError(f"Only an owner of {team} may invite a {Role(role).label.lower()}.")
    secret = new_secret()
    invitation = Invitation.objects.create(
        team=team,
        email=email.lower(),
        role=role,
        secret_hash=secret_hash(secret),
        invited_by=actor.user,
        expires=timezone.now() + INVITATION_LIFETIME,
    )
    audit_write(actor=actor, verb="invitation.created", team=team, subject=email or "whoever holds the link", role=role)
    return invitation, secret


@transaction.atomic
def invitation_accept(*, actor: Actor, invitation: Invitation) -> Membership:
    """The actor enters the team; the invitation is spent.

    Raises `AccountError` when it is spent, revoked, too old or for somebody else, or its bearer is in the team already.
    """
    user = actor.user
    assert user is not None
    if invitation.email and invitation.email != user.email.lower():
        raise AccountError("This invitation is for another e-mail address. Sign in as the person it was sent to.")
    if Membership.objects.filter(team=invitation.team, user=user).exists():
        raise AccountError(f"You are in {invitation.team} already. The invitation was not used.")
    now = timezone.now()
    # A conditional UPDATE: of two who hold the same link one gets in.
    spent = Invitation.objects.filter(pk=invitation.pk, accepted=None, revoked=None, expires__gt=now).update(
        accepted=now, accepted_by=user
    )
    if not spent:
        raise AccountError(SPENT_INVITATION)
    return membership_set(actor=actor, team=invitation.team, user=user, role=Role(invitation.role))


@transaction.atomic
def invitation_revoke(*, actor: Actor, invitation: Invitation) -> None:
    """Make a link worthless."""
    revoked = Invitation.objects.filter(pk=invitation.pk, accepted=None, revoked=None).update(revoked=timezone.now())
    if revoked:
        audit_write(actor=actor, verb="invitation.revoked", team=invitation.team, subject=invitation.email)


# --- links that work once ------------------------------------------------------------------------------------------


@transaction.atomic
def one_time_link_create(*, actor: Actor, user: User, purpose: OneTimeLink.Purpose) -> str:
    """The secret of a link that works once: ten minutes to sign in, a day to set a new password.

    Earlier links of the same purpose stop working.
    """
    now = timezone.now()
    OneTimeLink.objects.filter(user=user, purpose=purpose, spent=None).update(spent=now)
    secret = new_secret()
    lifetime = SIGN_IN_LIFETIME if purpose == OneTimeLink.Purpose.SIGN_IN else RESET_LIFETIME
    OneTimeLink.objects.create(user=user, purpose=purpose, secret_hash=secret_hash(secret), expires=now + lifetime)
    audit_write(actor=actor, verb=f"link.{purpose}", team=None, subject=user.username)
    return secret


@transaction.atomic
def one_time_link_spend(*, secret: str, purpose: OneTimeLink.Purpose, address: str | None = None) -> User:
    """Whose link it is. Raises `AccountError` when it is unknown, spent or too old."""
    now = timezone.now()
    hashed = secret_hash(secret)
    # Not across a join: of two who spend it at once PostgreSQL looks again at the row's own columns only.
    spent = OneTimeLink.objects.filter(
        secret_hash=hashed, purpose=purpose, spent=None, expires__gt=now, user__in=User.objects.filter(is_active=True)
    ).update(spent=now)
    if not spent:
        raise AccountError(SPENT_LINK)
    user = OneTimeLink.objects.select_related("user").get(secret_hash=hashed).user
    audit_write(actor=Actor(user, address=address), verb="link.spent", team=None, subject=purpose)
    return user
