"""What every room's operations share: a request sent again makes nothing again, and lists come in pages by key."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import path
from django.utils import timezone
from ninja import Query, Router, Schema

from tests.web.people import World, token
from webapp.accounts.api_auth import team_operation
from webapp.accounts.audit import AccountError
from webapp.accounts.links import invitation_create
from webapp.accounts.models import AuditEntry, Invitation
from webapp.accounts.rules import Action, Role
from webapp.common.api_answers import ApiPage, Paging, Reading, answer_made, api_page
from webapp.common.idempotency import KEPT, idempotent
from webapp.common.models import IdempotentAnswer
from webapp.config import urls
from webapp.config.api import Api

pytestmark = pytest.mark.urls("tests.web.test_api_conventions")


class Wanted(Schema):
    email: str


class Made(Schema):
    id: str
    secret: str


class Line(Schema):
    id: int
    verb: str

    @staticmethod
    def of(row: AuditEntry) -> "Line":
        return Line(id=row.pk, verb=row.verb)


router = Router()


@router.post("/teams/{team_slug}/guests", response={201: Made})
@team_operation(Action.TEAM_MANAGE)
@idempotent
def guest(request, team_slug: str, body: Wanted):
    """Something that makes something with a secret."""
    if body.email == "nobody":
        raise AccountError("Not this one.")
    invitation, secret = invitation_create(actor=request.auth.actor, team=request.team, role=Role.VIEWER, email="")
    return answer_made(Made(id=str(invitation.pk), secret=secret), location=f"/guests/{invitation.pk}")


@router.get("/teams/{team_slug}/newest", response=ApiPage[Line])
@team_operation(Action.AUDIT_VIEW)
def newest(request, team_slug: str, paging: Query[Paging], verb: str = ""):
    """A list from its end."""
    rows = request.team.audit.filter(verb=verb) if verb else request.team.audit.all()
    return api_page(request, rows, Line.of, paging)


@router.get("/teams/{team_slug}/oldest", response=ApiPage[Line])
@team_operation(Action.AUDIT_VIEW)
def oldest(request, team_slug: str, reading: Query[Reading]):
    """A list from its beginning."""
    return api_page(request, request.team.audit.all(), Line.of, reading, key="id")


trial = Api(urls_namespace="conventions", docs_url=None, openapi_url=None)
trial.add_router("", router)
urlpatterns = [*urls.urlpatterns, path("trial/", trial.urls)]


def bearer(world, role=Role.OWNER):
    return {"Authorization": f"Bearer {token(world.by_role[role], world.team, role)}"}


def invite(world, headers, key="k-1", email="a@ward.example", to=None):
    client = Client(raise_request_exception=False)
    path = f"/trial/teams/{(to or world.team).slug}/guests"
    sent = headers | ({"Idempotency-Key": key} if key else {})
    return client.post(path, {"email": email}, content_type="application/json", headers=sent)


def test_the_same_request_again_makes_nothing_again(world):
    mine = bearer(world)
    first, again = invite(world, mine), invite(world, mine)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json() and again["Location"] == first["Location"]
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert Invitation.objects.count() == 1
    assert first.json()["secret"] not in IdempotentAnswer.objects.get().body  # sealed
    assert invite(world, mine, key="k-2").json() != first.json()
    assert invite(world, mine, key="").json() != invite(world, mine, key="").json()
    assert Invitation.objects.count() == 4


def test_a_key_belongs_to_one_request_of_one_person(world):
    mine = bearer(world)
    invite(world, mine)
    other = invite(world, mine, email="b@ward.example")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key")
    assert invite(world, bearer(world, Role.MANAGER)).status_code == 201
    assert Invitation.objects.count() == 2
    assert invite(world, mine, key="k" * 201).status_code == 422


def test_what_failed_may_be_sent_again_and_what_is_old_is_forgotten(world):
    mine = bearer(world)
    assert invite(world, mine, email="nobody").status_code == 422
    assert invite(world, mine).status_code == 201  # the key is free: nothing was made with it
    IdempotentAnswer.objects.update(created=timezone.now() - KEPT - timedelta(seconds=1))
    assert "Idempotency-Replayed" not in invite(world, mine)
    assert (Invitation.objects.count(), IdempotentAnswer.objects.count()) == (2, 1)


@pytest.mark.django_db(transaction=True)
def test_of_two_that_arrive_together_one_makes_it_and_both_have_its_answer():
    cache.clear()
    world = World().built()
    mine, together = bearer(world), Barrier(4)

    def send(_):
        together.wait()
        try:
            return invite(world, mine)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.content for answer in answers}) == 1
    assert Invitation.objects.count() == 1


@pytest.mark.parametrize(("path", "word"), [("newest", "before"), ("oldest", "after")])
def test_pages_follow_one_another_without_gap_or_repeat(world, path, word):
    whole = sorted(AuditEntry.objects.filter(team=world.team).values_list("id", flat=True), reverse=path == "newest")
    mine, url, seen = bearer(world), f"/trial/teams/{world.team.slug}/{path}?limit=2", []
    whole = sorted(AuditEntry.objects.filter(team=world.team).values_list("id", flat=True), reverse=path == "newest")
    assert len(whole) > 4
    while url:
        page = Client().get(url, headers=mine).json()
        seen += [item["id"] for item in page["items"]]
        url = page["next"]
        assert url is None or (f"{word}=" in url and "limit=2" in url)
    assert seen == whole


def test_filters_stay_in_the_next_page_and_nonsense_is_said(world):
    mine, base = bearer(world), f"/trial/teams/{world.team.slug}/newest"
    page = Client().get(f"{base}?verb=membership.added&limit=1", headers=mine).json()
    assert "verb=membership.added" in page["next"]
    assert Client().get(f"{base}?before=zebra", headers=mine).json()["code"] == "page"
    for wrong in ("limit=0", "limit=201", "limit=x"):
        assert Client().get(f"{base}?{wrong}", headers=mine).status_code == 422


def test_the_description_names_the_header(world):
    schema = json.dumps(trial.get_openapi_schema()["paths"]["/trial/teams/{team_slug}/guests"])
    assert '"Idempotency-Key"' in schema
