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
from webapp.chat.following import async_client
from webapp.chat.models import State
from webapp.chat.streams import FIELD, stream_key
from webapp.jobs.devices import CPU, device_holders, device_lease_take, device_leases_release
from workers.chatting.worker import ChatWorker
from workers.chatting.writing import Writing
from workers.devices import lease_host

pytestmark = [pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(transactional_db):
    cache.clear()
    return World().built()


def test_what_no_database_takes_fails_its_own_turn_only(world, settings):
    message = asked(world.team, "One?")
    (claimed,) = turns.turns_claim(worker="w", most=1)

    async def play():
        worker = ChatWorker("w")
        out = Writing(claimed, async_client())
        out.add("Half an answer")
        telling = asyncio.create_task(out.tell())
        how = {"state": State.DONE, "progress": out.progress, "prompt_tokens": -1}
        async with asyncio.timeout(20):
            await worker._end(claimed, out, telling, turns.turn_end, how)

    with redis_server(Path(settings.HOME) / "run"):
        asyncio.run(play())
    message.refresh_from_db()
    assert (message.state, message.error_code, message.text) == (State.FAILED, "chat-unwritable", "")


def test_the_end_is_told_whole_whatever_is_broken_off_and_candidates_can_be_stored(world, settings):
    message = asked(world.team, "One?")
    (claimed,) = turns.turns_claim(worker="w", most=1)

    async def play():
        client = async_client()
        out = Writing(claimed, client)
        telling = asyncio.create_task(out.tell())
        await asyncio.sleep(0)
        out.add("All of it")
        out.offer([{"number": 0, "text": "a\x00b\ud800", "answer": None, "score": 0.5}])
        closing = asyncio.create_task(out.close(telling))
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await telling
        await out.close(telling)
        entries = await client.xrange(stream_key(message.pk, claimed.attempt))
        await client.aclose()
        return out, [json.loads(fields[FIELD]) for _, fields in entries]

    with redis_server(Path(settings.HOME) / "run"):
        out, entries = asyncio.run(play())
    assert "".join(each.get("text", "") for each in entries) == "All of it"
    assert [each["candidates"] for each in entries if "candidates" in each] == [1], "told how many, not all again"
    assert out.candidates == [{"number": 0, "text": "a\ufffdb\ufffd", "answer": None, "score": 0.5}]
    turns.turns_write(progress=[(message.pk, claimed.attempt, out.progress())])


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
