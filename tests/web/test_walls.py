"""The walls: every page and every operation of the API, as everybody, against the one table of rules.

The walk reads the URL map and the declarations, so that what a later app adds is walked too. A URL with an object in it
needs one line in tests/web/examples.py.
"""

import json

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from ninja import Router

from tests.web import examples
from tests.web.people import World, person, signed_in, token
from tests.web.walk import Place, places, undeclared
from webapp.accounts.api_auth import signed_in_operation
from webapp.accounts.rules import RULES, Action, OperatorAction, Role, actions_of, may
from webapp.accounts.services import membership_set
from webapp.common.access import Access
from webapp.config.api import Api

OPEN_PAGES_OF_LIBRARIES = {
    "accounts/login/",
    "accounts/logout/",  # leads on: there is nobody to sign out
    "accounts/inactive/",
    "accounts/signup/",
    "accounts/confirm-email/",
    "accounts/password/reset/",
    "accounts/password/reset/done/",
    "accounts/password/reset/key/done/",
    "accounts/2fa/authenticate/",
    "accounts/2fa/webauthn/login/",
    "accounts/3rdparty/login/cancelled/",
    "accounts/3rdparty/login/error/",
    "accounts/3rdparty/signup/",
    "accounts/login/code/confirm/",
}
"""What a stranger may open of allauth. Any other page of it must send them to sign in."""

OWN = [place for place in places() if not place.is_library]
PAGES = [place for place in OWN if place.access and not place.access.operations]
OPERATIONS = [
    (method, place, access)
    for place in OWN
    if place.access and place.access.operations
    for method, access in place.access.operations.items()
    if not access.by_token  # tests/web/test_openai_api.py has those
]
PERSONAS = ["stranger", "neighbour", "operator", *Role.values]


def who(world: World, persona: str):
    """The person behind the name; none for a stranger."""
    if persona in Role.values:
        return world.by_role[Role(persona)]
    return {"stranger": None, "neighbour": world.other_owner, "operator": world.operator}[persona]


def url_of(place: Place, team, objects_of=None) -> str:
    """The place's URL in this team, its other parameters being examples made in `objects_of`."""
    values = {"team_slug": team.slug}
    for name in place.parameters:
        if name not in values:
            assert name in examples.EXAMPLES, f"{place.route}: add an example of {name} to tests/web/examples.py"
            values[name] = examples.example(objects_of or team, name)
    return place.path(values)


def body_of(method: str, place: Place, team) -> str:
    """A body that the operation takes, or an empty one."""
    make = examples.BODIES.get(f"{method} {place.route}")
    return json.dumps(make(team)) if make else ""


def ask(client: Client, method: str, url: str, body: str = "", **headers) -> HttpResponse:
    """The answer, with whatever it wrote undone."""
    with transaction.atomic():
        answer = client.generic(method, url, body, "application/json", headers=headers)
        transaction.set_rollback(True)
    return answer


def is_sent_to_sign_in(answer: HttpResponse) -> bool:
    return answer.status_code == 302 and answer.url.startswith("/accounts/login/")


def verdict(answer: HttpResponse) -> str:
    """What happened to somebody who knocked."""
    if is_sent_to_sign_in(answer):
        return "sent to sign in"
    refusals = {401: "not signed in", 403: "refused", 404: "not found", 429: "throttled"}
    # 503 is what /readyz answers whoever asks while there is no Redis, as here.
    is_answered = answer.status_code < 500 or answer.status_code == 503
    return refusals.get(answer.status_code, "let in" if is_answered else "broken")


def expected(access: Access, persona: str, *, api: bool = False) -> str:
    """What the declaration and the table of rules say."""
    if access.public:
        return "let in"
    if persona == "stranger":
        return "not signed in" if api else "sent to sign in"
    if access.operator:
        return "let in" if persona == "operator" else "refused"
    if access.action is None:
        return "let in"
    if persona in ("neighbour", "operator"):
        return "not found"
    return "let in" if may(persona, access.action) else "refused"


def test_every_url_says_who_may_call_it():
    assert undeclared(places()) == []
    assert PAGES and OPERATIONS


def test_a_url_that_says_nothing_is_found_and_refused(client, settings, monkeypatch):
    from webapp.config import urls

    def careless(request):
        return HttpResponse("secret")

    settings.ROOT_URLCONF = "tests.web.test_walls"
    monkeypatch.setitem(globals(), "urlpatterns", [*urls.urlpatterns, path("careless/", careless)])
    assert undeclared(places()) == ["careless/"]
    with pytest.raises(ImproperlyConfigured, match="careless"):
        client.get("/careless/")


def test_an_operation_that_says_nothing_does_not_load():
    router = Router()

    @router.get("/careless")
    def careless(request):
        return {}

    trial = Api(urls_namespace="careless", docs_url=None, openapi_url=None)
    trial.add_router("", router)
    with pytest.raises(ImproperlyConfigured, match="careless"):
        _ = trial.urls


def test_two_routers_with_one_path_do_not_load():
    trial = Api(urls_namespace="doubled", docs_url=None, openapi_url=None)
    for verb in ("get", "post"):  # the second one would answer 405 for ever
        router = Router()
        getattr(router, verb)("/doubled")(signed_in_operation(lambda request: {}))
        trial.add_router("", router)
    with pytest.raises(ImproperlyConfigured, match="doubled"):
        _ = trial.urls


