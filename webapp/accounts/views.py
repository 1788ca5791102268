"""Pages of teams and people."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.accounts.selectors import members_of
from webapp.common.access import public, team_page


@public
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Answer an invitation."""
    return render(request, "accounts/invitation.html")


@team_page(Action.TEAM_VIEW)
def members(request: HttpRequest, team: Team) -> HttpResponse:
    """Who is in the team."""
    return render(request, "accounts/members.html", {"team": team, "members": members_of(team=team)})
