"""Webhooks and remote engines for browser tests, made in the second process."""


def outward(*, team: str) -> str:
    """Three webhooks in the states that there are, with a log; two remote engines. Gives the id of the failing one."""
    from datetime import timedelta

    from django.test import override_settings
    from django.utils import timezone

    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team
    from webapp.endpoints.services import endpoint_create
    from webapp.webhooks.models import Delivery, Event, Webhook
    from webapp.webhooks.services import webhook_create, webhook_try

    owner, now = Team.objects.get(name=team), timezone.now()
    owned = Webhook.objects.filter(team=owner)
    with override_settings(OUTBOUND_ALLOW=["hooks.ward.example", "models.ward.example:8000"]):
        for name in ("Ward board", "Rota", "Old pager"):
            url = f"https://hooks.ward.example/{name.lower().replace(' ', '-')}"
            hook = webhook_create(actor=SYSTEM, team=owner, name=name, url=url, events=list(Event)[:4])[0]
            for _ in range(3):
                webhook_try(actor=SYSTEM, webhook=hook)
        for name in ("GPU box", "Second box"):
            url = "http://models.ward.example:8000/v1"
            endpoint_create(actor=SYSTEM, team=owner, name=name, url=url, model="clinic-policy", key="k" * 3)
    owned.filter(name="Rota").update(failing_since=now - timedelta(hours=5))
    off = {"failing_since": now - timedelta(days=3), "switched_off": now, "active": False}
    owned.filter(name="Old pager").update(**off)
    failing = owned.get(name="Rota")
    one, two, three = failing.deliveries.order_by("id")
    done, failed = Delivery.State.DELIVERED, Delivery.State.FAILED
    Delivery.objects.filter(pk=one.pk).update(state=done, status=204, ended=now, attempts=1)
    Delivery.objects.filter(pk=two.pk).update(state=failed, status=500, error="It answered 500.", attempts=8, ended=now)
    Delivery.objects.filter(pk=three.pk).update(attempts=2, error="No answer in time.", due=now + timedelta(minutes=5))
    return str(failing.pk)
