"""Webhooks from the event to the other program, which is a real web server; who may manage them is walked elsewhere."""

import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from tests.web.people import World, signed_in, token
from tests.web.receiver import answers, receiver
from tests.workers.people import SPEC
from webapp.accounts.actors import SYSTEM
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.jobs import claims
from webapp.jobs import services as jobs
from webapp.outgoing.rules import OutgoingRefused
from webapp.webhooks import services
from webapp.webhooks.delivery import OFF_AFTER, PAUSES, deliveries_expire, delivery_claim, delivery_send
from webapp.webhooks.models import Delivery, Event, Webhook
from workers.deliver import deliver_due

WAITING, DELIVERED, FAILED = Delivery.State.WAITING, Delivery.State.DELIVERED, Delivery.State.FAILED
TITLE = "a title that is nobody's business"


@pytest.fixture
def server():
    with receiver() as found:
        yield found


@pytest.fixture
def address(server, settings):
    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{server.server_port}"]
    return f"http://127.0.0.1:{server.server_port}/hook"


@pytest.fixture
def hook(world, address):
    webhook, secret = services.webhook_create(
        actor=SYSTEM, team=world.team, name="Ward board", url=address, events=[Event.JOB_CANCELLED, Event.JOB_PAUSED]
    )
    webhook.secret = secret
    return webhook


def ended(team):
    job = jobs.job_submit(actor=SYSTEM, team=team, spec=SPEC, title=TITLE)
    return jobs.job_cancel(actor=SYSTEM, job=job)


def send():
    delivery = delivery_claim()
    assert delivery is not None
    return delivery_send(delivery=delivery)


def make_due():
    Delivery.objects.filter(state=WAITING).update(due=timezone.now() - timedelta(seconds=1))


def test_a_call_is_signed_and_holds_ids_only(world, hook, server):
    job = ended(world.team)
    assert send() == DELIVERED
    ((path, body, headers),) = server.seen
    told = json.loads(body)
    delivery = Delivery.objects.get()
    assert told["thing"] == {"kind": "job", "id": str(job.pk)} and told["team"] == "ward-7"
    assert (path, told["event"], told["id"]) == ("/hook", "job.cancelled", str(delivery.pk))
    assert (headers["MedS3-Event"], headers["MedS3-Delivery"]) == ("job.cancelled", str(delivery.pk))
    assert TITLE.encode() not in body
    # As docs/webhooks.md tells a receiver to check it.
    parts = dict(part.split("=", 1) for part in headers["MedS3-Signature"].split(","))
    expected = hmac.new(hook.secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(parts["v1"], expected)
    assert abs(int(parts["t"]) - timezone.now().timestamp()) < 60
    assert (delivery.status, delivery.error, delivery.attempts) == (204, "", 1)
    assert delivery_claim() is None


def test_only_what_was_asked_for_of_this_team_is_told(world, hook):
    ended(world.other_team)
    job = jobs.job_submit(actor=SYSTEM, team=world.team, spec=SPEC)
    worker = claims.worker_register(name="cpu-1", queue="cpu")
    while (mine := claims.job_claim(queue="cpu", worker=worker)) is not None:
        claims.job_finish(claim=mine)
    assert not Delivery.objects.exists()
    hook.active = False
    hook.save()
    ended(world.team)
    assert not Delivery.objects.exists()
    assert job.pk


def test_what_did_not_happen_is_not_told(world, hook):
    with transaction.atomic():
        ended(world.team)
        assert Delivery.objects.count() == 1
        transaction.set_rollback(True)
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answers(500), "It answered 500."),
        (answers(404), "It answered 404."),
        (answers(302, Location="http://127.0.0.1:1/"), "Redirects are not followed"),
    ],
)
def test_what_does_not_arrive_is_tried_again_ever_more_seldom(world, hook, server, answer, said):
    server.answer = answer
    ended(world.team)
    waited = []
    for _ in PAUSES:
        assert send() == WAITING
        row = Delivery.objects.get()
        waited.append((row.due - timezone.now()).total_seconds())
        assert delivery_claim() is None  # not due yet
        make_due()
    assert [round(seconds, -1) for seconds in waited] == list(PAUSES)
    assert send() == FAILED
    row = Delivery.objects.get()
    assert said in row.error and row.attempts == len(PAUSES) + 1
    server.answer = answers(200)
    again = services.delivery_again(actor=SYSTEM, delivery=row)
    assert again.pk != row.pk and send() == DELIVERED
    assert len({json.loads(body)["id"] for _, body, _ in server.seen}) == 2
    assert Webhook.objects.get().failing_since is None


