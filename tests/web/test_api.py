"""The API's ways in and its errors. Who reaches which operation is walked in test_walls.py."""

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import path
from ninja import Router, Schema

from tests.web.people import signed_in, token
from webapp.accounts.api_auth import signed_in_operation
from webapp.accounts.audit import AccountError
from webapp.accounts.rules import Action, Role
from webapp.config import urls
from webapp.config.api import Api

MARKER = "zebra-in-the-clinic"


class Body(Schema):
    number: int


router = Router()


@router.post("/change")
@signed_in_operation
def change(request, body: Body):
    """Something that changes something."""
    return {"door": request.auth.actor.via, "by": request.auth.user.username}


@router.post("/refuse")
@signed_in_operation
def refuse(request):
    """Something that cannot be done."""
    raise AccountError("Not like this.")


@router.post("/break")
@signed_in_operation
def break_down(request):
    """Something that fails."""
    raise RuntimeError(MARKER)


trial = Api(urls_namespace="trial", docs_url=None, openapi_url=None)
trial.add_router("", router)
urlpatterns = [*urls.urlpatterns, path("trial/", trial.urls)]
ours = pytest.mark.urls("tests.web.test_api")


@pytest.fixture
def bearer(world) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(world.by_role[Role.MANAGER], world.team, Role.MANAGER)}"}


def post(client: Client, url: str, body: object = None, **headers):
    return client.post(url, body or {}, content_type="application/json", headers=headers)


def test_me_and_teams_by_token_and_by_session(world, bearer):
    world.operator.memberships.create(team=world.team, role=Role.OWNER)
    me = Client().get("/api/v1/me", headers=bearer).json()
    assert (me["username"], me["is_operator"]) == ("manager", False)
    assert me["token"] and [team["slug"] for team in me["teams"]] == ["ward-7"]
    assert Action.DATASET_CHANGE in me["teams"][0]["actions"]
    by_session = signed_in(world.operator).get("/api/v1/me").json()
    assert (by_session["is_operator"], by_session["token"]) == (True, None)
    assert signed_in(world.other_owner).get("/api/v1/teams").json()[0]["slug"] == "ward-8"


@pytest.mark.parametrize(
    "url", ["/api/v1/me?token={0}", "/api/v1/me?access_token={0}", "/api/v1/me?Authorization=Bearer {0}"]
)
def test_a_token_in_the_query_is_not_read(bearer, url):
    text = bearer["Authorization"].removeprefix("Bearer ")
    assert Client().get(url.format(text)).status_code == 401


def test_a_wrong_token_never_falls_back_on_a_session(world):
    client = signed_in(world.by_role[Role.OWNER])
    assert client.get("/api/v1/me").status_code == 200
    for wrong in ("Bearer meds3_00000000_x", "Bearer", "Basic b3duZXI6eA==", "Bearer meds3__"):
        answer = client.get("/api/v1/me", headers={"Authorization": wrong})
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="meds3"')


@ours
def test_a_page_needs_the_csrf_token_and_a_program_does_not(world, bearer):
    browser = signed_in(world.by_role[Role.OWNER], enforce_csrf_checks=True)
    answer = post(browser, "/trial/change", {"number": 1})
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    browser.get("/profile/")
    with_csrf = post(browser, "/trial/change", {"number": 1}, **{"X-CSRFToken": browser.cookies["csrftoken"].value})
    assert with_csrf.json() == {"door": "page", "by": "owner"}
    program = Client(enforce_csrf_checks=True)
    assert post(program, "/trial/change", {"number": 1}, **bearer).json() == {"door": "api", "by": "manager"}


@ours
def test_errors_have_one_shape_and_hold_no_values(bearer):
    client = Client(raise_request_exception=False)
    invalid = post(client, "/trial/change", {"number": MARKER}, **bearer)
    assert invalid.status_code == 422 and MARKER not in invalid.content.decode()
    assert invalid.json()["problems"][0]["where"] == ["body", "body", "number"]
    refused = post(client, "/trial/refuse", **bearer).json()
    assert (refused["status"], refused["code"], refused["detail"]) == (422, "account", "Not like this.")
    broken = post(client, "/trial/break", **bearer)
    assert broken.status_code == 500 and broken["Content-Type"] == "application/problem+json"
    assert MARKER not in broken.content.decode()


def test_a_token_has_a_rate(world, bearer, settings):
    settings.API_REQUESTS_PER_MINUTE = 3
    cache.clear()
    answers = [Client().get("/api/v1/me", headers=bearer) for _ in range(8)]
    limited = next(answer for answer in answers if answer.status_code == 429)  # a minute may end in between
    assert 1 <= int(limited["Retry-After"]) <= 60
    other = token(world.by_role[Role.VIEWER], world.team, Role.VIEWER)
    assert Client().get("/api/v1/me", headers={"Authorization": f"Bearer {other}"}).status_code == 200


def test_the_description_of_the_api_is_for_operators(world):
    assert signed_in(world.operator).get("/api/v1/docs").status_code == 200
    assert signed_in(world.by_role[Role.OWNER]).get("/api/v1/docs").status_code == 403
