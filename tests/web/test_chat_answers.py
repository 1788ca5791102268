"""What a person does with an answer: branch from a step, continue, rate it, have a step judged."""

import pytest

from meds3core.config.chat import ChatConfig
from tests.chatting import asked, conversation, owner_of, tree_kept
from tests.web.people import signed_in
from tests.web.test_chat import MARKER, answer
from webapp.accounts.actors import Actor
from webapp.accounts.rules import Role
from webapp.annotation.models import QueueItem
from webapp.annotation.queues import QueueSettings, queue_create
from webapp.chat import services, turns
from webapp.chat.matching import scorer_for
from webapp.chat.models import Conversation, Message, Rating, State
from webapp.chat.showing import thread_of
from webapp.chat.turns import Progress
from webapp.registry.bundled import bundled_benchmark_ensure, bundled_ensure
from webapp.registry.models import ModelVersion
from workers.chatting.prompts import asked as prompt_of
from workers.chatting.prompts import pieces_of

STEPS = "Step 0: Go.\n\nStep 1: 2 and 2 are 5.\n\nStep 2: The answer is 5."
AT = [[0, 11, 0.9], [13, 35, 0.2], [37, 61, 0.6]]


def in_steps(message: Message, **more) -> Message:
    """Play the worker with an answer in three steps."""
    turns.turns_claim(worker="w", most=99)
    message.refresh_from_db()
    state = more.pop("state", State.DONE)
    turns.turn_end(turn=message.pk, attempt=message.attempt, state=state, progress=Progress(STEPS, 3, AT, []), **more)
    message.refresh_from_db()
    return message


def test_steps_stand_where_the_text_says():
    assert [STEPS[int(begin) : int(end)].partition(":")[0] for begin, end, _ in AT] == ["Step 0", "Step 1", "Step 2"]


def test_a_branch_keeps_the_steps_before_and_is_drawn_otherwise(world):
    first = in_steps(asked(world.team, "2 and 2?"))
    made = services.turn_branch(conversation=first.conversation, message=first, step=1)
    assert made.parent == first.parent and made.given == "Step 0: Go.\n\n"
    assert first.config["temperature"] == 0 and made.config["temperature"] == services.BRANCH_TEMPERATURE
    assert Conversation.objects.get(pk=first.conversation_id).config["temperature"] == 0, "of this turn only"
    assert made.config["seed"] != first.config["seed"]
    (claimed,) = turns.turns_claim(worker="w", most=9)
    request = prompt_of(claimed.history, claimed.config, "plain", claimed.given)
    assert request.prompt.pieces == ("Step 0: Go.\n\n", "Step 1:") and request.beginning == "Step 0: Go.\n\nStep 1:"
    for step in (0, 3):
        with pytest.raises(services.ChatError, match="no such step"):
            services.turn_branch(conversation=first.conversation, message=first, step=step)
    with pytest.raises(services.ChatError, match="still answering"):
        services.turn_branch(conversation=first.conversation, message=made, step=1)


def test_what_was_cut_off_goes_on_where_it_ended(world):
    held = conversation(world.team, config=ChatConfig(max_tokens=9))
    whole = in_steps(services.turn_ask(conversation=held, text="2 and 2?"), finish="end")
    with pytest.raises(services.ChatError, match="complete"):
        services.turn_continue(conversation=held, message=whole)
    for more in ({"finish": "length"}, {"state": State.STOPPED}):
        cut = in_steps(services.turn_again(conversation=held, message=whole), **more)
        made = services.turn_continue(conversation=held, message=cut)
        assert made.given == STEPS
        services.turn_stop(message=made)


@pytest.mark.parametrize("cut", [*range(1, len(STEPS) + 1, 7), len(STEPS)])
def test_pieces_are_the_text_again_wherever_it_was_cut(cut):
    pieces = pieces_of(STEPS[:cut])
    assert "".join(pieces).startswith(STEPS[:cut])
    assert all(piece.endswith("\n\n") for piece in pieces[:-1])
    added = "".join(pieces)[cut:]
    assert added in ("", "Step 1:", "Step 2:")


def test_what_is_written_freely_goes_on_as_it_is():
    request = prompt_of([("user", "Tell me.")], ChatConfig(), "plain", "Once upon")
    assert request.prompt.pieces == ("Once upon",) and request.beginning == "Once upon" and not request.in_steps


def test_thumbs_and_comments(world):
    first = in_steps(asked(world.team, "2 and 2?"))
    held = first.conversation
    url = f"/t/{world.team.slug}/chat/{held.pk}/messages/{first.pk}/rate/"
    owner, colleague = (signed_in(world.by_role[role]) for role in (Role.OWNER, Role.VIEWER))
    assert owner.post(url, {"thumb": "-1", "comment": f"{MARKER} wrong sum"}).status_code == 302
    assert colleague.post(url, {"thumb": "1"}).status_code == 404
    services.conversation_share(actor=Actor(held.owner), conversation=held, shared=True)
    assert colleague.post(url, {"thumb": "1", "comment": "fine"}).status_code == 302
    page = owner.get(f"/t/{world.team.slug}/chat/{held.pk}/").text
    assert f"{MARKER} wrong sum" in page and "fine" in page and 'aria-pressed="true"' in page
    exported = owner.get(f"/t/{world.team.slug}/chat/{held.pk}/export.json").json()["messages"][1]
    assert sorted(each["thumb"] for each in exported["ratings"]) == [-1, 1]
    owner.post(url, {"thumb": "1", "comment": ""})
    assert Rating.objects.get(user=world.by_role[Role.OWNER]).thumb == 1
    owner.post(url, {"thumb": "0"})
    assert Rating.objects.count() == 1
    for wrong in ({"thumb": "2"}, {}, {"thumb": "1", "comment": "x" * 2001}):
        owner.post(url, wrong)
    assert Rating.objects.count() == 1


