"""How turns end when something is in the way: what cannot be stored, a late cancellation, a lost lease."""

import asyncio
import json
from pathlib import Path

import pytest
from django.core.cache import cache

from tests.chatting import asked, tiny_prm
from tests.redis_server import redis_server
from tests.web.people import World
from tests.workers.stack import running_stack, wait_for
from tests.workers.test_chat import ended
from webapp.chat import turns
from webapp.chat.models import State
from webapp.chat.streams import ENDED_SECONDS, FIELD, stream_key
from webapp.common.redis_clients import async_redis_client
from webapp.jobs.devices import CPU, device_holders, device_lease_take, device_leases_release
from workers.chatting.worker import ChatWorker
from workers.chatting.writing import Teller, Writing
from workers.devices import lease_host

pytestmark = [pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(transactional_db):
    cache.clear()
    return World().built()


def test_what_no_database_takes_fails_its_own_turn_only(world, settings):
    messages = [asked(world.team, f"{number}?") for number in range(5)]
    claimed = turns.turns_claim(worker="w", most=5)

    async def play():
        worker = ChatWorker("w")
        teller = Teller(async_redis_client())
        outs = [Writing(each, teller) for each in claimed]
        for number, out in enumerate(outs):
            worker._live[out.turn.id] = (out, asyncio.current_task())
            out.add(f"Half an answer to {number}")
        async with asyncio.timeout(20), asyncio.TaskGroup() as all_at_once:
            for number, out in enumerate(outs):
                prompt_tokens = -1 if number == 2 else 7
                how = {"state": State.DONE, "progress": out.progress(), "prompt_tokens": prompt_tokens}
                all_at_once.create_task(worker._end(out.turn, out, turns.turn_end, how))
        assert not worker._live

    with redis_server(Path(settings.HOME) / "run"):
        asyncio.run(play())
    for number, message in enumerate(messages):
        message.refresh_from_db()
        failed, done = (State.FAILED, "chat-unwritable", ""), (State.DONE, "", f"Half an answer to {number}")
        assert (message.state, message.error_code, message.text) == (failed if number == 2 else done)


def test_words_are_told_once_and_told_again_when_the_stream_is_gone(world, settings):
    message, other = asked(world.team, "One?"), asked(world.team, "Two?")
    claimed = {each.id: each for each in turns.turns_claim(worker="w", most=2)}
    key = stream_key(message.pk, 1)

    async def entries(client):
        return [json.loads(fields[FIELD]) for _, fields in await client.xrange(key)]

    async def play():
        client = async_redis_client()
        teller = Teller(client)
        out, second = (Writing(claimed[each.pk], teller) for each in (message, other))
        out.add("All ")
        out.offer([{"number": 0, "text": "a\x00b\ud800", "answer": None, "score": 0.5}])
        await asyncio.sleep(0.2)
        out.add("of ")
        second.add("Not this one")
        await asyncio.sleep(0.2)
        first = await entries(client)
        await client.flushall()
        out.add("it")
        await asyncio.sleep(0.2)
        again = await entries(client)
        out.end()
        await teller.close()
        whole = await entries(client)
        assert 0 < await client.ttl(key) <= ENDED_SECONDS
        await out.forget()
        assert not await client.exists(key)
        await client.aclose()
        return out, first, again, whole

    with redis_server(Path(settings.HOME) / "run"):
        out, first, again, whole = asyncio.run(play())
    assert [(each["at"], each["text"]) for each in first] == [(0, "All "), (4, "of ")]
    assert [each.get("candidates") for each in first] == [1, None], "told how many, not all again"
    assert [(each["at"], each["text"], each["candidates"]) for each in again] == [(0, "All of it", 1)]
    assert [each.get("end") for each in whole] == [None, True]
    numbers = [each["seq"] for each in first + whole]
    assert numbers == sorted(set(numbers))
    assert out.candidates == [{"number": 0, "text": "a\ufffdb\ufffd", "answer": None, "score": 0.5}]
    turns.turns_write(progress=[(message.pk, 1, out.progress())])


def test_while_redis_is_away_words_are_kept(world, settings):
    message = asked(world.team, "One?")
    (claimed,) = turns.turns_claim(worker="w", most=1)

    async def play():
        client = async_redis_client()
        out = Writing(claimed, Teller(client))
        out.add("All ")
        await asyncio.sleep(0.2)  # nobody listens there yet
        with redis_server(Path(settings.HOME) / "run"):
            out.add("of it")
            await asyncio.to_thread(wait_for, lambda: not out.is_untold, "the words to be told", 20)
            told = await told_by(client)
            await client.aclose()
        return told

    async def told_by(client):
        entries = await client.xrange(stream_key(message.pk, 1))
        return "".join(json.loads(fields[FIELD])["text"] for _, fields in entries)

    assert asyncio.run(play()) == "All of it"


@pytest.mark.slow
def test_a_lost_lease_takes_the_models_along(world, tmp_path):
    with running_stack(tmp_path) as stack:
        stack.start_chat()
        first = ended(asked(world.team, "One?", scorer=tiny_prm(world.team)))
        assert first.state == State.DONE, first.error_message
        host = lease_host(CPU)
        lost = "the lease of the device was lost"  # said when all is unloaded
        before = stack.log("chat").count(lost)
        device_leases_release(holder="chat:chat")
        assert device_lease_take(host=host, device_uuid=CPU, holder="job:other:1", share=1.0)
        wait_for(lambda: stack.log("chat").count(lost) > before, "the models to be unloaded", 30)
        waiting = asked(world.team, "Two?")
        device_leases_release(holder="job:other:1")
        assert ended(waiting).state == State.DONE
        assert device_holders(host=host, device_uuid=CPU) == ["chat:chat"]
