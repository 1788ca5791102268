"""Sockets: the walk of all of them as everybody, and that nothing is missed whatever happens to the hints."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.sessions.models import Session

from tests.redis_server import redis_server
from tests.web import examples
from tests.web.people import World, signed_in
from tests.web.socket_client import SocketClient
from tests.workers.people import submitted
from webapp.accounts.rules import Role, may
from webapp.accounts.services import SYSTEM, membership_end, membership_set, system_team
from webapp.common.access import Access
from webapp.common.sockets import NOT_FOUND, REFUSED, SIGNED_OUT
from webapp.config.asgi import application
from webapp.config.sockets import sockets
from webapp.jobs import claims, reports, services
from webapp.jobs.models import Job

HOST = "localhost:8000"
PERSONAS = ["stranger", "neighbour", "operator", *Role.values]


@pytest.fixture(scope="module")
def redis_here():
    """Real Redis where the settings look for it."""
    with redis_server(Path(settings.HOME) / "run") as server:
        yield server


@pytest.fixture
def live(redis_here, transactional_db):
    """Real Redis, empty."""
    redis_here.stop()
    redis_here.start()
    return redis_here


@pytest.fixture
def world(live, transactional_db):
    """Sockets have threads and connections of their own: what they see is committed."""
    return World().built()


def who(world: World, persona: str):
    if persona in Role.values:
        return world.by_role[Role(persona)]
    return {"stranger": None, "neighbour": world.other_owner, "operator": world.operator}[persona]


def opened(path: str, user=None, *, client=None, origin: str | None = f"http://{HOST}") -> SocketClient:
    """A page's socket, not connected yet."""
    client = client or signed_in(user)
    cookie = client.cookies.get("sessionid")
    headers = [(b"host", HOST.encode())]
    if cookie:
        headers.append((b"cookie", f"sessionid={cookie.value}".encode()))
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    return SocketClient(application, path, headers=headers)


async def answer(socket: SocketClient) -> int | str:
    """ "let in", or the code that it was closed with; "turned away" before it was open."""
    if not await socket.connect():
        return "turned away"
    first = await socket.receive_output(timeout=10)
    if first["type"] == "websocket.close":
        return first["code"]
    await socket.disconnect()
    return "let in"


def path_of(pattern, team, objects_of=None) -> str:
    values = {"team_slug": team.slug}
    for name in pattern.pattern.converters:
        if name not in values:
            values[name] = examples.EXAMPLES[name](objects_of or team)
    route = str(pattern.pattern)
    for name, converter in pattern.pattern.converters.items():
        start, end = route.rindex("<", 0, route.index(f"{name}>")), route.index(f"{name}>") + len(name) + 1
        route = route[:start] + converter.to_url(values[name]) + route[end:]
    return f"/{route}"


def access_of(pattern) -> Access:
    return pattern.callback.consumer_class.access


def expected(access: Access, persona: str) -> int | str:
    if persona == "stranger":
        return SIGNED_OUT
    if access.operator:
        return "let in" if persona == "operator" else REFUSED
    if access.action is None:
        return "let in"
    if persona in ("neighbour", "operator"):
        return NOT_FOUND
    return "let in" if may(persona, access.action) else REFUSED


def test_every_socket_says_who_may_open_it():
    assert len(sockets) >= 5
    for pattern in sockets:
        assert isinstance(access_of(pattern), Access), pattern
        assert not access_of(pattern).public


@pytest.mark.parametrize("persona", PERSONAS)
def test_the_walk(world, persona, settings):
    settings.LIVE_CHECK_SECONDS = 0.05  # a socket that has nothing to say says that it lives
    wrong = []
    for pattern in sockets:
        own = access_of(pattern).operator and "job_id" in pattern.pattern.converters
        path = path_of(pattern, world.team, objects_of=system_team() if own else None)
        got = async_to_sync(answer)(opened(path, who(world, persona)))
        want = expected(access_of(pattern), persona)
        if want == "let in" and examples.OWN_ONLY & set(pattern.pattern.converters) and persona != Role.OWNER:
            want = NOT_FOUND
        if got != want:
            wrong.append(f"{pattern.pattern}: {got}, should be {want}")
    assert not wrong, "\n".join(wrong)


OTHERS = [None, "", "null", "https://elsewhere.example", f"http://{HOST}0", "http://localhost"]


def test_a_page_of_another_origin_is_turned_away(world):
    for pattern in sockets:
        path = path_of(pattern, world.team)
        for origin in OTHERS:
            socket = opened(path, world.by_role[Role.OWNER], origin=origin)
            assert async_to_sync(answer)(socket) == "turned away", (pattern.pattern, origin)


