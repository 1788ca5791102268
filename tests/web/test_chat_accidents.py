"""Chat when something goes wrong: nothing stays open for ever, nobody is crowded out, nothing is told twice."""

import asyncio
import json

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.core.cache import cache
from django.test import Client

from tests.chatting import asked, conversation
from tests.web.people import World, signed_in, token
from webapp.accounts.rules import Role
from webapp.chat import openai_answers, services, turns
from webapp.chat.models import Conversation, Message, State
from webapp.chat.openai_schemas import CompletionIn
from webapp.chat.turns import Progress
from webapp.registry.bundled import bundled_ensure

MARKER = "zebrastripes77"


def test_settings_of_another_version_do_not_lock_a_conversation(world, caplog):
    held = conversation(world.team)
    owner = signed_in(held.owner)
    Conversation.objects.filter(pk=held.pk).update(config={**held.config, "system": MARKER, "gone": 1})
    address = f"/t/{world.team.slug}/chat/{held.pk}/"
    assert owner.get(address).status_code == 200
    values = {"model": f"model:{held.policy_id}", "way": "fast", "temperature": 0.5, "top_p": 1, "max_tokens": 9}
    assert owner.post(f"{address}settings/", values | {"form": "auto", "n": 8, "nodes": 16}).status_code == 302
    held.refresh_from_db()
    assert held.config["max_tokens"] == 9 and "gone" not in held.config
    assert MARKER not in caplog.text


def test_a_team_that_asks_much_does_not_crowd_out_another(world):
    many = [asked(world.team, "One?") for _ in range(4)]
    few = asked(world.other_team, "Two?")
    first = [each.id for each in turns.turns_claim(worker="w", most=2)]
    assert first == [many[0].pk, few.pk]
    late = asked(world.other_team, "Three?")
    assert {each.id for each in turns.turns_claim(worker="w", most=2)} == {many[1].pk, late.pk}
    assert [each.id for each in turns.turns_claim(worker="w", most=9, remote_only=True)] == []
    assert len(turns.turns_claim(worker="w", most=9)) == 2


def test_what_broke_is_tried_again_after_a_pause_and_its_words_can_be_kept(world):
    message = asked(world.team, "One?")
    for failure in range(1, turns.MOST_FAILURES + 1):
        (claimed,) = turns.turns_claim(worker="w", most=9)
        turns.turn_broke(turn=message.pk, attempt=claimed.attempt, account="The model failed: \x00 so.")
        message.refresh_from_db()
        if failure < turns.MOST_FAILURES:
            assert message.state == State.QUEUED and turns.turns_claim(worker="w", most=9) == []
            Message.objects.filter(pk=message.pk).update(lease_expires="2020-01-01T00:00Z")  # the pause is over
    assert message.state == State.FAILED and "\x00" not in message.error_message


def test_a_full_team_is_told_to_come_again(world, monkeypatch):
    monkeypatch.setattr(services, "MOST_OPEN", 0)
    name = f"{bundled_ensure().team.slug}/{bundled_ensure().name}"
    refused = _post(world, model=name)
    assert refused.status_code == 429 and int(refused["Retry-After"]) > 0
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert not Conversation.objects.exists()


def test_programs_are_refused_what_would_change_the_answers_form(world):
    name = f"{bundled_ensure().team.slug}/{bundled_ensure().name}"
    for more in (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"logprobs": True},
        {"functions": [{"name": "f"}]},
        {"stop": ["a\x00"]},
        {"stop": "\ud800"},
        {"messages": [{"role": "user", "content": None}]},
    ):
        refused = _post(world, model=name, **more)
        assert refused.status_code == 400, more
        assert next(iter(more)) in refused.json()["error"]["param"], more
    taken = CompletionIn.model_validate(
        {
            "model": name,
            "messages": [{"role": "assistant", "content": None}, {"role": "user", "content": "One?"}],
            **dict.fromkeys(("n", "stream", "tools", "logprobs", "stop", "seed", "response_format")),
            "tool_choice": "none",
        }
    )
    assert taken.unsupported == "" and taken.messages[0].text == ""
    assert CompletionIn.model_validate({"model": name, "messages": [], "response_format": {"type": "text"}} | {
        "messages": [{"role": "user", "content": "One?"}]}).unsupported == ""  # fmt: skip


def _post(world, **body):
    said = {"messages": [{"role": "user", "content": "One?"}], **body}
    headers = {"Authorization": f"Bearer {token(world.by_role[Role.OWNER], world.team, Role.OWNER)}"}
    return Client().post("/v1/chat/completions", json.dumps(said), "application/json", headers=headers)


@pytest.fixture
def committed(transactional_db):
    cache.clear()
    return World().built()


@pytest.mark.parametrize("second", ["Step 0: Go.", "Step 0: Stay.\n\nStep 1: The answer is 4."])
@pytest.mark.django_db(transaction=True)
def test_a_stream_whose_beginning_was_told_ends_with_an_error_when_another_answer_comes(committed, second):
    message = asked(committed.team, "One?")
    first = "Step 0: Go.\n\nStep 1: The"
    (claimed,) = turns.turns_claim(worker="w", most=1)
    turns.turns_write(progress=[(message.pk, claimed.attempt, Progress(first, 3, [], []))])

    def begun_anew():
        turns.turn_put_back(turn=message.pk, attempt=claimed.attempt)
        (again,) = turns.turns_claim(worker="w", most=1)
        turns.turn_end(turn=message.pk, attempt=again.attempt, state=State.DONE, progress=Progress(second, 9, [], []))

    async def play():
        shape = openai_answers.Shape("id", 0, "model", False, False)
        stream = openai_answers.Stream(message.conversation_id, [message.pk], shape)
        lines = []
        async with asyncio.timeout(30):
            async for line in stream.rest():
                lines.append(line.decode())
                if "Step 1: The" in lines[-1]:
                    await database_sync_to_async(begun_anew)()
        return lines

    lines = async_to_sync(play)()
    assert '"begun_anew"' in lines[-1] and not any("[DONE]" in line for line in lines)
