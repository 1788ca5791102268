"""The device under the chat worker: lost to the process by an error of CUDA, and shared with real jobs."""

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from django.core.cache import cache
from django.utils import timezone

from meds3core.decoding.metering import SharedScorer
from meds3core.engines.scripted import ScriptedEngine
from tests.chatting import asked
from tests.core.decoding.factory import ToyModel
from tests.redis_server import redis_server
from tests.trees import some_questions, submitted_search
from tests.web.people import World
from tests.workers.people import operator
from tests.workers.stack import PATIENCE, job_log, running_stack, state_of, wait_for
from tests.workers.test_chat import MANY, ended
from webapp.chat import turns
from webapp.chat.models import OPEN, Message, State
from webapp.chat.questions import question_of
from webapp.chat.services import turn_stop
from webapp.jobs.devices import CPU, CPU_SHARE, device_holders, device_lease_take
from webapp.jobs.models import DeviceLease, JobEvent
from webapp.jobs.transitions import ENDED
from workers.chatting.answering import Steps
from workers.chatting.engines import Loaded
from workers.chatting.worker import ChatWorker
from workers.devices import lease_host
from workers.exits import BROKE

pytestmark = [pytest.mark.timeout(600), pytest.mark.django_db(transaction=True)]

ILLEGAL = "CUDA error: an illegal memory access was encountered"

GPU = f'''
"""Plays a GPU: from the moment when a file appears every call to it gives the error of one that is lost."""
import os
import torch

works = torch.nn.Embedding.forward

def forward(*given):
    if os.path.exists(os.environ["TEST_GPU_FAILS"]):
        raise torch.AcceleratorError("{ILLEGAL}")
    return works(*given)

torch.nn.Embedding.forward = forward
'''


@pytest.mark.parametrize(("error", "ends"), [(torch.AcceleratorError(ILLEGAL), True), (RuntimeError("odd"), False)])
def test_an_answer_stands_without_its_scores_unless_the_device_is_lost(error, ends):
    class Breaks(ToyModel):
        def score(self, items):
            raise error

    class Answer:
        text, scored_tokens = "Step 0: Think.\n\nStep 1: The answer is 5.", 0

        def score(self, steps):
            self.steps = steps

    async def play():
        async with SharedScorer(Breaks()) as scorer:
            await Steps(Answer(), question_of([("user", "2 + 3?")]), scorer).done()

    if ends:
        with pytest.raises(torch.AcceleratorError):
            asyncio.run(play())
    else:
        asyncio.run(play())


@pytest.fixture
def world(transactional_db):
    cache.clear()
    return World().built()


@pytest.mark.slow
def test_a_worker_that_lost_its_device_ends_and_the_next_one_answers(world, tmp_path):
    (tmp_path / "played").mkdir()
    (tmp_path / "played" / "sitecustomize.py").write_text(GPU)
    fails = tmp_path / "fails"
    paths = os.pathsep.join([str(tmp_path / "played"), *filter(None, [os.environ.get("PYTHONPATH")])])
    with running_stack(tmp_path) as stack:
        stack.start_chat(PYTHONPATH=paths, TEST_GPU_FAILS=str(fails))
        assert ended(asked(world.team, "One?")).state == State.DONE, stack.log("chat")
        both = [asked(world.team, config=MANY) for _ in range(2)]
        for message in both:
            wait_for(lambda pk=message.pk: Message.objects.get(pk=pk).state == State.ANSWERING, "the worker to begin")
        fails.touch()
        assert stack.processes.pop("chat").wait(PATIENCE) == BROKE
        assert f"{ILLEGAL}: this process cannot compute any more" in stack.log("chat")
        for message in both:
            message.refresh_from_db()
            assert (message.state, message.failures) == (State.QUEUED, 1), "tried again, but not for ever"
        assert not device_holders(host=lease_host(CPU), device_uuid=CPU), "a job may have it"
        stack.start_chat()
        assert [ended(message).state for message in both] == [State.DONE] * 2


def test_what_was_claimed_ahead_does_not_begin_once_a_job_has_asked(world, settings):
    settings.CHAT_TURNS = 1
    first, ahead, remote = (asked(world.team, text) for text in ("One?", "Two?", "Three?"))

    async def play():
        begun, ends = asyncio.Event(), asyncio.Event()

        async def held(_):
            begun.set()
            await ends.wait()

        class InMemory:
            """Engines that have all that is asked for, and wait."""

            @asynccontextmanager
            async def local(self, policy, *_):
                yield (Loaded(("policy", policy), engine, 0, "plain"), None) if policy else (None, None)

            @asynccontextmanager
            async def remote(self, endpoint):
                yield Loaded(("remote", endpoint), engine, 0)

        engine = ScriptedEngine(lambda _: "All of it", latency=held)
        worker = ChatWorker("w")
        worker.engines = InMemory()
        claimed = {turn.id: turn for turn in await worker._read(turns.turns_claim, worker="w", most=3)}
        worker._begin(claimed[first.pk])
        await begun.wait()
        worker._begin(claimed[ahead.pk])
        worker._begin(replace(claimed[remote.pk], endpoint=uuid4()))
        tasks = [task for _, task in worker._live.values()]
        worker._yielding = True
        ends.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)
        await worker._teller.close()
        await worker._redis.aclose()
        worker._database.shutdown()

    with redis_server(Path(settings.HOME) / "run"):
        asyncio.run(play())
    for message, state in ((first, State.DONE), (ahead, State.QUEUED), (remote, State.DONE)):
        message.refresh_from_db()
        assert (message.state, message.failures) == (state, 0)


