"""The OpenAI-compatible API without a chat worker: who may call it, what it refuses, in which form."""

import json

import pytest
from django.test import Client

from tests.web.people import signed_in, token
from webapp.accounts.rules import Action, Role, actions_of
from webapp.chat.models import Conversation, Message, State
from webapp.chat.openai_parts import Sides, divided
from webapp.chat.turns import Progress, turn_end, turn_fail, turns_claim
from webapp.registry.bundled import bundled_ensure


@pytest.fixture
def policy(world):
    return bundled_ensure()


def bearer(world, role=Role.OWNER, scopes=None):
    return {"Authorization": f"Bearer {token(world.by_role[role], world.team, role, scopes)}"}


def post(headers, **body):
    said = {"model": "", "messages": [{"role": "user", "content": "What dose?"}], **body}
    return Client().post("/v1/chat/completions", json.dumps(said), "application/json", headers=headers)


def model_id(world):
    return Client().get("/v1/models", headers=bearer(world)).json()["data"][0]["id"]


def test_a_token_whose_role_may_talk_and_nothing_else(world, policy):
    for role in Role:
        answer = Client().get("/v1/models", headers=bearer(world, role))
        assert answer.status_code == (403 if role == Role.ANNOTATOR else 200), role
    narrow = actions_of(Role.OWNER) - {Action.CHAT_USE}
    for path in ("/v1/models", "/v1/models/a/b@c"):
        refused = Client().get(path, headers=bearer(world, scopes=narrow))
        assert refused.status_code == 403 and refused.json()["error"]["type"] == "permission_error"
        cookie = signed_in(world.by_role[Role.OWNER]).get(path)
        assert cookie.status_code == 401 and cookie.json()["error"]["code"] == "invalid_api_key"
        assert Client().get(path, headers={"Authorization": "Bearer meds3_x_y"}).status_code == 401
    assert post(bearer(world, scopes=narrow)).status_code == 403
    assert post({}).status_code == 401


def test_models_by_every_name_and_only_the_teams(world, policy):
    found = Client().get("/v1/models", headers=bearer(world)).json()
    assert found["object"] == "list" and all(each["object"] == "model" for each in found["data"])
    name = found["data"][0]["id"]
    assert name.endswith(f"/{policy.name}@v{policy.number}")
    for asked in (name, name.rpartition("@")[0], str(policy.pk)):
        assert Client().get(f"/v1/models/{asked}", headers=bearer(world)).json()["id"] == name
    missing = Client().get("/v1/models/ward-8/other@v1", headers=bearer(world))
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"


def test_what_is_refused_is_refused_in_openais_form_and_quotes_nothing(world, policy):
    headers, name = bearer(world), model_id(world)
    for body, status, param in (
        ({"model": "no/such@model"}, 404, "model"),
        ({"model": name, "messages": []}, 400, "messages"),
        ({"model": name, "messages": [{"role": "user", "content": [{"type": "image_url", "x": "zebra"}]}]}, 400, None),
        ({"model": name, "messages": [{"role": "assistant", "content": "zebra"}]}, 400, "messages"),
        ({"model": name, "temperature": 7}, 400, "temperature"),
        ({"model": name, "meds3": {"way": "best-of-n"}}, 400, None),
        ({"model": name, "meds3": {"zebra": 1}}, 400, None),
        ({"model": name, "stop": ["a", "b", "c", "d", "e"]}, 400, None),
        ({"model": name, "stop": ""}, 400, "stop"),
    ):
        answer = post(headers, **body)
        error = answer.json()["error"]
        assert answer.status_code == status, (body, error)
        assert set(error) == {"message", "type", "param", "code"} and "zebra" not in error["message"].replace(
            "meds3.zebra", ""
        )
        if param:
            assert param in (error["param"] or ""), error
    broken = Client().post("/v1/chat/completions", "{", "application/json", headers=headers)
    assert broken.status_code == 400 and "error" in broken.json()
    assert not Message.objects.filter(state=State.QUEUED).exists()


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_forgotten_when_it_was_given(world, policy, monkeypatch):
    """The worker's part is played here: what waits is answered while the request is open."""
    from webapp.chat import openai_answers

    seen = []

    async def answered(pk):
        await _play(seen)

    monkeypatch.setattr(openai_answers, "_end", answered)
    answer = post(bearer(world), model=model_id(world), n=2, seed=5, max_completion_tokens=50)
    found = answer.json()
    assert answer.status_code == 200, found
    assert found["object"] == "chat.completion" and len(found["choices"]) == 2
    message = found["choices"][0]["message"]
    assert message["reasoning"] == message["reasoning_content"] == "Step 0: Think.\n\nStep 1: "
    assert message["content"] == "The answer is 3."
    assert [step["score"] for step in message["meds3"]["steps"]] == [0.5, 0.9]
    assert found["usage"] == {"prompt_tokens": 7, "completion_tokens": 10, "total_tokens": 17}
    assert {each.config.seed for each in seen} == {5, 6} and {each.config.max_tokens for each in seen} == {50}
    assert not Conversation.objects.exists()


