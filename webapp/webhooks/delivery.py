"""Sends what waits: claimed by a conditional UPDATE, signed, tried again after a while, given up after a day.

Called by `workers.deliver`. Whoever claims a delivery has a minute to send it; a process that dies loses nothing. The
same call may then arrive twice: receivers know it by its id.
"""

import hashlib
import hmac
import json
import logging
import time
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from meds3core.errors import Meds3Error
from webapp.accounts.actors import SYSTEM
from webapp.accounts.audit import audit_write
from webapp.common.context import VERSION
from webapp.common.vault import unseal
from webapp.outgoing.client import Answer, ask
from webapp.outgoing.rules import Resolver
from webapp.outgoing.transport import resolved
from webapp.webhooks.models import Delivery, Webhook

PAUSES = (10, 60, 300, 1800, 7200, 21600, 43200)
"""Seconds between one try and the next; after the last, about a day in all, it is given up."""
CLAIM_SECONDS = 60
OFF_AFTER = timedelta(days=3)
"""A webhook to which nothing arrived for so long is switched off."""
KEPT = timedelta(days=30)

SIGNATURE, EVENT, ID = "MedS3-Signature", "MedS3-Event", "MedS3-Delivery"

log = logging.getLogger(__name__)


def delivery_claim() -> Delivery | None:
    """A delivery that is due, for this caller alone; those of webhooks that answer come first."""
    due = Delivery.objects.filter(state=Delivery.State.WAITING, due__lte=Now())
    for _ in range(3):  # somebody else may be quicker
        found = due.order_by(F("webhook__failing_since").asc(nulls_first=True), "due").first()
        if found is None:
            return None
        mine = due.filter(pk=found.pk, attempts=found.attempts)
        if mine.update(attempts=F("attempts") + 1, due=Now() + timedelta(seconds=CLAIM_SECONDS)):
            return Delivery.objects.select_related("webhook", "team").get(pk=found.pk)
    return None


def delivery_send(*, delivery: Delivery, resolve: Resolver = resolved) -> Delivery.State:
    """Send a claimed delivery and write down what came of it; gives its state."""
    webhook = delivery.webhook
    if not webhook.active:
        return _write(delivery, None, "The webhook is switched off.", final=True)
    try:
        body = body_of(delivery)
        answer = ask(
            "POST",
            webhook.url,
            content=body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"MedS3-Studio/{VERSION}",
                EVENT: delivery.event,
                ID: str(delivery.pk),
                SIGNATURE: signature(unseal(webhook.secret_sealed), int(time.time()), body),
            },
            resolve=resolve,
        )
    except Meds3Error as error:
        return _write(delivery, None, str(error))
    if answer.is_success:
        return _write(delivery, answer, "")
    moved = " Redirects are not followed." if 300 <= answer.status < 400 else ""
    return _write(delivery, answer, f"It answered {answer.status}.{moved}")


def body_of(delivery: Delivery) -> bytes:
    """What is sent: ids, no content. The same at every try."""
    kind = delivery.event.partition(".")[0]
    told = {"kind": kind, "id": str(delivery.thing)} if delivery.thing else None
    body = {
        "id": str(delivery.pk),
        "event": delivery.event,
        "created": delivery.created.isoformat(),
        "team": delivery.team.slug,
        "thing": told,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def signature(secret: str, at: int, body: bytes) -> str:
    """`t=<seconds since 1970>,v1=<hex>`: HMAC-SHA256 of `<t>.<body>` with the webhook's secret as its key."""
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def deliveries_expire() -> int:
    """Remove lines of the log that are old; gives how many."""
    return Delivery.objects.filter(ended__lt=timezone.now() - KEPT).delete()[0]


def _write(delivery: Delivery, answer: Answer | None, error: str, *, final: bool = False) -> Delivery.State:
    mine = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.WAITING, attempts=delivery.attempts)
    arrived, spent = not error, final or delivery.attempts > len(PAUSES)
    state = Delivery.State.DELIVERED if arrived else Delivery.State.FAILED if spent else Delivery.State.WAITING
    columns = {"state": state, "status": answer.status if answer else None, "error": error[:300]}
    if state == Delivery.State.WAITING:
        columns["due"] = Now() + timedelta(seconds=PAUSES[delivery.attempts - 1])
    else:
        columns["ended"] = Now()
    with transaction.atomic():
        if mine.update(**columns) and not final:
            _note(delivery.webhook, arrived)
    if error:
        log.info("delivery %s: try %d failed", delivery.pk, delivery.attempts)
    return state


def _note(webhook: Webhook, arrived: bool) -> None:
    """Since when a webhook fails; after too long it is switched off, and its page says so."""
    rows = Webhook.objects.filter(pk=webhook.pk)
    if arrived:
        rows.exclude(failing_since=None).update(failing_since=None)
        return
    rows.filter(failing_since=None).update(failing_since=Now())
    if rows.filter(active=True, failing_since__lt=Now() - OFF_AFTER).update(active=False, switched_off=Now()):
        audit_write(
            actor=SYSTEM,
            verb="webhook.switched-off",
            team=webhook.team,
            subject=webhook.name,
            webhook=str(webhook.pk),
        )