def test_of_a_lost_device_all_that_needs_it_is_told_and_nothing_else(world, settings):
    fails, waits, remote = (asked(world.team, text) for text in ("One?", "Two?", "Three?"))

    def illegal(_):
        raise torch.AcceleratorError(ILLEGAL)

    async def play():
        begun = asyncio.Event()

        async def for_ever(_):
            begun.set()
            await asyncio.Event().wait()

        class InMemory:
            """Engines that have all that is asked for; the one of the first turn is on a device that is lost."""

            def __init__(self):
                self.given = [ScriptedEngine(illegal), ScriptedEngine(illegal, latency=for_ever)]

            @asynccontextmanager
            async def local(self, policy, *_):
                yield (Loaded(("policy", policy), self.given.pop(), 0, "plain"), None) if policy else (None, None)

            @asynccontextmanager
            async def remote(self, endpoint):
                yield Loaded(("remote", endpoint), ScriptedEngine(illegal, latency=for_ever), 0)

        worker = ChatWorker("w")
        worker.engines = InMemory()
        claimed = {turn.id: turn for turn in await worker._read(turns.turns_claim, worker="w", most=3)}
        elsewhere = replace(claimed[remote.pk], endpoint=uuid4())
        worker._begin(elsewhere)
        worker._begin(claimed[waits.pk])
        await begun.wait()
        worker._begin(claimed[fails.pk])
        async with asyncio.timeout(60):
            await worker._over.wait()
        assert worker.has_lost_device
        await worker._put_all_back()
        await worker._redis.aclose()
        worker._database.shutdown()

    with redis_server(Path(settings.HOME) / "run"):
        asyncio.run(play())
    for message, failures in ((fails, 1), (waits, 1), (remote, 0)):
        message.refresh_from_db()
        assert (message.state, message.failures) == (State.QUEUED, failures)


@pytest.mark.slow
def test_a_real_job_gets_the_device_from_answers_in_flight_and_gives_it_back(world, tmp_path):
    version = some_questions(operator(), world.team, 6)
    host = lease_host(CPU)
    # A processor serves two at once: the half that is not at stake is taken.
    assert device_lease_take(host=host, device_uuid=CPU, holder="somebody:1", share=CPU_SHARE)
    DeviceLease.objects.filter(holder="somebody:1").update(expires=timezone.now() + timedelta(hours=1))

    def holders():
        return set(device_holders(host=host, device_uuid=CPU)) - {"somebody:1"}

    with running_stack(tmp_path) as stack:
        stack.start_chat(MEDS3_CHAT_GRACE="0.5")
        stack.start_worker("gpu-a", queue="gpu")
        assert ended(asked(world.team, "One?")).state == State.DONE, stack.log("chat")
        assert holders() == {"chat:chat"}
        # More than can be written before the job asks, which begins with loading its libraries.
        asked_before = [asked(world.team, config=MANY) for _ in range(10)]

        job = submitted_search(operator(), world.team, version)
        wait_for(lambda: holders() == {f"job:{job.pk}:1"}, "the job to have the device")
        events = JobEvent.objects.filter(job=job, text__startswith="Waiting for cpu:0")
        assert events.get().text.endswith("used by somebody, chat."), "the job says whom it waited for"
        in_flight = [each for each in asked_before if Message.objects.get(pk=each.pk).state in OPEN]
        assert in_flight
        later = asked(world.team, "Two?")
        words = f"Waiting for the processor, used by the job {job.pk}."
        for message in (*in_flight, later):
            wait_for(lambda pk=message.pk: Message.objects.get(pk=pk).note == words, "words of why it waits")
        assert state_of(job) not in ENDED and holders() == {f"job:{job.pk}:1"}

        wait_for(lambda: state_of(job) in ENDED, "the job")
        assert state_of(job) == "succeeded", job_log(job)
        for message in in_flight[1:]:
            turn_stop(message=message)
        for message in (in_flight[0], later):
            row = ended(message)
            assert (row.state, row.failures, row.note) == (State.DONE, 0, ""), row.error_message
        broken_off = [Message.objects.get(pk=each.pk) for each in in_flight]
        assert all((row.attempt > 1, row.failures) == (True, 0) for row in broken_off), "put back, which is no failure"
        assert holders() == {"chat:chat"}
