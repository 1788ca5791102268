"""Tells a team's webhooks of an event: rows in the transaction of what they tell of, sent when it has committed."""

from uuid import UUID

from django.db.models.functions import Now

from webapp.webhooks.models import Delivery, Event, Webhook


def webhooks_fire(*, team_id: UUID, event: Event, thing: UUID) -> int:
    """One delivery for each active webhook of the team that asked for this event; gives how many."""
    hooks = [hook for hook in Webhook.objects.filter(team=team_id, active=True) if event in hook.events]
    Delivery.objects.bulk_create(
        Delivery(team_id=team_id, webhook=hook, event=event, thing=thing, due=Now()) for hook in hooks
    )
    return len(hooks)
