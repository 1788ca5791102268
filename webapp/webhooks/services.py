"""What owners do with webhooks. Each leaves a line in the audit log; a secret is shown once, when it is made."""

from collections.abc import Collection

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from meds3core.errors import UserError
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team
from webapp.accounts.secrets import new_secret
from webapp.common.vault import seal
from webapp.outgoing.rules import outbound_rules
from webapp.webhooks.models import TRIAL, Delivery, Event, Webhook

MOST = 20


class WebhookError(UserError):
    """A webhook cannot be made or changed like this; the message says why."""

    code = "webhook"


def webhook_create(*, actor: Actor, team: Team, name: str, url: str, events: Collection[Event]) -> tuple[Webhook, str]:
    """A webhook, and the secret that signs its calls.

    Raises `WebhookError`, and `OutgoingRefused` for an address that this instance may not reach.
    """
    _check(url, events)
    if Webhook.objects.filter(team=team).count() >= MOST:
        raise WebhookError(f"A team has {MOST} webhooks at most. Remove one that nobody needs.")
    secret = new_secret()
    columns = {"url": url, "events": sorted(events), "secret_sealed": seal(secret), "created_by": actor.user}
    try:
        with transaction.atomic():
            webhook = Webhook.objects.create(team=team, name=name, **columns)
            _audit(actor, "webhook.created", webhook)
    except IntegrityError:
        raise WebhookError(f"{team} has a webhook called {name} already. Choose another name.") from None
    return webhook, secret


def webhook_change(
    *, actor: Actor, webhook: Webhook, name: str, url: str, events: Collection[Event], active: bool
) -> Webhook:
    """Another name, address, choice of events; on or off. Switched on, it is given a new chance."""
    _check(url, events)
    columns = {"name": name, "url": url, "events": sorted(events), "active": active}
    if active and not webhook.active:
        columns |= {"failing_since": None, "switched_off": None}
    try:
        with transaction.atomic():
            Webhook.objects.filter(pk=webhook.pk).update(**columns)
            _audit(actor, "webhook.changed", webhook)
    except IntegrityError:
        raise WebhookError(f"{webhook.team} has a webhook called {name} already. Choose another name.") from None
    webhook.refresh_from_db()
    return webhook


@transaction.atomic
def webhook_secret_renew(*, actor: Actor, webhook: Webhook) -> str:
    """A new secret; calls signed by the old one end at once."""
    secret = new_secret()
    Webhook.objects.filter(pk=webhook.pk).update(secret_sealed=seal(secret))
    _audit(actor, "webhook.secret-renewed", webhook)
    return secret


@transaction.atomic
def webhook_delete(*, actor: Actor, webhook: Webhook) -> None:
    """Remove it with its log; what waits is not sent."""
    _audit(actor, "webhook.deleted", webhook)
    Webhook.objects.filter(pk=webhook.pk).delete()


@transaction.atomic
def webhook_try(*, actor: Actor, webhook: Webhook) -> Delivery:
    """Send a trial, which tells of nothing."""
    _audit(actor, "webhook.tried", webhook)
    return _waiting(webhook, TRIAL, None)


@transaction.atomic
def delivery_again(*, actor: Actor, delivery: Delivery) -> Delivery:
    """Send the same once more, as a line of its own."""
    _audit(actor, "webhook.sent-again", delivery.webhook)
    return _waiting(delivery.webhook, delivery.event, delivery.thing)


def _waiting(webhook: Webhook, event: str, thing: object) -> Delivery:
    if not webhook.active:
        raise WebhookError(f"{webhook} is switched off. Switch it on first.")
    delivery = Delivery.objects.create(team=webhook.team, webhook=webhook, event=event, thing=thing, due=Now())
    delivery.refresh_from_db()
    return delivery


def _check(url: str, events: Collection[Event]) -> None:
    if not events:
        raise WebhookError("Choose at least one event.")
    outbound_rules().check_url(url)


def _audit(actor: Actor, verb: str, webhook: Webhook) -> None:
    # Not the address: it may hold a secret of the other side in its path.
    audit_write(actor=actor, verb=verb, team=webhook.team, subject=webhook.name, webhook=str(webhook.pk))
