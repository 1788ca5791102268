"""Chat when things die in mid-answer: nothing that a follower was told is lost or doubled, and jobs get the device."""

import asyncio
import json
import signal

import httpx
import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.core.cache import cache
from openai import OpenAI

from tests.browser.people import session
from tests.chatting import QUESTION, asked, owner_of, tiny_prm
from tests.web.people import World, token
from tests.workers.stack import running_stack, wait_for
from tests.workers.test_chat import MANY, caught_in_the_act, ended, heard, put_together
from webapp.accounts.rules import Role
from webapp.chat.models import Conversation, Message, State
from webapp.chat.streams import FIELD, stream_key, wanted_key
from webapp.jobs.devices import CPU, device_holders
from webapp.registry.bundled import bundled_ensure
from workers.devices import lease_host

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(transactional_db):
    cache.clear()
    return World().built()


@pytest.fixture
def stack(tmp_path, world):
    with running_stack(tmp_path) as running:
        running.start_chat()
        yield running


def test_whatever_dies_nothing_is_lost_or_doubled(stack, world):
    warm = ended(asked(world.team, "Hello?"))
    assert warm.state == State.DONE, warm.error_message

    async def through(message, accident):
        followers = [asyncio.create_task(heard(message)) for _ in range(2)]
        await asyncio.sleep(0.3)  # they have the beginning
        await database_sync_to_async(accident)()
        return await asyncio.gather(*followers)

    def go_on():
        stack.processes["chat"].send_signal(signal.SIGCONT)

    def redis_emptied():
        stack.redis.client().flushall()
        go_on()

    def redis_restarted():
        stack.redis.stop()
        stack.redis.start()
        go_on()

    def worker_killed():
        process = stack.processes.pop("chat")
        process.kill()
        process.wait()
        stack.start_chat()

    for accident, resets in ((redis_emptied, 0), (redis_restarted, 0), (worker_killed, 1)):
        message = caught_in_the_act(stack, world)
        told = async_to_sync(through)(message, accident)
        row = ended(message)
        assert row.state == State.DONE, (accident.__name__, row.error_message, stack.log("chat"))
        for one in told:
            text, again = put_together(one)
            assert (text == row.text, again) == (True, resets), accident.__name__
        assert row.failures == resets
    late = async_to_sync(heard)(row)
    assert [(one.whole, one.text) for one in late] == [(True, row.text)], "who comes late gets all of it"

    # A stream that was lost in mid-answer is written again from its beginning.
    message = caught_in_the_act(stack, world)
    redis_emptied()
    row = ended(message)
    entries = [json.loads(fields[FIELD]) for _, fields in stack.redis.client().xrange(stream_key(message.pk, 1))]
    assert entries[0]["at"] == 0 and "".join(each.get("text", "") for each in entries) == row.text

    # Told to end, it puts back what is in flight, and that is no failure.
    message = asked(world.team, config=MANY)
    wait_for(lambda: Message.objects.get(pk=message.pk).state == State.ANSWERING, "the worker to begin")
    stack.end("chat")
    row = Message.objects.get(pk=message.pk)
    assert (row.state, row.failures) == (State.QUEUED, 0), stack.log("chat")
    assert not device_holders(host=lease_host(CPU), device_uuid=CPU)
    stack.start_chat()
    assert ended(message).state == State.DONE

    # A job asks for the device: chat gives it up, and takes it again when nobody wants it.
    assert device_holders(host=lease_host(CPU), device_uuid=CPU) == ["chat:chat"]
    stack.redis.client().set(wanted_key(lease_host(CPU), CPU), "a-job", ex=8)
    wait_for(lambda: not device_holders(host=lease_host(CPU), device_uuid=CPU), "the device")
    waiting = asked(world.team, "Hello?")
    words = "Waiting for the processor, used by the job a-job"
    wait_for(lambda: words in Message.objects.get(pk=waiting.pk).note, "words of why it waits")
    assert ended(waiting).state == State.DONE


def test_pages_lose_nothing_when_the_web_process_is_killed(stack, world):
    """Two tabs on one conversation, over real sockets, while the web process dies and comes back."""
    owner = owner_of(world.team)
    cookie = f"sessionid={session(username=owner.username)}"
    url = stack.start_web()
    wait_for(lambda: _answers(url), "the pages")
    warm = ended(asked(world.team, "Hello?"))
    assert warm.state == State.DONE, warm.error_message
    message = caught_in_the_act(stack, world)
    path = f"/ws/t/{world.team.slug}/chat/{message.conversation_id}/"

    async def through():
        begun = [asyncio.Event() for _ in range(2)]
        tabs = [asyncio.create_task(_tab(url, path, cookie, message.pk, one)) for one in begun]
        await asyncio.gather(*(one.wait() for one in begun))
        await database_sync_to_async(stack.restart_web)()
        stack.processes["chat"].send_signal(signal.SIGCONT)
        return await asyncio.wait_for(asyncio.gather(*tabs), 120)

    told = async_to_sync(through)()
    row = ended(message)
    assert row.state == State.DONE and row.failures == 0, row.error_message
    for text, lines in told:
        assert text == row.text
        assert lines > 1, "the line was broken off and opened again"


