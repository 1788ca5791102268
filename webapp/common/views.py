"""Pages that belong to no app: home, the theme, and the one that machines ask."""

from django.core.exceptions import BadRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from webapp.accounts.models import Theme
from webapp.accounts.selectors import memberships_for, needs_second_factor
from webapp.accounts.services import user_change
from webapp.common.access import actor_of, public, signed_in
from webapp.common.context import current_membership
from webapp.common.home import home_context


@signed_in
def home(request: HttpRequest) -> HttpResponse:
    """What a person sees first: what goes on in the team that they looked at last, and what they may do first."""
    membership = current_membership(request, list(memberships_for(user=request.user)))
    if membership is None or needs_second_factor(user=request.user, team=membership.team):
        return render(request, "common/home.html")
    return render(request, "common/home.html", home_context(membership))


@signed_in
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """How pages look to this person from now on; back to where they were."""
    chosen = request.POST.get("theme", "")
    if chosen not in Theme.values:
        raise BadRequest("theme: light, dark or auto")
    user_change(actor=actor_of(request), user=request.user, name=request.user.name, theme=Theme(chosen))
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "home")


@public
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process answers and reaches its database; says no more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})
