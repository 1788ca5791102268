"""Writes of people, teams and memberships: keyword-only functions that pages, API and commands call.

Each leaves a line in the audit log. Links are in `links`, API tokens in `tokens`.
"""

from axes.utils import reset as lockouts_reset
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.text import slugify

from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.audit import AccountError, audit_write
from webapp.accounts.models import ApiToken, Invitation, Membership, Team, Theme, User
from webapp.accounts.rules import Role, may_grant

__all__ = [
    "SYSTEM",
    "AccountError",
    "Actor",
    "audit_write",
    "membership_change",
    "membership_end",
    "membership_leave",
    "membership_remove",
    "membership_set",
    "system_team",
    "team_change",
    "team_create",
    "user_change",
    "user_create",
    "user_email_set",
    "user_operator_set",
    "user_password_set",
    "user_second_factor_end",
]

SYSTEM_SLUG = "bundled"

# --- people --------------------------------------------------------------------------------------------------------


@transaction.atomic
def user_create(*, actor: Actor, username: str, email: str = "", name: str = "", is_operator: bool = False) -> User:
    """A person without a password; they set one through a reset link.

    Raises `AccountError` for a name or an address that is taken.
    """
    if User.objects.filter(username__iexact=username).exists():
        raise AccountError(f"There is a person called {username} already.")
    if email and User.objects.filter(email__iexact=email).exists():
        raise AccountError(f"Somebody has the e-mail address {email} already.")
    user = User(username=username, email=email.lower(), name=name, is_operator=is_operator)
    user.set_unusable_password()
    user.save()
    audit_write(actor=actor, verb="user.created", team=None, subject=username, operator=is_operator)
    return user


@transaction.atomic
def user_change(*, actor: Actor, user: User, name: str, theme: Theme, mail_when_job_ends: bool | None = None) -> None:
    """A person's own name, how pages look to them, and whether they are mailed when a job of theirs ends."""
    user.name, user.theme = name, theme
    if mail_when_job_ends is not None:
        user.mail_when_job_ends = mail_when_job_ends
    user.save(update_fields=["name", "theme", "mail_when_job_ends"])
    audit_write(actor=actor, verb="user.changed", team=None, subject=user.username)


@transaction.atomic
def user_email_set(*, actor: Actor, user: User, email: str) -> None:
    """A person's e-mail address, by which they also sign in. Raises `AccountError` when another person has it."""
    if email and User.objects.filter(email__iexact=email).exclude(pk=user.pk).exists():
        raise AccountError("This address cannot be used here. Choose another one.")
    user.email = email.lower()
    user.save(update_fields=["email"])
    # allauth keeps its own list of addresses, which its password reset also reads.
    user.emailaddress_set.all().delete()
    if email:
        user.emailaddress_set.create(email=user.email, primary=True, verified=False)
    audit_write(actor=actor, verb="user.email", team=None, subject=user.username)


@transaction.atomic
def user_operator_set(*, actor: Actor, user: User, is_operator: bool) -> None:
    """Make somebody an operator of the instance, or no operator any more."""
    User.objects.filter(pk=user.pk).update(is_operator=is_operator)
    verb = "operator.added" if is_operator else "operator.ended"
    audit_write(actor=actor, verb=verb, team=None, subject=user.username)


@transaction.atomic
def user_password_set(*, actor: Actor, user: User, password: str) -> None:
    """A new password: ends the person's other sessions and their lock-outs."""
    user.set_password(password)
    user.save(update_fields=["password"])
    lockouts_reset(username=user.username.lower())
    audit_write(actor=actor, verb="user.password", team=None, subject=user.username)


@transaction.atomic
def user_second_factor_end(*, actor: Actor, user: User) -> None:
    """Take away a second factor that is lost, so that the password alone lets the person in to set up another."""
    user.authenticator_set.all().delete()
    audit_write(actor=actor, verb="user.second-factor-ended", team=None, subject=user.username)


# --- teams ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def team_create(*, actor: Actor, name: str, owner: User) -> Team:
    """A team with its first owner. Its slug is made from the name and never changes."""
    team = _team_with_free_slug(name)
    Membership.objects.create(user=owner, team=team, role=Role.OWNER)
    audit_write(actor=actor, verb="team.created", team=team, subject=team.name, owner=owner.username)
    return team


