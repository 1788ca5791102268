"""What the chat worker keeps in memory: shared, within its budget, never waiting for itself, replaced when it broke."""

import asyncio
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection

from meds3core.engines.base import Message, Prompt, Request, Sampling
from meds3core.errors import ConfigError, EngineError
from meds3core.machine import memory_limit
from tests.chatting import tiny_prm
from tests.redis_server import redis_server
from tests.web.people import World
from webapp.common.redis_clients import async_redis_client
from webapp.registry.bundled import bundled_ensure
from webapp.registry.models import ModelVersion
from webapp.registry.selectors import model_folder
from workers.chatting.device import Device
from workers.chatting.engines import ANOTHER, Engines
from workers.chatting.memory import policy_plan, scorer_plan

pytestmark = [pytest.mark.timeout(180), pytest.mark.django_db(transaction=True)]

ASK = Request(Prompt((Message("user", "2 + 3?"),)), Sampling(max_tokens=4, temperature=0.0))


@pytest.fixture
def world(transactional_db, settings):
    cache.clear()
    with redis_server(Path(settings.HOME) / "run"):
        yield World().built()


@pytest.fixture
def by_hand(world, tmp_path):
    """Runs `play(engines)` in an event loop; nothing is left in memory."""

    def run(play):
        async def played():
            with ThreadPoolExecutor(1) as database:

                async def read(function, *arguments, **named):
                    return await asyncio.get_running_loop().run_in_executor(
                        database, lambda: function(*arguments, **named)
                    )

                client = async_redis_client()
                engines = Engines(Device("test", client, read), tmp_path, read)
                try:
                    async with asyncio.timeout(120):
                        return await play(engines)
                finally:
                    await engines.clear()
                    await engines.unload_idle(0.0)
                    assert not engines.device.held
                    await client.aclose()
                    await read(lambda: connection.close())

        return asyncio.run(played())

    return run


def another_policy(world) -> ModelVersion:
    first = bundled_ensure()
    number = ModelVersion.objects.filter(team=world.team, name="Another").count() + 1
    row = ModelVersion.objects.create(team=world.team, name="Another", number=number, kind="policy", ready=True)
    shutil.copytree(model_folder(model_id=first.pk), model_folder(model_id=row.pk), dirs_exist_ok=True)
    return row


def fixed(engines, make, row: ModelVersion) -> int:
    """What it takes whatever there is; a policy's cache takes at most an eighth of what there is besides."""
    need = make(model_folder(model_id=row.pk), None, engines.device).need
    return need.weights + need.working


def room_for(settings, count: int) -> None:
    settings.CHAT_MEMORY_SHARE = count / memory_limit()


async def said(note: str) -> None:
    """Nobody listens."""


def threads_of_engines() -> int:
    return sum(each.name == "meds3-transformers" for each in threading.enumerate())


def test_a_turn_never_waits_for_what_it_holds_itself(world, by_hand, settings):
    policy, prm, other = bundled_ensure(), tiny_prm(world.team), another_policy(world)

    async def too_much(engines):
        need = fixed(engines, policy_plan, policy)
        assert need < fixed(engines, scorer_plan, prm) * 2
        room_for(settings, int(need * 1.5))
        async with engines.local(policy.pk, None, said) as (loaded, _):
            with pytest.raises(ConfigError, match="and the reward model"):
                async with engines.local(policy.pk, prm.pk, said):
                    raise AssertionError("both do not fit")
            assert (await loaded.thing.generate(ASK)).generated_tokens

    by_hand(too_much)

    async def in_turn(engines):
        one, judge = fixed(engines, policy_plan, policy), fixed(engines, scorer_plan, prm)
        room_for(settings, int((one + judge) * 1.2))  # and an eighth for the cache

        async def turn(model):
            async with engines.local(model.pk, prm.pk, said) as (loaded, judge):
                assert judge is not None
                await loaded.thing.generate(ASK)
                await asyncio.sleep(0.2)

        await asyncio.gather(*(turn(model) for model in (policy, other, policy, other)))

    by_hand(in_turn)


