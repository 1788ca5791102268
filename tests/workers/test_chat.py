"""The chat worker as a process of its own: answers, scores, stops, and loses nothing whatever is killed or emptied."""

import signal
import threading
import time
from contextlib import contextmanager

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.cache import cache

from meds3core.config.chat import ChatConfig
from meds3core.engines.seeds import vllm_seed
from meds3core.text.steps import render_trajectory
from tests.chatting import QUESTION, asked, owner_of, tiny_prm
from tests.core.engines.test_openai import Server
from tests.scripted import scripted
from tests.web.people import World
from tests.workers.stack import running_stack, wait_for
from webapp.accounts.actors import SYSTEM, Actor
from webapp.chat import services
from webapp.chat.following import News, follow
from webapp.chat.models import OPEN, Message, State
from webapp.chat.selectors import tree_record
from webapp.chat.services import (
    branch_choose,
    conversation_create,
    conversation_delete,
    turn_again,
    turn_ask,
    turn_branch,
    turn_continue,
    turn_stop,
)
from webapp.chat.streams import stream_key
from webapp.endpoints.services import endpoint_create
from webapp.jobs.devices import CPU, device_holders
from webapp.registry.models import Endpoint
from workers.devices import lease_host

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.django_db(transaction=True)]

LONG = ChatConfig(temperature=2.0, top_p=1.0, max_tokens=1500, form="free")
"""An answer that goes on for longer than a sensible one."""
MANY = ChatConfig(way="self-consistency", n=64, temperature=2.0, top_p=1.0, max_tokens=1500)
"""Answers that take seconds."""


@pytest.fixture
def world(transactional_db):
    cache.clear()
    return World().built()


@pytest.fixture
def stack(tmp_path, world):
    with running_stack(tmp_path) as running:
        running.start_chat()
        yield running


def ended(message: Message, patience: float = 120) -> Message:
    """The answer when nothing is added to it any more."""
    pk = message.pk
    wait_for(lambda: not Message.objects.filter(pk=pk, state__in=OPEN).exists(), "an answer", patience)
    return Message.objects.get(pk=pk)


@contextmanager
def remote_server():
    """An OpenAI-compatible server that says its seed."""
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


async def heard(message: Message) -> list[News]:
    """All that a follower is told until the end."""
    return [news async for news in follow(message.pk)]


def caught_in_the_act(stack, world) -> Message:
    """An answer that has begun and is not done; its worker is held still (SIGCONT lets it go on)."""
    for _ in range(10):
        message = asked(world.team, "Tell me everything.", config=LONG)
        key, end = stream_key(message.pk, 1), time.monotonic() + 60
        while not stack.redis.client().xlen(key) and time.monotonic() < end:
            time.sleep(0.005)
        stack.processes["chat"].send_signal(signal.SIGSTOP)
        if Message.objects.get(pk=message.pk).state == State.ANSWERING:
            return message
        stack.processes["chat"].send_signal(signal.SIGCONT)
        ended(message)
    raise AssertionError("every answer was too quick")


def put_together(news: list[News]) -> tuple[str, int]:
    """The text that a page has at the end, made of what it was told; and how often it began anew."""
    text, resets, attempt = "", 0, news[0].attempt
    for each in news:
        if each.whole:
            resets += 0 < attempt < each.attempt  # from none to the first is the beginning
            attempt = each.attempt
            text = each.text
        else:
            text += each.text
    return text, resets