def test_one_that_fails_for_days_is_switched_off_and_can_be_switched_on(world, hook, server):
    server.answer = answers(500)
    ended(world.team)
    send()
    assert Webhook.objects.get().active
    Webhook.objects.update(failing_since=timezone.now() - OFF_AFTER - timedelta(hours=1))
    ended(world.team)
    make_due()
    send()
    off = Webhook.objects.get()
    assert (off.active, off.switched_off is not None) == (False, True)
    assert AuditEntry.objects.filter(verb="webhook.switched-off", team=world.team).count() == 1
    page = signed_in(world.by_role[Role.OWNER]).get(f"/t/ward-7/webhooks/{off.pk}/").content.decode()
    assert "we switched it off" in page
    make_due()
    while delivery := delivery_claim():
        assert delivery_send(delivery=delivery) == FAILED
    asked = {"name": off.name, "url": off.url, "events": [Event.JOB_CANCELLED], "active": True}
    on = services.webhook_change(actor=SYSTEM, webhook=off, **asked)
    assert (on.active, on.failing_since, on.switched_off) == (True, None, None)


def test_a_host_that_is_taken_off_the_list_is_not_called(world, hook, server, settings):
    ended(world.team)
    settings.OUTBOUND_ALLOW = []
    assert send() == WAITING
    assert "not among the hosts" in Delivery.objects.get().error and server.seen == []
    with pytest.raises(OutgoingRefused):
        services.webhook_create(
            actor=SYSTEM, team=world.team, name="other", url="http://10.0.0.1/", events=[Event.JOB_FAILED]
        )


def test_webhooks_that_answer_do_not_wait_for_those_that_do_not(world, hook, address):
    other, _ = services.webhook_create(
        actor=SYSTEM, team=world.team, name="other", url=address, events=[Event.JOB_CANCELLED]
    )
    Webhook.objects.filter(pk=hook.pk).update(failing_since=timezone.now())
    ended(world.team)
    make_due()
    assert delivery_claim().webhook_id == other.pk


@pytest.mark.django_db(transaction=True)
def test_several_senders_send_everything_once(server, address):
    from django.core.cache import cache

    cache.clear()
    world = World().built()
    hook, _ = services.webhook_create(
        actor=SYSTEM, team=world.team, name="board", url=address, events=[Event.JOB_CANCELLED]
    )
    for _ in range(12):
        services.webhook_try(actor=SYSTEM, webhook=hook)

    def sender(_):
        try:
            with ThreadPoolExecutor(2) as pool:
                return deliver_due(pool)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as senders:
        assert sum(senders.map(sender, range(3))) == 12
    assert len({json.loads(body)["id"] for _, body, _ in server.seen}) == len(server.seen) == 12
    assert set(Delivery.objects.values_list("state", "attempts")) == {(DELIVERED, 1)}


def test_a_sender_that_died_leaves_its_delivery_to_others(world, hook):
    ended(world.team)
    assert delivery_claim() is not None
    assert delivery_claim() is None
    make_due()
    assert delivery_claim().attempts == 2


def test_old_lines_of_the_log_go(world, hook):
    ended(world.team)
    send()
    assert deliveries_expire() == 0
    Delivery.objects.update(ended=timezone.now() - timedelta(days=31))
    assert deliveries_expire() == 1


