"""Pages of a team's webhooks, for its owners."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from meds3core.errors import UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.accounts.views.team import SHOWN_ONCE
from webapp.common.access import actor_of, team_page
from webapp.common.paging import page_of
from webapp.webhooks import selectors, services
from webapp.webhooks.forms import WebhookForm
from webapp.webhooks.models import Event, Webhook


@team_page(Action.WEBHOOK_MANAGE)
@never_cache
def webhooks(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's webhooks; a new one's secret is shown in the answer that makes it and never again."""
    form = WebhookForm(request.POST or None)
    made = None
    if request.method == "POST" and form.is_valid():
        try:
            webhook, secret = services.webhook_create(actor=actor_of(request), team=team, **form.chosen)
            made, form = {SHOWN_ONCE: secret, "webhook": webhook}, WebhookForm()
        except UserError as error:
            form.add_error(None, str(error))
    context = {
        "team": team,
        "form": form,
        "made": made,
        "webhooks": selectors.webhooks_of(team=team),
        "anywhere": bool(settings.OUTBOUND_ALLOW),
    }
    return render(request, "webhooks/list.html", context, status=400 if form.errors else 200)


@team_page(Action.WEBHOOK_MANAGE)
@never_cache
def webhook(request: HttpRequest, team: Team, webhook_id: UUID) -> HttpResponse:
    """One webhook: its settings, and what was sent."""
    hook = selectors.webhook_of(team=team, webhook_id=webhook_id)
    form = WebhookForm(request.POST) if request.method == "POST" else WebhookForm.of(hook)
    if request.method == "POST" and form.is_valid():
        try:
            services.webhook_change(actor=actor_of(request), webhook=hook, active=hook.active, **form.chosen)
            messages.success(request, "Saved.")
            return redirect("team-webhook", team_slug=team.slug, webhook_id=hook.pk)
        except UserError as error:
            form.add_error(None, str(error))
    return _page(request, team, hook, form=form, status=400 if form.errors else 200)


@team_page(Action.WEBHOOK_MANAGE)
@require_POST
def switch(request: HttpRequest, team: Team, webhook_id: UUID) -> HttpResponse:
    """On or off."""
    hook = selectors.webhook_of(team=team, webhook_id=webhook_id)
    asked: dict[str, Any] = {"name": hook.name, "url": hook.url, "events": [Event(each) for each in hook.events]}
    try:
        services.webhook_change(actor=actor_of(request), webhook=hook, active=not hook.active, **asked)
        messages.success(request, f"{hook} is switched {'on' if hook.active else 'off'}.")
    except UserError as error:
        messages.error(request, str(error))
    return redirect("team-webhook", team_slug=team.slug, webhook_id=hook.pk)


@team_page(Action.WEBHOOK_MANAGE)
@never_cache
@require_POST
def renew(request: HttpRequest, team: Team, webhook_id: UUID) -> HttpResponse:
    """A new secret, shown in this answer."""
    hook = selectors.webhook_of(team=team, webhook_id=webhook_id)
    secret = services.webhook_secret_renew(actor=actor_of(request), webhook=hook)
    return _page(request, team, hook, form=WebhookForm.of(hook), **{SHOWN_ONCE: secret})


@team_page(Action.WEBHOOK_MANAGE)
@require_POST
def send_trial(request: HttpRequest, team: Team, webhook_id: UUID) -> HttpResponse:
    """Send a trial."""
    hook = selectors.webhook_of(team=team, webhook_id=webhook_id)
    try:
        services.webhook_try(actor=actor_of(request), webhook=hook)
        messages.success(request, "A trial is on its way. Load this page again in a moment to see what came of it.")
    except UserError as error:
        messages.error(request, str(error))
    return redirect("team-webhook", team_slug=team.slug, webhook_id=hook.pk)


@team_page(Action.WEBHOOK_MANAGE)
@require_POST
def delete(request: HttpRequest, team: Team, webhook_id: UUID) -> HttpResponse:
    """Remove it."""
    hook = selectors.webhook_of(team=team, webhook_id=webhook_id)
    services.webhook_delete(actor=actor_of(request), webhook=hook)
    messages.success(request, f"{hook} is removed.")
    return redirect("team-webhooks", team_slug=team.slug)


@team_page(Action.WEBHOOK_MANAGE)
@require_POST
def deliver_again(request: HttpRequest, team: Team, delivery_id: UUID) -> HttpResponse:
    """Send the same once more."""
    delivery = selectors.delivery_of(team=team, delivery_id=delivery_id)
    try:
        services.delivery_again(actor=actor_of(request), delivery=delivery)
        messages.success(request, "It is sent once more.")
    except UserError as error:
        messages.error(request, str(error))
    return redirect("team-webhook", team_slug=team.slug, webhook_id=delivery.webhook_id)  # type: ignore[attr-defined]


def _page(
    request: HttpRequest, team: Team, hook: Webhook, *, form: WebhookForm, status: int = 200, **more: Any
) -> HttpResponse:
    page = page_of(selectors.deliveries_of(webhook=hook), request.GET, size=25)
    context = {"team": team, "webhook": hook, "form": form, "page": page, "labels": dict(Event.choices), **more}
    return render(request, "webhooks/webhook.html", context, status=status)