def test_who_needs_what_is_loaded_does_not_wait_behind_a_load_but_not_for_ever(world, by_hand, settings, monkeypatch):
    monkeypatch.setattr("workers.chatting.engines.PATIENCE_SECONDS", 1.0)
    policy, other = bundled_ensure(), another_policy(world)

    async def play(engines):
        room_for(settings, int(fixed(engines, policy_plan, policy) * 1.5))
        served, notes = [], []

        async def note(text):
            notes.append(text)

        async def second():
            async with engines.local(other.pk, None, note):
                served.append("other")

        async def first(length):
            async with engines.local(policy.pk, None, said):
                served.append("policy")
                await asyncio.sleep(length)

        busy = [asyncio.create_task(first(0.6))]
        while not served:  # noqa: ASYNC110 - looked at from outside
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(second())
        while not notes:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        before = time.monotonic()
        while "other" not in served and time.monotonic() - before < 20:  # never a moment without users
            busy.append(asyncio.create_task(first(0.6)))
            await asyncio.sleep(0.3)
        assert served.count("policy") > 2, "who came later was let through"
        assert "other" in served, "who waits is not forgotten"
        await asyncio.gather(waiting, *busy)

    by_hand(play)


def test_who_waits_hears_what_it_waits_for_itself(world, by_hand, settings):
    policy, other, third = bundled_ensure(), another_policy(world), another_policy(world)

    async def play(engines):
        room_for(settings, int(fixed(engines, policy_plan, policy) * 1.5))
        notes = {each: [] for each in ("used", "first", "same", "late", "else")}

        def hears(who):
            async def tell(note):
                notes[who].append(note)

            return tell

        async def turn(model, who):
            async with engines.local(model.pk, None, hears(who)):
                pass

        async with engines.local(policy.pk, None, hears("used")):
            before = list(notes["used"])
            begun = {
                who: asyncio.create_task(turn(model, who))
                for who, model in {"first": other, "same": other, "else": third}.items()
            }
            while not all(notes[who] for who in begun):  # noqa: ASYNC110 - looked at from outside
                await asyncio.sleep(0.01)
            begun["late"] = asyncio.create_task(turn(other, "late"))
            while not notes["late"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.gather(*begun.values())
        assert notes["used"] == before == ["Loading the model."], "who is answered waits for nothing"
        room = "Waiting until another model is not needed any more."
        for who, beginning in {"first": room, "same": room, "late": room, "else": ANOTHER}.items():
            assert (notes[who][0], notes[who][-1]) == (beginning, "Loading the model."), who
            assert len(notes[who]) == len([1 for at, note in enumerate(notes[who]) if note != notes[who][at - 1]])

    by_hand(play)


def test_a_load_that_nobody_waits_for_any_more_is_kept_and_counted(world, by_hand):
    policy = bundled_ensure()

    async def play(engines):
        async def turn():
            async with engines.local(policy.pk, None, said):
                raise AssertionError("it was stopped")

        stopped = asyncio.create_task(turn())
        while not engines.is_loading:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        stopped.cancel()
        await asyncio.gather(stopped, return_exceptions=True)
        assert engines.is_busy, "a job must not have the device yet"
        async with engines.local(policy.pk, None, said):
            assert threads_of_engines() == 1, "not loaded beside itself"
        assert not engines.is_busy
        await engines.clear()
        assert threads_of_engines() == 0

    by_hand(play)


def test_an_engine_that_broke_is_not_handed_out_again(world, by_hand):
    policy = bundled_ensure()

    async def play(engines):
        async with engines.local(policy.pk, None, said) as (first, _):
            await first.thing.generate(ASK)
            await first.thing.close()  # as it closes itself after an error of the device
            with pytest.raises(EngineError):
                await first.thing.generate(ASK)
        async with engines.local(policy.pk, None, said) as (second, _):
            assert second is not first
            assert (await second.thing.generate(ASK)).generated_tokens
        assert threads_of_engines() == 1

    by_hand(play)