def test_a_step_goes_to_people_as_a_copy_that_stays(world):
    queue = queue_create(actor=Actor(owner_of(world.team)), team=world.team, settings=QueueSettings(name="Said here"))
    first = in_steps(asked(world.team, "2 and 2?"))
    other = services.turn_again(conversation=first.conversation, message=first)
    (claimed,) = turns.turns_claim(worker="w", most=9)
    text = STEPS.replace("2 and 2 are 5", "2 and 2 are 4").replace("is 5", "is 4")
    progress = Progress(text, 1, AT, [])
    turns.turn_end(turn=other.pk, attempt=claimed.attempt, state=State.DONE, progress=progress)
    owner = signed_in(owner_of(world.team))
    url = f"/t/{world.team.slug}/chat/{first.conversation_id}/messages/{first.pk}/judge/"
    told = owner.post(url, {"step": "1", "queue": str(queue.pk)}, headers={"HX-Request": "true"}).text
    assert f"The step is in {queue.name}." in told
    item = QueueItem.objects.get(queue=queue, source_kind="chat")
    assert (item.shown["question"], item.shown["steps"]) == ("2 and 2?", ["2 and 2 are 5."])
    assert item.shown["prefix"] == ["Go."] and item.shown["siblings"] == ["2 and 2 are 4."]
    assert (item.rule, item.source, item.kept["origin"]["kind"]) == ("flagged", first.pk, "chat")
    assert item.kept["origin"]["policy"] == first.model_name
    again = owner.post(url, {"step": "1", "queue": str(queue.pk)}, headers={"HX-Request": "true"}).text
    assert "already in" in again and QueueItem.objects.filter(queue=queue, source_kind="chat").count() == 1
    for wrong in ({"step": "9", "queue": str(queue.pk)}, {"step": "1", "queue": "x"}, {}):
        assert "alert-danger" in owner.post(url, wrong, headers={"HX-Request": "true"}).text
    assert signed_in(world.by_role[Role.VIEWER]).post(url, {"step": "1"}).status_code == 403
    assert owner.get(f"/t/{world.team.slug}/queue-items/{item.pk}/").status_code == 200
    services.conversation_delete(actor=Actor(first.conversation.owner), conversation=first.conversation)
    assert QueueItem.objects.filter(pk=item.pk).exists()
    assert owner.get(f"/t/{world.team.slug}/queue-items/{item.pk}/").status_code == 200


def test_chat_on_a_models_page_leads_to_a_conversation_with_what_goes_with_it(world):
    policy, owner = bundled_ensure(), signed_in(owner_of(world.team))
    url = f"/t/{world.team.slug}/chat/with/{policy.pk}/"
    prm = ModelVersion.objects.create(team=world.team, name="Judge", number=1, kind="prm", ready=True)
    assert scorer_for(team=world.team, policy=policy) == prm
    first = owner.post(url)
    assert owner.post(url).url == first.url, "an empty one is gone on with"
    held = Conversation.objects.get()
    assert held.policy == policy and held.scorer == prm
    bundled_benchmark_ensure()
    assert owner.get(first.url).text.count("data-example") == 3
    services.turn_ask(conversation=held, text="What?")
    assert owner.post(url).url != first.url
    refused = owner.post(f"/t/{world.team.slug}/chat/with/{prm.pk}/")
    assert refused.url == f"/t/{world.team.slug}/models/{prm.pk}/"


def test_the_weakest_step_is_offered_first(world):
    first = in_steps(asked(world.team, "2 and 2?"))
    shown = thread_of(Conversation.objects.get(pk=first.conversation_id))[-1]
    assert [step.number for step in shown.branching] == [1, 2] and shown.weakest.number == 1
    assert not answer(asked(world.team, "x"), "Freely.").steps


def test_the_tree_of_an_answer_is_drawn_behind_the_conversations_wall(world):
    first = in_steps(asked(world.team, "2 and 2?"))
    owner, colleague = (signed_in(world.by_role[role]) for role in (Role.OWNER, Role.VIEWER))
    url = f"/t/{world.team.slug}/chat/{first.conversation_id}/messages/{first.pk}/tree/"
    thread = f"/t/{world.team.slug}/chat/{first.conversation_id}/thread/"
    assert owner.get(url).status_code == 404 and "Open the tree" not in owner.get(thread).text
    tree_kept(first)
    assert "Open the tree" in owner.get(thread).text
    page = owner.get(url).text
    assert "A worse thought." in page and f'data-drawing="{url}drawing/"' in page
    drawing = owner.get(f"{url}drawing/").json()
    assert drawing["parent"] == [-1, 0, 1, 1, 2] and drawing["scores"] == [] and drawing["state"] == "done"
    for path in (url, f"{url}drawing/"):
        assert colleague.get(path).status_code == 404