@pytest.mark.parametrize("persona", PERSONAS)
def test_pages(world, persona):
    client = signed_in(who(world, persona))
    wrong = []
    for place in PAGES:
        own_only = examples.OWN_ONLY & set(place.parameters)
        for method in ("GET", "POST"):
            answer = ask(client, method, url_of(place, world.team))
            want, got = expected(place.access, persona), verdict(answer)
            if want == "let in" and own_only and persona != Role.OWNER:
                want = "let in" if answer.status_code == 405 else "not found"
            if place.access.public and got == "not found":
                continue  # a public place may hold nothing for this person
            if got != want:
                wrong.append(f"{method} {place.route}: {got} ({answer.status_code}), should be {want}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("door", ["token", "session"])
@pytest.mark.parametrize("persona", PERSONAS)
def test_operations(world, persona, door):
    user, headers, client = who(world, persona), {}, Client()
    if door == "session":
        client = signed_in(user)
    elif persona in Role.values:
        headers = {"Authorization": f"Bearer {token(user, world.team, Role(persona))}"}
    elif persona == "neighbour":
        headers = {"Authorization": f"Bearer {token(user, world.other_team, Role.OWNER)}"}
    elif persona == "operator":
        pytest.skip("an operator without a team can have no token")
    wrong = []
    for method, place, access in OPERATIONS:
        answer = ask(client, method, url_of(place, world.team), **headers)
        want, got = expected(access, persona, api=True), verdict(answer)
        if got != want:
            wrong.append(f"{method} {place.route}: {got} ({answer.status_code}), should be {want}")
        if got != "let in" and answer["Content-Type"] != "application/problem+json":
            wrong.append(f"{method} {place.route}: the error is {answer['Content-Type']}")
    assert not wrong, "\n".join(wrong)


def test_a_token_does_only_what_its_scopes_say(world):
    owner = world.by_role[Role.OWNER]
    wrong = []
    for method, place, access in OPERATIONS:
        if access.action is None:
            continue
        narrow = token(owner, world.team, Role.OWNER, actions_of(Role.OWNER) - {access.action})
        answer = ask(Client(), method, url_of(place, world.team), Authorization=f"Bearer {narrow}")
        if answer.status_code != 403:
            wrong.append(f"{method} {place.route}: {answer.status_code} without {access.action}")
    assert not wrong, "\n".join(wrong)


def test_an_object_of_another_team_is_not_found(world):
    """In a team's own URL, the id of a neighbour's object, asked for by somebody who is in both teams."""
    owner = world.by_role[Role.OWNER]
    membership_set(actor=examples.Actor(world.other_owner), team=world.other_team, user=owner, role=Role.OWNER)
    client, wrong = signed_in(owner), []
    for place in OWN:
        if "team_slug" not in place.parameters or not set(place.parameters) - examples.WORDS - {"team_slug"}:
            continue
        methods = list(place.access.operations) if place.access.operations else ["GET", "POST"]
        url = url_of(place, world.team, objects_of=world.other_team)
        bodies = {method: body_of(method, place, world.other_team) for method in methods}
        statuses = [ask(client, method, url, bodies[method]).status_code for method in methods]
        if 404 not in statuses or not set(statuses) <= {404, 405}:
            wrong.append(f"{place.route}: {statuses}")
    assert not wrong, "\n".join(wrong)


def test_a_team_that_asks_for_a_second_factor_shows_nothing_without(world):
    owner = world.by_role[Role.OWNER]
    text = token(owner, world.team, Role.OWNER)
    world.team.mfa_required = True
    world.team.save()
    client, wrong = signed_in(owner), []
    for place in PAGES:
        if place.access.action is not None:
            answer = ask(client, "GET", url_of(place, world.team))
            if answer.status_code != 302 or answer.url != "/accounts/2fa/":
                wrong.append(f"{place.route}: {answer.status_code}")
    for method, place, access in OPERATIONS:
        if access.action is not None:
            answer = ask(Client(), method, url_of(place, world.team), Authorization=f"Bearer {text}")
            if answer.status_code != 403:
                wrong.append(f"{method} {place.route}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_pages_of_libraries_are_closed_to_strangers_but_for_those_that_let_people_in(db):
    client, wrong = Client(), []
    for place in places():
        if not place.is_library or place.route in OPEN_PAGES_OF_LIBRARIES:
            continue
        if place.parameters or "(" in place.route:
            continue  # by a key from a mail, or a provider's own
        answer = client.get("/" + place.route)
        if not is_sent_to_sign_in(answer) and answer.status_code not in (404, 405):
            wrong.append(f"{place.route}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_a_setting_opens_what_it_names(world, settings):
    somebody = signed_in(person("somebody"))
    assert somebody.get("/teams/new/").status_code == 403
    settings.OPEN_TEAMS = True
    assert somebody.get("/teams/new/").status_code == 200


def test_an_operators_page_open_to_machines_wants_a_valid_token(world):
    valid = token(world.by_role[Role.VIEWER], world.team, Role.VIEWER)
    assert Client().get("/api/v1/openapi.json", headers={"Authorization": f"Bearer {valid}"}).status_code == 200
    assert Client().get("/api/v1/openapi.json", headers={"Authorization": f"Bearer {valid}x"}).status_code == 401
    assert Client().get(f"/api/v1/openapi.json?token={valid}").status_code == 302


def test_the_table_of_rules_is_whole():
    assert set(RULES) == set(Action)
    assert not {action.value for action in Action} & {action.value for action in OperatorAction}