def test_a_trusted_origin_is_let_in_and_a_strange_host_is_not(world, settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://studio.example"]
    path = f"/ws/t/{world.team.slug}/jobs/"
    owner = world.by_role[Role.OWNER]
    assert async_to_sync(answer)(opened(path, owner, origin="https://studio.example")) == "let in"
    settings.ALLOWED_HOSTS = ["studio.example"]
    assert async_to_sync(answer)(opened(path, owner)) == "turned away"


def test_an_object_of_another_team_is_not_found(world):
    owner = world.by_role[Role.OWNER]
    membership_set(actor=SYSTEM, team=world.other_team, user=owner, role=Role.OWNER)
    theirs = submitted(of=world.other_team)
    assert async_to_sync(answer)(opened(f"/ws/t/{world.team.slug}/jobs/{theirs.pk}/", owner)) == NOT_FOUND
    assert async_to_sync(answer)(opened(f"/ws/operations/jobs/{theirs.pk}/", world.operator)) == NOT_FOUND


def test_what_is_no_socket_is_turned_away(world):
    assert async_to_sync(answer)(opened("/ws/nothing/", world.by_role[Role.OWNER])) == "turned away"


def test_a_second_factor_that_is_asked_for_is_asked_for(world):
    owner = world.by_role[Role.OWNER]
    world.team.mfa_required = True
    world.team.save()
    path = f"/ws/t/{world.team.slug}/jobs/"
    assert async_to_sync(answer)(opened(path, owner)) == REFUSED
    Authenticator.objects.create(user=owner, type=Authenticator.Type.TOTP, data={})
    assert async_to_sync(answer)(opened(path, owner)) == "let in"


def sign_out(world, client):
    Session.objects.filter(session_key=client.cookies["sessionid"].value).delete()


def new_password(world, client):
    user = world.by_role[Role.VIEWER]
    user.set_password("another one, quite long")
    user.save()


def take_out(world, client):
    membership_end(actor=SYSTEM, team=world.team, user=world.by_role[Role.VIEWER])


def annotators_only(world, client):
    membership_set(actor=SYSTEM, team=world.team, user=world.by_role[Role.VIEWER], role=Role.ANNOTATOR)


def ask_for_second_factor(world, client):
    world.team.mfa_required = True
    world.team.save()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (sign_out, SIGNED_OUT),
        (new_password, SIGNED_OUT),
        (take_out, NOT_FOUND),
        (annotators_only, REFUSED),
        (ask_for_second_factor, REFUSED),
    ],
)
def test_whoever_may_not_stay_is_let_go_at_the_next_check(world, settings, change, code):
    settings.LIVE_CHECK_SECONDS = 0.1
    client = signed_in(world.by_role[Role.VIEWER])
    job = submitted(of=world.team)

    async def watch() -> int:
        socket = opened(f"/ws/t/{world.team.slug}/jobs/{job.pk}/", client=client)
        await socket.connect()
        first = json.loads(await socket.receive_from())
        while "seq" not in first:  # at ten checks a second one may be told before the first news
            first = json.loads(await socket.receive_from())
        assert first["seq"] == 1
        await database_sync_to_async(change)(world, client)
        while True:
            message = await socket.receive_output(timeout=10)
            if message["type"] == "websocket.close":
                return message["code"]

    assert async_to_sync(watch)() == code


# --- nothing is missed ---------------------------------------------------------------------------------------------


@pytest.fixture
def team_and_owner(world):
    return world.team, world.by_role[Role.OWNER]


@asynccontextmanager
async def watching(path, user):
    socket = await database_sync_to_async(opened)(path, user)
    assert await socket.connect()
    yield socket
    await socket.disconnect()


async def until(socket, condition):
    """Messages until one of them fulfils the condition."""
    found = []
    while True:
        found.append(json.loads(await socket.receive_from()))
        if condition(found[-1]):
            return [message for message in found if message["type"] != "tick"]


def begun(team):
    job = submitted(of=team)
    worker = claims.worker_register(name="cpu-1", queue="cpu")
    claims.job_claim(queue="cpu", worker=worker)
    return Job.objects.get(pk=job.pk)


def fail(job):
    claims.job_fail(claim=claims.Claim(job.pk, 1), code="policy", message="No weights")


def warn(job, text):
    reports.warning_write(job_id=job.pk, attempt=1, text=text)


async def test_a_page_gets_the_state_and_then_every_event_in_order(team_and_owner):
    team, owner = team_and_owner
    job = await database_sync_to_async(begun)(team)
    async with watching(f"/ws/t/{team.slug}/jobs/{job.pk}/", owner) as socket:
        (first,) = await until(socket, lambda message: message["type"] == "job")
        assert (first["after"], first["seq"], first["state"]) == (0, 2, "running")
        assert "Submitted by olga" in first["events"] and "standing" in first["parts"]
        for number in range(5):
            await database_sync_to_async(warn)(job, f"event {number}.")
        messages = await until(socket, lambda message: message.get("seq") == 7)
        assert [message["after"] for message in messages] == [2, *[message["seq"] for message in messages[:-1]]]
        text = "".join(message.get("events", "") for message in messages)
        assert [text.count(f"event {number}.") for number in range(5)] == [1] * 5
        await database_sync_to_async(reports.metrics_append)(
            job_id=job.pk, attempt=1, name="loss", steps=[1], values=[0.5]
        )
        assert (await until(socket, lambda message: message.get("metrics")))[-1]["metrics"]


