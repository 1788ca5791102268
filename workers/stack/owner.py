"""The first person of an instance, and the link that lets them in from this machine."""

from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse

from webapp.accounts.actors import Actor
from webapp.accounts.links import one_time_link_create
from webapp.accounts.models import Door, OneTimeLink, Team, User
from webapp.accounts.selectors import memberships_for, user_by_name, users_exist
from webapp.accounts.services import team_create, user_create

COMMAND = Actor(None, Door.COMMAND)


@dataclass(frozen=True)
class Owner:
    """Somebody who owns a team here, made by this start or by an earlier one."""

    user: User
    team: Team
    is_new: bool


def owner_prepare(*, username: str, team_name: str) -> Owner | None:
    """The first owner with a team, made when the instance has nobody yet; none where others were made instead."""
    if not users_exist():
        user = user_create(actor=COMMAND, username=username, is_operator=True)
        return Owner(user, team_create(actor=COMMAND, name=team_name, owner=user), True)
    known = user_by_name(username=username)
    if known is None:
        return None
    membership = memberships_for(user=known).order_by("created").first()
    return Owner(known, membership.team, False) if membership else None


def sign_in_link(*, user: User, url: str) -> str | None:
    """A link that signs the person in once, within ten minutes, from this machine; none where settings refuse it."""
    if not settings.ALLOW_ONE_TIME_SIGN_IN:
        return None
    secret = one_time_link_create(actor=COMMAND, user=user, purpose=OneTimeLink.Purpose.SIGN_IN)
    return f"{url}{reverse('one-time-sign-in')}#{secret}"