def _team_with_free_slug(name: str) -> Team:
    base = slugify(name)[:32].strip("-_") or "team"
    number = 1
    while True:
        slug = base if number == 1 else f"{base}-{number}"
        number += 1
        if slug == SYSTEM_SLUG or Team.objects.filter(slug=slug).exists():
            continue
        try:
            with transaction.atomic():
                return Team.objects.create(name=name, slug=slug)
        except IntegrityError:  # somebody took the slug since we looked
            continue


def system_team() -> Team:
    """The team of what comes with the product: bundled models and benchmarks. Made when first asked for."""
    team, _ = Team.objects.get_or_create(is_system=True, defaults={"name": "Bundled", "slug": SYSTEM_SLUG})
    return team


@transaction.atomic
def team_change(*, actor: Actor, team: Team, name: str, mfa_required: bool) -> None:
    """The team's name, and whether its members need a second factor."""
    team.name, team.mfa_required = name, mfa_required
    team.save(update_fields=["name", "mfa_required"])
    audit_write(actor=actor, verb="team.changed", team=team, subject=name, mfa_required=mfa_required)


# --- memberships ---------------------------------------------------------------------------------------------------


@transaction.atomic
def membership_set(*, actor: Actor, team: Team, user: User, role: Role) -> Membership:
    """Let somebody in, or change their role. Asks nobody's leave: pages call `membership_change`.

    Raises `AccountError` when it would leave the team without an owner.
    """
    present = Membership.objects.filter(team=team, user=user).first()
    if present and present.role == Role.OWNER and role != Role.OWNER:
        _refuse_without_owner(team, user)
    membership, created = Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
    if not created:
        _withdraw_invitations(actor, team, user, role)
    verb = "membership.added" if created else "membership.changed"
    audit_write(actor=actor, verb=verb, team=team, subject=user.username, role=role)
    return membership


@transaction.atomic
def membership_change(*, actor: Actor, membership: Membership, role: Role) -> None:
    """Give a member another role, as far as the actor's own role reaches. Raises `AccountError`."""
    _refuse_beyond_role(actor, membership.team, membership.role)
    _refuse_beyond_role(actor, membership.team, role)
    membership_set(actor=actor, team=membership.team, user=membership.user, role=role)


@transaction.atomic
def membership_remove(*, actor: Actor, membership: Membership) -> None:
    """Take a member out, as far as the actor's own role reaches. Raises `AccountError`."""
    _refuse_beyond_role(actor, membership.team, membership.role)
    membership_end(actor=actor, team=membership.team, user=membership.user)


def membership_leave(*, actor: Actor, team: Team) -> None:
    """Leave a team oneself. Raises `AccountError` for the last owner."""
    assert actor.user is not None
    membership_end(actor=actor, team=team, user=actor.user)


@transaction.atomic
def membership_end(*, actor: Actor, team: Team, user: User) -> None:
    """Take somebody out. Their API tokens for the team and the invitations they sent die with it.

    Raises `AccountError` for the last owner.
    """
    membership = Membership.objects.filter(team=team, user=user).first()
    if membership is None:
        return
    if membership.role == Role.OWNER:
        _refuse_without_owner(team, user)
    membership.delete()
    ApiToken.objects.filter(team=team, user=user, revoked=None).update(revoked=timezone.now())
    _withdraw_invitations(actor, team, user, None)
    audit_write(actor=actor, verb="membership.ended", team=team, subject=user.username)


def _refuse_beyond_role(actor: Actor, team: Team, role: str) -> None:
    own = Membership.objects.filter(team=team, user=actor.user).values_list("role", flat=True).first()
    if not may_grant(own, role):
        raise AccountError(f"Only an owner of {team} may decide about a {Role(role).label.lower()}.")


def _refuse_without_owner(team: Team, leaving: User) -> None:
    # Writing the team's row makes two owners who leave at the same time wait for each other.
    Team.objects.filter(pk=team.pk).update(name=F("name"))
    if not team.memberships.filter(role=Role.OWNER).exclude(user=leaving).exists():
        raise AccountError(f"{leaving} is the only owner of {team}. Make somebody else an owner first.")


def _withdraw_invitations(actor: Actor, team: Team, user: User, role: Role | None) -> None:
    """A person's open invitations to roles that they may not give any more: else they could let themselves back in."""
    theirs = Invitation.objects.filter(team=team, invited_by=user, accepted=None, revoked=None)
    for invitation in theirs:
        if not may_grant(role, invitation.role):
            Invitation.objects.filter(pk=invitation.pk).update(revoked=timezone.now())
            audit_write(actor=actor, verb="invitation.revoked", team=team, subject=invitation.email)