async def test_a_page_that_comes_back_gets_what_it_missed_and_no_more(team_and_owner):
    team, owner = team_and_owner
    job = await database_sync_to_async(begun)(team)
    await database_sync_to_async(warn)(job, "while it was away.")
    async with watching(f"/ws/t/{team.slug}/jobs/{job.pk}/?after=2", owner) as socket:
        (first,) = await until(socket, lambda message: message["type"] == "job")
    assert (first["after"], first["seq"]) == (2, 3)
    assert "while it was away." in first["events"] and "Submitted" not in first["events"]


@pytest.mark.parametrize("accident", ["flushed", "stopped", "restarted"])
async def test_hints_that_are_lost_cost_a_check_and_no_event(live, team_and_owner, settings, accident):
    settings.LIVE_CHECK_SECONDS = 0.3
    team, owner = team_and_owner
    job = await database_sync_to_async(begun)(team)
    async with watching(f"/ws/t/{team.slug}/jobs/{job.pk}/", owner) as socket:
        await until(socket, lambda message: message.get("seq") == 2)
        if accident == "flushed":
            await asyncio.to_thread(live.client().flushall)
        else:
            await asyncio.to_thread(live.stop)
        await database_sync_to_async(warn)(job, "nobody was told.")
        if accident == "restarted":
            await asyncio.to_thread(live.start)
        messages = await until(socket, lambda message: message.get("seq") == 3)
        assert "nobody was told." in messages[-1]["events"]


async def test_after_a_flush_hints_arrive_again(live, team_and_owner, settings):
    settings.LIVE_CHECK_SECONDS = 0.3
    team, owner = team_and_owner
    job = await database_sync_to_async(begun)(team)
    async with watching(f"/ws/t/{team.slug}/jobs/{job.pk}/", owner) as socket:
        await until(socket, lambda message: message.get("seq") == 2)
        await asyncio.to_thread(live.client().flushall)
        for _ in range(3):
            await until(socket, lambda message: message["type"] == "tick")
        assert await asyncio.to_thread(live.client().keys, "meds3-live:group:job.*")


async def test_lists_get_rows_that_changed_and_counts(team_and_owner):
    team, owner = team_and_owner
    old = await database_sync_to_async(submitted)(of=team)
    async with watching(f"/ws/t/{team.slug}/jobs/?have={old.pk.hex}.1", owner) as socket:
        (first,) = await until(socket, lambda message: message["type"] == "jobs")
        assert first["rows"] == []
        job = await database_sync_to_async(submitted)(of=team, title="A new one")
        messages = await until(socket, lambda message: message.get("rows"))
        assert str(job.pk) in messages[-1]["rows"][0] and "A new one" in messages[-1]["rows"][0]
        assert messages[-1]["counts"]["queued"] == 2
    async with watching(f"/ws/t/{team.slug}/jobs/?have={old.pk.hex}.0", owner) as socket:
        (first,) = await until(socket, lambda message: message["type"] == "jobs")
        assert len(first["rows"]) == 2


async def test_the_end_of_ones_own_job_is_told_on_every_page(team_and_owner):
    team, owner = team_and_owner
    job = await database_sync_to_async(begun)(team)
    await Job.objects.filter(pk=job.pk).aupdate(created_by=owner)
    async with watching("/ws/notices/", owner) as socket:
        await asyncio.sleep(0.3)
        await database_sync_to_async(claims.job_fail)(
            claim=claims.Claim(job.pk, 1), code="policy", message="No weights"
        )
        messages = await until(socket, lambda message: message["type"] == "end")
    assert messages[-1]["said"] == "has failed: No weights"
    assert messages[-1]["url"] == f"/t/{team.slug}/jobs/{job.pk}/"
    before = (messages[-1]["ended"][:11] + "00:00:00%2B00:00").replace("+", "%2B")
    async with watching(f"/ws/notices/?since={before}", owner) as socket:
        assert (await until(socket, lambda message: message["type"] == "end"))[-1]["job"] == str(job.pk)


async def test_operators_see_a_failure_arrive(team_and_owner):
    team, _ = team_and_owner
    job = await database_sync_to_async(begun)(team)
    operator = job.created_by_id
    from webapp.accounts.models import User

    olga = await User.objects.aget(pk=operator)
    async with watching("/ws/operations/", olga) as socket:
        (first,) = await until(socket, lambda message: message["type"] == "operations")
        assert "No job has failed" in first["parts"]["failed"]
        await database_sync_to_async(claims.job_fail)(
            claim=claims.Claim(job.pk, 1), code="policy", message="No weights"
        )
        messages = await until(socket, lambda message: "failed" in message.get("parts", {}))
        assert "No weights" in messages[-1]["parts"]["failed"]


def test_a_submit_is_stored_though_nobody_can_be_told(world):
    """Hints and messages that cannot leave never undo what was written."""
    assert services.job_cancel(actor=SYSTEM, job=submitted(of=world.team)).state == "cancelled"
