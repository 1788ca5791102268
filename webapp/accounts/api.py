"""API of accounts: who the caller is and which teams they reach."""

import uuid

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from webapp.accounts.api_auth import Caller, signed_in_operation, team_operation
from webapp.accounts.rules import Action
from webapp.accounts.selectors import members_of
from webapp.common.context import VERSION

router = Router(tags=["accounts"])


class TeamOut(Schema):
    """A team that the caller reaches, and what they may do there with this token or session."""

    slug: str
    name: str
    role: str
    actions: list[str]


class CallerOut(Schema):
    """Whom the request speaks for."""

    id: uuid.UUID
    username: str
    name: str
    is_operator: bool
    token: str | None
    teams: list[TeamOut]
    version: str = Field(description="Of the server.")


class MemberOut(Schema):
    """A member of a team."""

    username: str
    name: str
    role: str


def _teams(caller: Caller) -> list[TeamOut]:
    return [
        TeamOut(slug=each.team.slug, name=each.team.name, role=each.role, actions=sorted(each.actions))
        for each in caller.reaches()
    ]


@router.get("/me", response=CallerOut, operation_id="me")
@signed_in_operation
def me(request: HttpRequest) -> CallerOut:
    """Who you are, by which token, and what you may do."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    user = caller.user
    return CallerOut(
        id=user.id,
        username=user.username,
        name=user.name,
        # A token speaks for its owner in one team, never for the operator that the owner may also be.
        is_operator=user.is_operator and caller.token is None,
        token=caller.token.prefix if caller.token else None,
        teams=_teams(caller),
        version=VERSION,
    )


@router.get("/teams", response=list[TeamOut], operation_id="teams")
@signed_in_operation
def team_list(request: HttpRequest) -> list[TeamOut]:
    """The teams that you reach."""
    return _teams(request.auth)  # type: ignore[attr-defined]


@router.get("/teams/{team_slug}/members", response=list[MemberOut], operation_id="team_members")
@team_operation(Action.TEAM_VIEW)
def member_list(request: HttpRequest, team_slug: str) -> list[MemberOut]:
    """Who is in the team."""
    members = members_of(team=request.team)  # type: ignore[attr-defined]
    return [MemberOut(username=each.user.username, name=each.user.name, role=each.role) for each in members]