async def _play(seen):
    from channels.db import database_sync_to_async

    text = "Step 0: Think.\n\nStep 1: The answer is 3."
    progress = Progress(text, 1, [[0, 14, 0.5], [16, len(text), 0.9]], [])

    def play():
        for each in turns_claim(worker="w", most=10):
            seen.append(each)
            turn_end(
                turn=each.id, attempt=each.attempt, state=State.DONE, progress=progress, finish="end",
                prompt_tokens=7, generated_tokens=5,
            )  # fmt: skip

    await database_sync_to_async(play)()


@pytest.mark.django_db(transaction=True)
def test_a_prompt_beyond_the_context_is_told_as_clients_know_it(world, policy, monkeypatch):
    from channels.db import database_sync_to_async

    from webapp.chat import openai_answers

    def refuse():
        for each in turns_claim(worker="w", most=10):
            words = {"code": "context-overflow", "message": "The prompt has 9 tokens."}
            turn_fail(turn=each.id, attempt=each.attempt, progress=Progress("", 0, [], []), **words)

    async def refused(pk):
        await database_sync_to_async(refuse)()

    monkeypatch.setattr(openai_answers, "_end", refused)
    answer = post(bearer(world), model=model_id(world))
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_reasoning_and_answer_are_told_apart_without_losing_or_doubling_a_character(size):
    text = "Step 0: Go.\n\nStep 1: Is the answer The ans? So 3.\n\nStep 2: The answer is 3.\n\nStep 3: But wait, "
    text += "The answer is 4."
    sides = Sides(apart=True)
    pieces = [piece for at in range(0, len(text), size) for piece in sides.add(text[at : at + size])]
    pieces += sides.add_all()
    assert "".join(piece.text for piece in pieces) == text
    content = "".join(piece.text for piece in pieces if piece.side == "content")
    assert content == "The answer is 3.The answer is 4."
    assert divided(text, apart=False) == ("", text)
    assert divided("Freely said. The answer is 3.", apart=True) == ("", "Freely said. The answer is 3.")


def test_more_requests_than_a_minute_allows_are_told_as_clients_know_it(world, policy, settings):
    settings.API_REQUESTS_PER_MINUTE = 2
    headers = bearer(world)
    answers = [Client().get("/v1/models", headers=headers) for _ in range(5)]  # at most four, if the minute turns
    assert [answers[0].status_code, answers[-1].status_code] == [200, 429]
    error = answers[-1].json()["error"]
    assert error["code"] == "rate_limit_exceeded" and int(answers[-1]["Retry-After"]) > 0


def test_a_strategy_that_needs_a_reward_model_says_so(world, policy):
    headers, name = bearer(world), model_id(world)
    for way in ("best-of-n", "tree-search"):
        told = post(headers, model=name, meds3={"way": way})
        assert told.status_code == 400 and "reward model" in told.json()["error"]["message"]