def test_a_secret_is_shown_once_and_stored_sealed(world, hook, address):
    assert hook.secret not in Webhook.objects.get().secret_sealed
    owner = signed_in(world.by_role[Role.OWNER])
    form = {"name": "Board 2", "url": address, "events": ["job.failed"]}
    made = owner.post("/t/ward-7/webhooks/", form)
    assert made.status_code == 200 and made.context["made"]["shown_once"] in made.content.decode()
    page = f"/t/ward-7/webhooks/{Webhook.objects.get(name='Board 2').pk}/"
    assert made.context["made"]["shown_once"] not in owner.get(page).content.decode()
    renewed = owner.post(f"{page}secret/").context["shown_once"]
    assert renewed != made.context["made"]["shown_once"]
    told = json.dumps(list(AuditEntry.objects.values_list("subject", "details")))
    assert renewed not in told and address not in told


def test_pages_say_what_is_wrong_and_do_what_they_offer(world, hook, server):
    owner = signed_in(world.by_role[Role.OWNER])
    refused = owner.post("/t/ward-7/webhooks/", {"name": "x", "url": "http://10.1.1.1/", "events": ["job.failed"]})
    assert refused.status_code == 400 and "MEDS3_OUTBOUND_ALLOW" in refused.content.decode()
    twice = owner.post("/t/ward-7/webhooks/", {"name": "Ward board", "url": hook.url, "events": ["job.failed"]})
    assert "has a webhook called Ward board already" in twice.content.decode()
    page = f"/t/ward-7/webhooks/{hook.pk}/"
    assert owner.post(f"{page}trial/").status_code == 302 and send() == DELIVERED
    assert json.loads(server.seen[0][1]) | {"id": "", "created": ""} == {
        "id": "", "event": "trial", "created": "", "team": "ward-7", "thing": None,
    }  # fmt: skip
    assert "delivered" in owner.get(page).content.decode().lower()
    again = f"/t/ward-7/webhooks/deliveries/{Delivery.objects.get().pk}/again/"
    assert owner.post(again).status_code == 302 and Delivery.objects.count() == 2
    assert owner.post(f"{page}switch/").status_code == 302 and not Webhook.objects.get().active
    assert "switched off" in owner.post(f"{page}trial/", follow=True).content.decode()
    assert owner.post(page, {"name": "New", "url": hook.url, "events": ["job.paused"]}).status_code == 302
    assert Webhook.objects.get().name == "New"
    assert owner.post(f"{page}delete/").status_code == 302 and not Webhook.objects.exists()


def test_the_api_does_the_same(world, address):
    bearer = {"Authorization": f"Bearer {token(world.by_role[Role.OWNER], world.team, Role.OWNER)}"}
    base, client = "/api/v1/teams/ward-7/webhooks", Client(headers=bearer)

    def call(method, path, body=None):
        return client.generic(method, path, json.dumps(body or {}), "application/json")

    body = {"name": "board", "url": address, "events": ["job.cancelled", "model.ready"]}
    made = call("POST", base, body)
    assert made.status_code == 201 and made.json()["secret"]
    shown = client.get(made["Location"]).json()
    assert "secret" not in shown and shown["events"] == ["job.cancelled", "model.ready"]
    assert call("POST", base, body | {"name": "x", "events": ["dance"]}).status_code == 422
    assert call("POST", base, body | {"name": "x", "url": "http://10.1.1.1/"}).json()["code"] == "outgoing-refused"
    assert call("POST", base, body).json()["code"] == "webhook"
    place = made["Location"]
    tried = call("POST", f"{place}/trial").json()
    assert send() == DELIVERED
    (line,) = client.get(f"{place}/deliveries").json()["items"]
    assert (line["id"], line["state"], line["status"]) == (tried["id"], "delivered", 204)
    again = call("POST", f"/api/v1/teams/ward-7/webhook-deliveries/{tried['id']}/again").json()
    assert again["state"] == "waiting"
    assert call("PATCH", place, {"active": False}).json()["active"] is False
    assert call("POST", f"{place}/secret").json()["secret"] != made.json()["secret"]
    assert len(client.get(base).json()["items"]) == 1
    assert call("DELETE", place).status_code == 204 and client.get(place).status_code == 404
