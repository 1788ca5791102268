"""The wall in front of every view: each says who may call it, and `AccessMiddleware` refuses a view that says nothing.

    @team_page(Action.DATASET_VIEW)
    def dataset_list(request, team): ...

A stranger is sent to sign in; a member of another team finds nothing (404, so that names of teams do not leak); a
member whose role may not do it is told so (403). tests/web/test_walls.py walks the URL map with this same declaration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.generic import RedirectView
from django_htmx.http import HttpResponseClientRedirect

from webapp.accounts.actors import Actor
from webapp.accounts.models import Door
from webapp.accounts.rules import Action, OperatorAction, may
from webapp.accounts.selectors import membership_of, needs_second_factor
from webapp.accounts.tokens import bearer_of
from webapp.common.client import client_address

View = Callable[..., Any]


@dataclass(frozen=True)
class Access:
    """Who may call a view. With neither action: everybody (`public`) or whoever is signed in.

    With `by_token` the team is that of the caller's API token, and a page's cookie counts for nothing.
    An operator's page may be opened to whoever is signed in by a setting (`opened_by`), or to machines (`or_token`: any
    valid API token). A path of the API says who may call it by HTTP method (`operations`); the API itself asks.
    """

    public: bool = False
    action: Action | None = None
    operator: OperatorAction | None = None
    opened_by: str = ""
    or_token: bool = False
    by_token: bool = False
    operations: Mapping[str, "Access"] | None = None


PUBLIC, SIGNED_IN = Access(public=True), Access()

THIRD_PARTY: dict[str, Access] = {"allauth": PUBLIC, "django.contrib.staticfiles": PUBLIC}
"""Views of libraries by the package they come from: these guard themselves (sign-in, second factor, OIDC, SAML)."""


def access_of(view: View) -> Access | None:
    """What the view declares, or what is known of its library; none: nobody thought about it."""
    declared = getattr(view, "access", None)
    if isinstance(declared, Access):
        return declared
    if getattr(view, "view_class", None) is RedirectView:
        return PUBLIC  # shows nothing itself; where it leads is guarded
    module = getattr(view, "__module__", "") or ""
    return next((known for name, known in THIRD_PARTY.items() if module == name or module.startswith(f"{name}.")), None)


def public(view: View) -> View:
    """Everybody, signed in or not."""
    return declared(view, PUBLIC)


def signed_in(view: View) -> View:
    """Whoever is signed in; the view shows them what is theirs."""
    return declared(view, SIGNED_IN)


def operator_page(action: OperatorAction, *, opened_by: str = "", or_token: bool = False) -> Callable[[View], View]:
    """The instance's operators; others too where the setting `opened_by` is true, or with an API token (`or_token`)."""
    return lambda view: declared(view, Access(operator=action, opened_by=opened_by, or_token=or_token))


def actor_of(request: HttpRequest) -> Actor:
    """Who does what this request asks for, for services and their audit lines."""
    user = request.user if request.user.is_authenticated else None
    return Actor(user, Door.PAGE, client_address(request))


def team_page(action: Action) -> Callable[[View], View]:
    """Members of the team named by `team_slug` in the URL whose role may do this.

    The view gets the team in the place of the slug; `request.membership` holds the person's membership.
    """

    def declare(view: View) -> View:
        @wraps(view)
        def with_team(request: HttpRequest, team_slug: str, **others: Any) -> HttpResponse:
            membership = membership_of(user=request.user, team_slug=team_slug)  # raises Http404
            if not may(membership.role, action):
                role = membership.get_role_display()
                raise PermissionDenied(f"{role}s of {membership.team} may not do this. Ask an owner.")
            if needs_second_factor(user=request.user, team=membership.team):
                return redirect("mfa_index")
            request.membership = membership  # type: ignore[attr-defined]
            return view(request, membership.team, **others)

        return declared(with_team, Access(action=action))

    return declare


def declared(view: View, access: Access) -> View:
    """Note on a view who may call it."""
    if iscoroutinefunction(view):
        raise ImproperlyConfigured(f"{name_of(view)}: declare the synchronous view that answers first")
    view.access = access  # type: ignore[attr-defined]
    return view


def name_of(view: View) -> str:
    """Module and name, for messages."""
    return f"{view.__module__}.{getattr(view, '__name__', type(view).__name__)}"


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in and come back. A part of a page (htmx) would put the sign-in page in its place: the whole page goes."""
    if not getattr(request, "htmx", False):
        return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
    shown = urlsplit(request.htmx.current_url_abs_path or "")
    back = f"{shown.path}?{shown.query}" if shown.query else shown.path or reverse("home")
    return HttpResponseClientRedirect(redirect_to_login(back, settings.LOGIN_URL).url)


class AccessMiddleware:
    """Refuses what no view declared, sends strangers to sign in, keeps operators' pages to operators."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass on; the work is in `process_view`."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: View, _args: Any, _others: Any) -> HttpResponse | None:
        """Before every view."""
        access = access_of(view)
        if access is None:
            raise ImproperlyConfigured(f"{name_of(view)} does not say who may call it")
        if access.public:
            return None
        if access.or_token and "Authorization" in request.headers:
            return self._machine(request)
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        opened = bool(access.opened_by) and bool(getattr(settings, access.opened_by))
        if access.operator and not request.user.is_operator and not opened:
            raise PermissionDenied("This page is for the people who run this instance.")
        return None

    @staticmethod
    def _machine(request: HttpRequest) -> HttpResponse | None:
        if bearer_of(request) is None:
            return HttpResponse("This token is not valid.", status=401, headers={"WWW-Authenticate": "Bearer"})
        return None
