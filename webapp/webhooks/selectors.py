"""Reads of webhooks and of what was sent to them."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.webhooks.models import Delivery, Webhook


def webhooks_of(*, team: Team) -> QuerySet[Webhook]:
    """A team's webhooks, by name."""
    return Webhook.objects.filter(team=team).order_by("name")


def webhook_of(*, team: Team, webhook_id: UUID) -> Webhook:
    """One of them. Raises `Http404`."""
    found = Webhook.objects.filter(team=team, pk=webhook_id).select_related("team").first()
    if found is None:
        raise Http404("There is no such webhook, or it belongs to another team.")
    return found


def deliveries_of(*, webhook: Webhook) -> QuerySet[Delivery]:
    """What was sent to a webhook, newest first."""
    return Delivery.objects.filter(webhook=webhook).order_by("-id")


def delivery_of(*, team: Team, delivery_id: UUID) -> Delivery:
    """One line of a log of the team's webhooks. Raises `Http404`."""
    found = Delivery.objects.filter(team=team, pk=delivery_id).select_related("webhook", "webhook__team").first()
    if found is None:
        raise Http404("There is no such delivery, or it belongs to another team.")
    return found
