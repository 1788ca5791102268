"""Teams and people for tests, made by the same services that pages call."""

from dataclasses import dataclass
from functools import cached_property

from django.test import Client

from webapp.accounts.actors import SYSTEM
from webapp.accounts.models import Team, User
from webapp.accounts.rules import Role, actions_of
from webapp.accounts.services import membership_set, team_create
from webapp.accounts.tokens import api_token_create

PASSWORD = "correct horse battery staple"


def person(username: str, *, operator: bool = False, email: str | None = None) -> User:
    """Somebody with a password, in no team."""
    address = f"{username}@ward.example" if email is None else email
    user = User(username=username, email=address, is_operator=operator)
    user.set_password(PASSWORD)
    user.save()
    return user


def signed_in(user: User | None, **options) -> Client:
    """A browser, signed in as this person."""
    client = Client(**options)
    if user is not None:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def token(user: User, team: Team, role: Role, scopes=None) -> str:
    """The text of a token of this person, as wide as the role unless narrowed."""
    wanted = actions_of(role) if scopes is None else frozenset(scopes)
    return api_token_create(actor=SYSTEM, user=user, team=team, name="test", scopes=wanted, lifetime=None)[1]


@dataclass
class World:
    """Two teams: ours with one person of each role, another with an owner; an operator in neither."""

    @cached_property
    def by_role(self) -> dict[Role, User]:
        return {role: person(role.value) for role in Role}

    @cached_property
    def team(self) -> Team:
        team = team_create(actor=SYSTEM, name="Ward 7", owner=self.by_role[Role.OWNER])
        for role in (Role.MANAGER, Role.ANNOTATOR, Role.VIEWER):
            membership_set(actor=SYSTEM, team=team, user=self.by_role[role], role=role)
        return team

    @cached_property
    def other_owner(self) -> User:
        return person("neighbour")

    @cached_property
    def other_team(self) -> Team:
        return team_create(actor=SYSTEM, name="Ward 8", owner=self.other_owner)

    @cached_property
    def operator(self) -> User:
        return person("operator", operator=True)

    def built(self) -> "World":
        """Everybody made now."""
        assert self.team and self.other_team and self.operator
        return self