def test_answers_are_streamed_scored_chosen_and_stopped(stack, world, monkeypatch):
    first = asked(world.team, scorer=tiny_prm(world.team))
    told = async_to_sync(heard)(first)
    done = ended(first)
    assert done.state == State.DONE, (done.error_message, stack.log("chat"))
    assert put_together(told) == (done.text, 0)
    assert len([each for each in told if each.text and not each.whole]) > 2, "it came bit by bit"
    assert "Step 1:" in done.text and "The answer is" in done.text
    assert len(done.steps) > 2 and all(0 <= score <= 1 for _, _, score in done.steps)
    begin, end, _ = done.steps[1]
    assert done.text[begin:end].startswith("Step 1:")
    assert done.generated_tokens > 10 and done.prompt_tokens > 10 and done.scored_tokens > 10

    again = ended(turn_again(conversation=first.conversation, message=first))
    assert again.text == done.text, "greedy"
    follow_up = ended(turn_ask(conversation=first.conversation, text="And if it were twice as much?", parent=again))
    assert follow_up.state == State.DONE and follow_up.prompt_tokens > done.prompt_tokens

    best = asked(world.team, scorer=tiny_prm(world.team), config=ChatConfig(way="best-of-n", n=4, max_tokens=200))
    best = ended(best)
    assert best.state == State.DONE, best.error_message
    assert len(best.candidates) == 4 and best.candidates[best.chosen]["text"] == best.text
    assert best.candidates[best.chosen]["score"] == max(each["score"] for each in best.candidates if each["answer"])
    agreed = ended(asked(world.team, config=ChatConfig(way="self-consistency", n=4, max_tokens=200)))
    assert agreed.state == State.DONE and "votes" in agreed.why, agreed.error_message

    config = ChatConfig(way="tree-search", nodes=6, max_tokens=120)
    searched = ended(asked(world.team, scorer=tiny_prm(world.team), config=config))
    assert searched.state == State.DONE, searched.error_message
    record = tree_record(searched.tree)
    assert record.question.text == QUESTION and len(record.nodes) > 2
    assert all(node.verdict is None and not node.outcomes for node in record.nodes), "nobody knows the right answer"
    leaf = next(
        node
        for node in record.nodes
        if render_trajectory([each.text for each in record.path(node.id)]) == searched.text
    )
    assert [score for _, _, score in searched.steps][1:] == [each.rollout_value for each in record.path(leaf.id)][1:]
    assert searched.generated_tokens > 10 and searched.scored_tokens > 10 and searched.why

    cut = ended(asked(world.team, config=ChatConfig(temperature=0.0, max_tokens=10)))
    gone_on = ended(turn_continue(conversation=cut.conversation, message=cut))
    assert gone_on.text.startswith(cut.text) and len(gone_on.text) > len(cut.text), "greedy: what it would have said"
    assert done.text.startswith(cut.text)
    branch = ended(turn_branch(conversation=first.conversation, message=done, step=2))
    assert branch.text.startswith(done.text[: int(done.steps[2][0])])
    assert [score for _, _, score in branch.steps][:2] == pytest.approx([score for _, _, score in done.steps][:2])

    monkeypatch.setattr(services, "refuse_too_long", lambda **_: None)  # the page says so before; here the worker does
    too_long = ended(asked(world.team, "word " * 15_000))
    assert (too_long.state, too_long.error_code) == (State.FAILED, "context-overflow")
    assert "word word" not in too_long.error_message

    gone = asked(world.team, config=LONG)
    conversation_delete(actor=SYSTEM, conversation=gone.conversation)
    endless = asked(world.team, config=MANY)
    wait_for(lambda: Message.objects.get(pk=endless.pk).state == State.ANSWERING, "the worker to begin")
    before = time.monotonic()
    turn_stop(message=endless)
    assert ended(endless).state == State.STOPPED
    assert time.monotonic() - before < 5
    caught = caught_in_the_act(stack, world)
    turn_stop(message=caught)
    stack.processes["chat"].send_signal(signal.SIGCONT)
    stopped = ended(caught)
    assert stopped.state == State.STOPPED and stopped.text, "what was written by then stays"
    assert stopped.generated_tokens > 0 and stopped.prompt_tokens > 0, "and what it took"
    branch_choose(conversation=first.conversation, message=done)
    log = stack.log("chat")
    assert QUESTION[:20] not in log and "twice as much" not in log and "Step" not in log


