"""Pages of remote engines. Whoever sees models sees them; owners register and change them."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from meds3core.errors import Meds3Error, UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import actor_of, team_page
from webapp.endpoints import selectors, services
from webapp.endpoints.forms import EndpointForm


@team_page(Action.MODEL_VIEW)
@require_GET
def endpoints(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's remote engines."""
    return _list(request, team, EndpointForm())


@team_page(Action.ENDPOINT_MANAGE)
@require_POST
def create(request: HttpRequest, team: Team) -> HttpResponse:
    """Register one."""
    form = EndpointForm(request.POST)
    if form.is_valid():
        try:
            services.endpoint_create(actor=actor_of(request), team=team, **form.cleaned_data)
            messages.success(request, "Registered. Jobs can be told to use it.")
            return redirect("endpoint-list", team_slug=team.slug)
        except UserError as error:
            form.add_error(None, str(error))
    return _list(request, team, form, status=400)


@team_page(Action.ENDPOINT_MANAGE)
def change(request: HttpRequest, team: Team, endpoint_id: UUID) -> HttpResponse:
    """Change one."""
    row = selectors.endpoint_of(team=team, endpoint_id=endpoint_id)
    form = EndpointForm.of(row, request.POST or None)
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data | {"key": form.cleaned_data["key"] or None}
        try:
            services.endpoint_change(actor=actor_of(request), endpoint=row, **wanted)
            messages.success(request, "Saved.")
            return redirect("endpoint-list", team_slug=team.slug)
        except UserError as error:
            form.add_error(None, str(error))
    context = {"team": team, "endpoint": row, "form": form}
    return render(request, "endpoints/endpoint.html", context, status=400 if form.errors else 200)


@team_page(Action.ENDPOINT_MANAGE)
@require_POST
def ask(request: HttpRequest, team: Team, endpoint_id: UUID) -> HttpResponse:
    """Ask the server which models it serves."""
    row = selectors.endpoint_of(team=team, endpoint_id=endpoint_id)
    try:
        served = services.endpoint_ask(endpoint=row)
    except Meds3Error as error:
        messages.error(request, f"{row.name}: {error}")
        return redirect("endpoint-list", team_slug=team.slug)
    if row.model in served:
        messages.success(request, f"{row.name} answers and serves {row.model}.")
    else:
        others = ", ".join(served[:10]) or "nothing"
        messages.warning(request, f"{row.name} answers, but serves {others} and not {row.model}.")
    return redirect("endpoint-list", team_slug=team.slug)


@team_page(Action.ENDPOINT_MANAGE)
@require_POST
def delete(request: HttpRequest, team: Team, endpoint_id: UUID) -> HttpResponse:
    """Remove one with its key."""
    row = selectors.endpoint_of(team=team, endpoint_id=endpoint_id)
    try:
        services.endpoint_delete(actor=actor_of(request), endpoint=row)
        messages.success(request, f"{row.name} is removed, and its key with it.")
    except UserError as error:
        messages.error(request, str(error))
    return redirect("endpoint-list", team_slug=team.slug)


def _list(request: HttpRequest, team: Team, form: EndpointForm, *, status: int = 200) -> HttpResponse:
    context = {
        "team": team,
        "form": form,
        "endpoints": selectors.endpoints_of(team=team),
        "may_manage": may(request.membership.role, Action.ENDPOINT_MANAGE),  # type: ignore[attr-defined]
        "anywhere": bool(settings.OUTBOUND_ALLOW),
    }
    return render(request, "endpoints/list.html", context, status=status)
