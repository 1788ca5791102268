"""What every page's frame shows: the person's teams, what they may go to, the theme."""

from importlib.metadata import version
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from webapp.accounts.models import Membership, Theme
from webapp.accounts.selectors import memberships_for
from webapp.common import navigation

VERSION = version("meds3-studio")
LAST_TEAM = "last_team"
"""Session key: the slug of the team whose page the person saw last, so that other pages keep its navigation."""


def page(request: HttpRequest) -> dict[str, Any]:
    """Context of templates/base.html."""
    frame: dict[str, Any] = {
        "theme": Theme.AUTO,
        "studio_version": VERSION,
        "has_mail": settings.HAS_MAIL,
        "open_signup": settings.OPEN_SIGNUP,
    }
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return frame
    mine = list(memberships_for(user=user))
    current = current_membership(request, mine)
    return frame | {
        "theme": user.theme,
        "themes": Theme.choices,
        "membership": current,
        "team_choices": [(each, navigation.first_page(each)) for each in mine],
        "home_link": navigation.links((navigation.HOME,), path=request.path if request.path == "/" else ""),
        "work_links": navigation.links(navigation.WORK, path=request.path, membership=current),
        "team_links": navigation.links(navigation.TEAM, path=request.path, membership=current),
        "instance_links": navigation.links(navigation.INSTANCE, path=request.path) if user.is_operator else [],
        "account_links": navigation.links(navigation.ACCOUNT, path=request.path),
    }


def current_membership(request: HttpRequest, mine: list[Membership]) -> Membership | None:
    """The membership that the page belongs to; on pages of no team, that of the team seen last."""
    here = getattr(request, "membership", None)
    if here is not None:
        if request.session.get(LAST_TEAM) != here.team.slug:
            request.session[LAST_TEAM] = here.team.slug
        return here
    last = request.session.get(LAST_TEAM)
    return next((each for each in mine if each.team.slug == last), mine[0] if mine else None)