@pytest.mark.vllm
def test_vllm_answers_as_transformers_do(tmp_path, world):
    pytest.importorskip("vllm", reason="vLLM is not installed")
    with running_stack(tmp_path) as running:
        running.start_chat(MEDS3_CHAT_ENGINE="vllm")
        first = asked(world.team, scorer=tiny_prm(world.team))
        told = async_to_sync(heard)(first)
        done = ended(first)
        assert done.state == State.DONE, (done.error_message, running.log("chat"))
        assert put_together(told) == (done.text, 0)
        assert len([each for each in told if each.text and not each.whole]) > 2, "it came bit by bit"
        assert "The answer is" in done.text and done.generated_tokens > 10
        assert len(done.steps) > 2 and all(0 <= score <= 1 for _, _, score in done.steps)
        best = ended(asked(world.team, scorer=first.scorer, config=ChatConfig(way="best-of-n", n=4, max_tokens=200)))
        assert best.state == State.DONE and len(best.candidates) == 4, best.error_message
        endless = asked(world.team, config=MANY)
        wait_for(lambda: Message.objects.get(pk=endless.pk).state == State.ANSWERING, "the worker to begin")
        turn_stop(message=endless)
        assert ended(endless).state == State.STOPPED


def test_a_turn_claimed_ahead_takes_the_first_free_place(tmp_path, world, monkeypatch):
    with running_stack(tmp_path) as running, scripted() as server:
        server.says("All ", "of it")
        running.start_chat(MEDS3_OUTBOUND_ALLOW=server.allow, MEDS3_CHAT_TURNS="5")
        monkeypatch.setattr(settings, "OUTBOUND_ALLOW", server.allow.split(","))
        named = {"name": "Elsewhere", "url": server.url, "model": "some-model", "api": "chat", "key": "hush"}
        endpoint = endpoint_create(actor=SYSTEM, team=world.team, **named)
        owner = Actor(owner_of(world.team))
        turns = [
            turn_ask(conversation=conversation_create(actor=owner, team=world.team, endpoint=endpoint), text="What?")
            for _ in range(8)
        ]

        def states() -> list[str]:
            rows = dict(Message.objects.filter(pk__in=[each.pk for each in turns]).values_list("pk", "state"))
            return [str(rows[each.pk]) for each in turns]

        wait_for(lambda: states().count(State.ANSWERING) == 6, "five to be answered and one ahead", 60)
        wait_for(lambda: len(server.asked) == 5, "five requests", 60)
        time.sleep(1.5)  # two more looks
        assert states() == [State.ANSWERING] * 6 + [State.QUEUED] * 2 and len(server.asked) == 5
        turn_stop(message=turns[5])
        assert ended(turns[5]).state == State.STOPPED, "it can be stopped while it waits for its place"
        wait_for(lambda: states()[6] == State.ANSWERING, "the next one to be claimed ahead", 30)
        assert len(server.asked) == 5
        server.go_on.set()
        done = [ended(each) for each in turns if each.pk != turns[5].pk]
        assert {(each.state, each.text, each.attempt) for each in done} == {(State.DONE, "All of it", 1)}


def test_a_remote_engine_is_reached_by_the_outgoing_client_only(tmp_path, world, monkeypatch):
    with running_stack(tmp_path) as running, remote_server() as server:
        allowed = f"127.0.0.1:{server.server_port},127.0.0.0/8"
        running.start_chat(MEDS3_OUTBOUND_ALLOW=allowed)
        monkeypatch.setattr(settings, "OUTBOUND_ALLOW", allowed.split(","))
        endpoint = endpoint_create(
            actor=SYSTEM, team=world.team, name="Elsewhere", url=server.url, model="some-model", api="chat", key="hush"
        )
        held = conversation_create(actor=Actor(owner_of(world.team)), team=world.team, endpoint=endpoint)
        answer = ended(turn_ask(conversation=held, text="What?"))
        assert answer.state == State.DONE, answer.error_message
        assert answer.text == f"seed {vllm_seed(answer.config['seed'])}"
        path, body = server.bodies[-1]
        assert path.endswith("/chat/completions") and body["messages"] == [{"role": "user", "content": "What?"}]
        assert set(server.keys) == {"Bearer hush"}
        assert not device_holders(host=lease_host(CPU), device_uuid=CPU), "it needs no device of ours"
        Endpoint.objects.filter(pk=endpoint.pk).update(url="http://127.0.0.1:9/v1")
        refused = ended(turn_ask(conversation=held, text="And there?", parent=answer))
        assert (refused.state, refused.error_code) == (State.FAILED, "outgoing-refused")