async def _tab(url, path, cookie, message, begun):
    """What a page makes of an answer, as its script does, and how often it had to open its line: a whole text replaces,
    what is added is added, and of an answer that ended while the line was down it asks the pages."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    text, lines = "", 0
    while True:
        try:
            async with connect(
                url.replace("http", "ws", 1) + path, additional_headers={"Cookie": cookie, "Origin": url}
            ) as socket:
                lines += 1
                async for line in socket:
                    news = json.loads(line)
                    if news["type"] == "open" and str(message) not in news["ids"]:
                        return await _exported(url, path, cookie, message), lines
                    if news["type"] != "news":
                        continue
                    text = news["text"] if news["whole"] else text + news["text"]
                    if news["over"]:
                        return text, lines
                    if text:
                        begun.set()
        except (OSError, WebSocketException):
            await asyncio.sleep(0.2)


async def _exported(url, path, cookie, message):
    """An answer as the pages have it."""
    async with httpx.AsyncClient(headers={"Cookie": cookie}) as client:
        found = (await client.get(f"{url}{path.removeprefix('/ws')}export.json")).json()
    return next(each["text"] for each in found["messages"] if each["id"] == str(message))


def test_the_official_client_gets_the_same(stack, world, tmp_path):
    policy, scorer = bundled_ensure(), tiny_prm(world.team)
    url = stack.start_web()
    wait_for(lambda: _answers(url), "the pages")
    client = OpenAI(base_url=f"{url}/v1", api_key=token(world.by_role[Role.OWNER], world.team, Role.OWNER))
    name = next(each.id for each in client.models.list() if policy.name in each.id)
    assert client.models.retrieve(name).id == name
    asked_for = {
        "model": name,
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "max_tokens": 200,
    }
    own = {"scorer": f"{world.team.slug}/{scorer.name}@v1"}
    whole = client.chat.completions.create(**asked_for, extra_body={"meds3": own})
    message = whole.choices[0].message
    assert message.content.startswith("The answer is") and message.reasoning.startswith("Step 0:")
    assert whole.choices[0].finish_reason == "stop" and whole.usage.completion_tokens > 10
    assert all(0 <= step["score"] <= 1 for step in message.meds3["steps"])

    parts = list(
        client.chat.completions.create(
            **asked_for, stream=True, stream_options={"include_usage": True}, extra_body={"meds3": own}
        )
    )
    assert parts[-1].usage == whole.usage and parts[-1].choices == []
    deltas = [part.choices[0].delta for part in parts[:-1]]
    assert "".join(delta.content or "" for delta in deltas) == message.content
    for field in ("reasoning", "reasoning_content"):
        assert "".join(getattr(delta, field, None) or "" for delta in deltas) == message.reasoning
    assert len(deltas) > 4 and parts[-2].choices[0].finish_reason == "stop"
    assert deltas[-1].meds3["steps"] == message.meds3["steps"]

    inline = client.chat.completions.create(**asked_for, extra_body={"meds3": {"reasoning": "inline"}})
    assert inline.choices[0].message.content == message.reasoning + message.content
    drawn = client.chat.completions.create(**asked_for | {"temperature": 1.0, "n": 3, "seed": 1, "max_tokens": 20})
    assert [choice.index for choice in drawn.choices] == [0, 1, 2] and drawn.choices[0].finish_reason == "length"
    cut = client.chat.completions.create(**asked_for, stop=["Step 2"], extra_body={"meds3": {"reasoning": "inline"}})
    assert "Step 2" not in cut.choices[0].message.content

    # Somebody who goes away in mid-answer frees the slot, and nothing of it is kept.
    left = client.chat.completions.create(**asked_for | {"temperature": 1.0, "max_tokens": 1500}, stream=True,
                                          extra_body={"meds3": {"form": "free"}})  # fmt: skip
    next(iter(left))
    left.close()
    wait_for(lambda: not Conversation.objects.exists(), "what was asked to be forgotten")
    for log in ("web", "chat"):
        assert QUESTION[:25] not in stack.log(log) and "Step 1" not in stack.log(log)


def _answers(url):
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
