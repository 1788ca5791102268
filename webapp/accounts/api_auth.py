"""Who calls the API: a bearer token in the `Authorization` header, or a signed-in page of our own with its CSRF token.

    @router.get("/teams/{team_slug}/datasets")
    @team_operation(Action.DATASET_VIEW)
    def dataset_list(request, team_slug: str): ...   # request.team is the team, request.auth the caller

As views do, every operation says who may call it; `webapp.config.api.Api` refuses to load one that does not. It is
asked right after who calls, before the body is looked at. A token reaches one team, with its scopes, as far as the
person's present role allows, and never speaks for an operator.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest
from ninja.errors import HttpError, Throttled
from ninja.security import HttpBearer
from ninja.utils import check_csrf

from webapp.accounts.actors import Actor
from webapp.accounts.models import ApiToken, Door, Membership, Team, User
from webapp.accounts.rules import Action, OperatorAction, actions_of
from webapp.accounts.selectors import memberships_for, needs_second_factor
from webapp.accounts.tokens import api_token_check
from webapp.common.access import SIGNED_IN, Access, access_of, declared
from webapp.common.client import client_address

Operation = Callable[..., Any]


@dataclass(frozen=True)
class Reach:
    """A team that a caller reaches, the role there, and what may be done."""

    team: Team
    role: str
    actions: frozenset[Action]


@dataclass(frozen=True)
class Caller:
    """Who calls, by which token if by one, and from where."""

    user: User
    token: ApiToken | None
    address: str

    @property
    def actor(self) -> Actor:
        """For services."""
        return Actor(self.user, Door.API if self.token else Door.PAGE, self.address)

    def reaches(self) -> list[Reach]:
        """The teams that this caller reaches now: a token's one, or all of a person's."""
        memberships = memberships_for(user=self.user)
        if self.token is not None:
            memberships = memberships.filter(team=self.token.team_id)
        return [Reach(each.team, each.role, self._actions(each)) for each in memberships]

    def reach(self, team_slug: str, action: Action) -> Reach:
        """The team of this slug, for this action.

        Raises `Http404` where the caller reaches no such team, `PermissionDenied` where they may not do it there.
        """
        found = next((each for each in self.reaches() if each.team.slug == team_slug), None)
        if found is None:
            raise Http404("There is no such team, or you are not in it.")
        if action not in found.actions:
            raise PermissionDenied(f"This needs {action.value}, which your role or your token does not give.")
        if needs_second_factor(user=self.user, team=found.team):
            raise PermissionDenied("This team asks for a second factor. Set one up on the site first.")
        return found

    def _actions(self, membership: Membership) -> frozenset[Action]:
        allowed = actions_of(membership.role)
        if self.token is None:
            return allowed
        return frozenset(action for action in allowed if action in self.token.scopes)


class TokenAuth(HttpBearer):
    """A token in the header; at most `API_REQUESTS_PER_MINUTE` requests a minute."""

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        """Who calls, or nobody."""
        bearer = api_token_check(text=token.strip())
        if bearer is None:
            return None
        _count(bearer.token)
        return _admitted(request, Caller(bearer.user, bearer.token, client_address(request)))


class PageAuth(HttpBearer):
    """Somebody signed in on the site, from a page of ours: what changes anything carries the CSRF token.

    A request with an `Authorization` header is a token's or nobody's: a wrong token never falls back on a cookie.
    """

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME
    openapi_scheme = None  # type: ignore[assignment]

    def __call__(self, request: HttpRequest) -> Caller | None:
        """Who calls, or nobody."""
        return None if "Authorization" in request.headers else self.authenticate(request, "")

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        """Who is signed in, or nobody. Raises `HttpError` (403) without the CSRF token."""
        if not request.user.is_authenticated:
            return None
        if check_csrf(request) is not None:
            raise HttpError(403, "The CSRF token is missing or wrong. Programs use an API token instead.")
        return _admitted(request, Caller(request.user, None, client_address(request)))


def team_of_call(request: HttpRequest) -> Team:
    """The team of an operation declared with `team_operation`."""
    team: Team = request.team  # type: ignore[attr-defined]
    return team


def actor_of_call(request: HttpRequest) -> Actor:
    """Who calls, for services."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    return caller.actor


def signed_in_operation(operation: Operation) -> Operation:
    """Whoever calls with a valid token or a session; the operation shows what is theirs."""
    return declared(operation, SIGNED_IN)


def team_operation(action: Action) -> Callable[[Operation], Operation]:
    """Who may do this in the team named by `team_slug` in the path; `request.team` is that team."""
    return lambda operation: _declared(operation, Access(action=action))


def token_operation(action: Action) -> Callable[[Operation], Operation]:
    """Who may do this in the team of the token that the request is made with; `request.team` is that team."""
    return lambda operation: _declared(operation, Access(action=action, by_token=True))


def operator_operation(action: OperatorAction) -> Callable[[Operation], Operation]:
    """The instance's operators, signed in on the site: a token speaks for its owner in one team only."""
    return lambda operation: _declared(operation, Access(operator=action))


def _declared(operation: Operation, access: Access) -> Operation:
    @wraps(operation)
    def guarded(request: HttpRequest, **others: Any) -> Any:
        if getattr(request, "admitted", None) != access:
            raise ImproperlyConfigured(f"{operation.__name__} was reached without its declaration being asked")
        return operation(request, **others)

    return declared(guarded, access)


def _admitted(request: HttpRequest, caller: Caller) -> Caller:
    """The caller, if the operation that the path and the method name is open to them.

    Raises `Http404` and `PermissionDenied` as `Caller.reach` does.
    """
    match = request.resolver_match
    paths = access_of(match.func) if match else None
    access = (paths.operations or {}).get(str(request.method)) if paths else None
    if match is None or access is None:  # ninja answers 405 before it asks who calls
        return caller
    if access.operator and (caller.token is not None or not caller.user.is_operator):
        raise PermissionDenied("This is for the people who run this instance, signed in on the site.")
    if access.by_token:
        if caller.token is None:
            raise HttpError(401, "This takes an API token.")
        reached = next(iter(caller.reaches()), None)
        request.team = caller.reach(reached.team.slug if reached else "", access.action or Action.TEAM_VIEW).team  # type: ignore[attr-defined]
    elif access.action is not None:
        request.team = caller.reach(match.kwargs["team_slug"], access.action).team  # type: ignore[attr-defined]
    request.admitted = access  # type: ignore[attr-defined]
    return caller


def _count(token: ApiToken) -> None:
    """One more request in this minute. Raises `Throttled` above the limit."""
    now = time.time()
    key = f"api-requests:{token.pk}:{int(now // 60)}"
    cache.add(key, 0, timeout=120)
    try:
        used = cache.incr(key)
    except ValueError:  # evicted between the two lines
        return
    if used > settings.API_REQUESTS_PER_MINUTE:
        raise Throttled(wait=60 - int(now % 60))
