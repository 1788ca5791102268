"""Conversations: branches, refusals, who reads them, how long they are kept, and that what is written is inert."""

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from meds3core.config.chat import LONGEST_TEXT, ChatConfig
from meds3core.errors import ContextOverflow
from tests.chatting import asked, conversation
from tests.web.people import signed_in
from webapp.accounts.actors import Actor
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.chat import services, turns
from webapp.chat.keeping import conversations_expire
from webapp.chat.markdown import LONGEST, rendered
from webapp.chat.models import Conversation, Message, State
from webapp.chat.selectors import branch_of
from webapp.chat.texts import written
from webapp.chat.turns import Progress
from webapp.registry.bundled import bundled_ensure

MARKER = "zebrastripes77"
EVIL = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "![picture](https://elsewhere.example/x.png)",
    "[click](javascript:alert(1)) [data](data:text/html,x) [good](https://good.example/a)",
    "<a href='javascript:alert(1)' style='x' onclick=y>z</a>",
    "[x]: javascript:alert(1)\n\n[x]",
    "\u202egnp.exe \u0000\u0007\u001b[31m",
    "מה המינון?",
    "`<b>` and\n\n```html\n<iframe src=x>\n```",
]


def answer(message: Message, text: str = "Step 0: Go.\n\nStep 1: The answer is 3.", **more) -> Message:
    """Play the worker."""
    turns.turns_claim(worker="w", most=99)
    message.refresh_from_db()
    middle = text.find("\n\n")
    steps = [[0, middle, 0.9], [middle + 2, len(text), 0.3]] if middle > 0 else []
    text = written(text)
    progress = Progress(text, 3, steps, more.pop("candidates", []))
    assert turns.turn_end(turn=message.pk, attempt=message.attempt, state=State.DONE, progress=progress, **more)
    message.refresh_from_db()
    return message


def test_a_conversation_branches_and_every_branch_is_kept(world):
    first = answer(asked(world.team, "One?"))
    held = first.conversation
    assert Conversation.objects.get(pk=held.pk).title == "One?"
    second = answer(services.turn_ask(conversation=held, text="Two?", parent=first))
    other = answer(services.turn_again(conversation=held, message=first), "Freely said.")
    held.refresh_from_db()
    shown = branch_of(conversation=held)
    assert [turn.message.text for turn in shown] == ["One?", "Freely said."]
    assert (shown[-1].place, shown[-1].before, shown[-1].after) == (2, first.pk, None)
    services.branch_choose(conversation=held, message=first)
    held.refresh_from_db()
    assert branch_of(conversation=held)[-1].message == second
    edited = services.turn_ask(conversation=held, text="Another one?", parent=None)
    assert edited.parent.parent is None and Message.objects.filter(conversation=held).count() == 7
    assert other.config["seed"] is not None


def test_what_cannot_be_asked(world):
    held = conversation(world.team)
    for text in ("", "  \n", "x" * (LONGEST_TEXT + 1)):
        with pytest.raises(services.ChatError):
            services.turn_ask(conversation=held, text=text)
    waiting = services.turn_ask(conversation=held, text="One?")
    with pytest.raises(services.ChatError, match="still answering"):
        services.turn_ask(conversation=held, text="Two?", parent=waiting)
    with pytest.raises(services.ChatError, match="process reward model"):
        conversation(world.team, config=ChatConfig(way="best-of-n"))
    Conversation.objects.filter(pk=held.pk).update(policy=None)
    held.refresh_from_db()
    with pytest.raises(services.ChatError, match="deleted"):
        services.turn_ask(conversation=held, text="Three?")


def test_what_the_model_cannot_read_is_told_before_it_is_sent(world):
    held = conversation(world.team)
    with pytest.raises(ContextOverflow, match="tokens"):
        services.turn_ask(conversation=held, text="word " * 15_000)
    assert not Message.objects.exists()
    client = signed_in(world.by_role[Role.OWNER])
    url = f"/t/{world.team.slug}/chat/{held.pk}/say/"
    told = client.post(url, {"text": "word " * 15_000}, headers={"HX-Request": "true"})
    assert "too long for" in told.text and "X-Chat-Asked" not in told
    assert "X-Chat-Asked" in client.post(url, {"text": "word"}, headers={"HX-Request": "true"})


def test_an_attempt_that_is_over_writes_nothing(world, settings):
    message = asked(world.team, "One?")
    (mine,) = turns.turns_claim(worker="a", most=9)
    assert not turns.turns_claim(worker="b", most=9)
    assert turns.leases_reclaim() == 0
    assert turns.leases_reclaim(worker="a") == 1, "an earlier life of the same worker"
    (again,) = turns.turns_claim(worker="b", most=9)
    assert again.attempt == mine.attempt + 1 and again.config.seed == mine.config.seed
    late = Progress("late", 1, [], [])
    turns.turns_write(progress=[(mine.id, mine.attempt, late)])
    assert not turns.turn_end(turn=mine.id, attempt=mine.attempt, state=State.DONE, progress=late)
    message.refresh_from_db()
    assert (message.state, message.text, message.failures) == (State.ANSWERING, "", 1)
    for _ in range(2):
        assert turns.leases_reclaim(worker="b") == 1
        turns.turns_claim(worker="b", most=9)
    message.refresh_from_db()
    assert message.state == State.FAILED and "vanished" in message.error_message


def test_stopping_what_waits_and_what_is_being_answered(world):
    waiting = asked(world.team, "One?")
    services.turn_stop(message=waiting)
    waiting.refresh_from_db()
    assert waiting.state == State.STOPPED and not turns.turns_claim(worker="a", most=9)
    begun = asked(world.team, "Two?")
    turns.turns_claim(worker="a", most=9)
    assert turns.turns_to_stop(ids=[begun.pk]) == set()
    services.turn_stop(message=begun)
    assert turns.turns_to_stop(ids=[begun.pk]) == {begun.pk}
    services.conversation_delete(actor=Actor(begun.conversation.owner), conversation=begun.conversation)
    assert turns.turns_to_stop(ids=[begun.pk]) == {begun.pk}


def test_one_reads_ones_own_and_what_was_shared(world):
    held = answer(asked(world.team, f"{MARKER}?")).conversation
    owner = signed_in(world.by_role[Role.OWNER])
    colleague = signed_in(world.by_role[Role.VIEWER])
    url = f"/t/{world.team.slug}/chat/{held.pk}/"
    assert owner.get(url).status_code == 200
    for path in (url, f"{url}thread/", f"{url}export.md", f"{url}export.json"):
        assert colleague.get(path).status_code == 404, path
    owner.post(f"{url}share/", {"shared": "1"})
    for path in (url, f"{url}thread/", f"{url}export.md", f"{url}export.json"):
        assert colleague.get(path).status_code == 200, path
    for what in ("say", "share", "delete", "rename", "settings"):
        assert colleague.post(f"{url}{what}/", {"text": "x"}).status_code == 404, what
    assert MARKER in colleague.post(f"/t/{world.team.slug}/chat/", {"words": MARKER, "shared": "1"}).text
    assert held.title not in colleague.get(f"/t/{world.team.slug}/chat/").text or not held.title
    assert signed_in(world.by_role[Role.ANNOTATOR]).get(url).status_code == 403
    assert owner.post(f"{url}delete/").status_code == 302
    assert not Message.objects.exists()
    told = json.dumps(list(AuditEntry.objects.values_list("subject", "details")), default=str)
    assert MARKER not in told and AuditEntry.objects.filter(verb="chat.deleted").exists()


def test_exports_hold_what_was_said(world):
    held = answer(asked(world.team, "One?")).conversation
    client = signed_in(world.by_role[Role.OWNER])
    url = f"/t/{world.team.slug}/chat/{held.pk}/export"
    text = client.get(f"{url}.md").text
    assert "## Question\n\nOne?" in text and "Step scores: 0.90, 0.30" in text
    found = client.get(f"{url}.json").json()
    assert [each["role"] for each in found["messages"]] == ["user", "assistant"]
    assert found["messages"][1]["steps"][1][2] == 0.3


@pytest.mark.parametrize("text", EVIL)
def test_whatever_is_written_is_inert(world, text):
    held = answer(asked(world.team, text), f"Step 0: {text}\n\nStep 1: {text}").conversation
    answer(services.turn_ask(conversation=held, text="x", parent=held.messages.latest("id")), text)
    page = signed_in(world.by_role[Role.OWNER]).get(f"/t/{world.team.slug}/chat/{held.pk}/").text
    thread = page[page.index('id="thread"') : page.index("chat-composer")]
    tags = re.findall(r"<[^>]*>", thread)
    assert not [tag for tag in tags if re.match(r"<(script|img|iframe|object|style)", tag)]
    assert not [tag for tag in tags if re.search(r"\son\w+=|(href|src)=[\"']?(javascript|data):", tag)]
    assert "elsewhere.example" not in rendered(text) or "<img" not in rendered(text)
    assert "\x00" not in page and "\x1b" not in page


def test_markdown_is_rendered_and_what_is_huge_is_shown_as_it_is():
    html = rendered("# Title\n\n**bold** [link](https://a.example)\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    assert "<h4>Title</h4>" in html and "<strong>bold</strong>" in html and "<td>1</td>" in html
    assert 'href="https://a.example" rel="noopener noreferrer nofollow"' in html
    assert rendered("*" * (LONGEST + 1)).startswith("<pre")
    assert rendered("[" * 20_000)


def test_conversations_are_forgotten_when_their_time_is_over(world, settings):
    kept = conversation(world.team)
    Conversation.objects.update(touched=timezone.now() - timedelta(days=10))
    assert conversations_expire() == 0
    settings.CHAT_DAYS = 20
    assert conversations_expire() == 0
    owner = signed_in(world.by_role[Role.OWNER])
    assert owner.post(f"/t/{world.team.slug}/chat/retention/", {"days": "9"}).status_code == 302
    assert signed_in(world.by_role[Role.MANAGER]).post(f"/t/{world.team.slug}/chat/retention/").status_code == 403
    services.turn_ask(conversation=conversation(world.team), text="New")
    assert conversations_expire() == 1
    assert not Conversation.objects.filter(pk=kept.pk).exists() and Conversation.objects.count() == 1


def test_the_list_is_searched_without_the_words_in_an_address(world, django_assert_max_num_queries):
    for number in range(12):
        answer(asked(world.team, f"{MARKER} {number}?"))
    client = signed_in(world.by_role[Role.OWNER])
    with django_assert_max_num_queries(16):
        page = client.get(f"/t/{world.team.slug}/chat/").text
    assert page.count("chat-title") == 12
    found = client.post(f"/t/{world.team.slug}/chat/", {"words": f"{MARKER} 7"})
    assert found.text.count("chat-title") == 1
    nothing = client.post(f"/t/{world.team.slug}/chat/", {"words": "absent"})
    assert "Nothing that you said or read" in nothing.text


def test_a_turn_that_cannot_be_read_fails_by_itself(world):
    broken, fine = asked(world.team, "One?"), asked(world.team, "Two?")
    Message.objects.filter(pk=broken.pk).update(config={"way": MARKER})
    assert [each.id for each in turns.turns_claim(worker="w", most=9)] == [fine.pk]
    broken.refresh_from_db()
    assert (broken.state, broken.error_code) == (State.FAILED, "chat-settings") and MARKER not in broken.error_message


@pytest.mark.parametrize(
    ("said", "sought"),
    [
        ("Wo ist der ärzte-plan?", "ÄRZTE"),
        ("ΌΛΑ ΚΑΛΆ;", "όλα καλά"),
        ("Die Straße", "STRASSE"),
        ("100% sure_ly", "0% SURE_"),
    ],
)
def test_search_knows_no_case_in_any_script(world, said, sought):
    in_question = asked(world.team, said).conversation
    in_answer = answer(asked(world.team, "And?"), f"Step 0: {said}").conversation
    in_title = conversation(world.team, title=said)
    other = answer(asked(world.team, "100 of them surely, Arzte."))
    client = signed_in(world.by_role[Role.OWNER])
    found = client.post(f"/t/{world.team.slug}/chat/", {"words": sought}).text
    assert all(str(each.pk) in found for each in (in_question, in_answer, in_title))
    assert str(other.conversation_id) not in found and found.count("chat-title") == 3
    nobody_elses = signed_in(world.by_role[Role.VIEWER]).post(f"/t/{world.team.slug}/chat/", {"words": sought})
    assert "chat-title" not in nobody_elses.text


def test_what_was_written_when_a_worker_vanished_is_found(world):
    message = asked(world.team, "One?")
    for _ in range(turns.MOST_FAILURES):
        (claimed,) = turns.turns_claim(worker="w", most=9)
        turns.turns_write(progress=[(message.pk, claimed.attempt, Progress(f"As far as {MARKER}", 1, [], []))])
        turns.leases_reclaim(worker="w")
    found = signed_in(world.by_role[Role.OWNER]).post(f"/t/{world.team.slug}/chat/", {"words": MARKER.upper()})
    assert found.text.count("chat-title") == 1


def test_exports_of_branches_hold_all_of_them_and_markdown_the_one_that_is_shown(world):
    first = answer(asked(world.team, "One?"), "The first way.")
    held = first.conversation
    second = answer(services.turn_again(conversation=held, message=first), "The second way.", chosen=1)
    follow_up = answer(services.turn_ask(conversation=held, text="And then?", parent=second), "So it goes on.")
    client = signed_in(world.by_role[Role.OWNER])
    url = f"/t/{world.team.slug}/chat/{held.pk}/export"
    whole = client.get(f"{url}.json").json()
    by_id = {each["id"]: each for each in whole["messages"]}
    assert {each["text"] for each in by_id.values()} == {
        "One?", "The first way.", "The second way.", "And then?", "So it goes on.",
    }  # fmt: skip
    assert whole["leaf"] == str(follow_up.pk)
    assert by_id[str(first.pk)]["parent"] == by_id[str(second.pk)]["parent"], "both answer the same"
    path, at = [], whole["leaf"]
    while at is not None:
        path.append(by_id[at]["text"])
        at = by_id[at]["parent"]
    assert path[::-1] == ["One?", "The second way.", "And then?", "So it goes on."]
    shown = client.get(f"{url}.md").text
    assert "The second way." in shown and "So it goes on." in shown and "The first way." not in shown
    client.post(f"/t/{world.team.slug}/chat/{held.pk}/messages/{first.pk}/show/")
    shown = client.get(f"{url}.md").text
    assert "The first way." in shown and "The second way." not in shown and "So it goes on." not in shown
    assert {each["id"] for each in client.get(f"{url}.json").json()["messages"]} == set(by_id)


def test_a_branch_that_goes_on_from_another_answer_says_from_where(world):
    first = answer(asked(world.team, "One?"))
    made = services.turn_branch(conversation=first.conversation, message=first, step=1)
    answer(made, "Step 0: Go.\n\nStep 1: Stay.")
    url = f"/t/{world.team.slug}/chat/{first.conversation_id}/export.json"
    found = {each["id"]: each for each in signed_in(world.by_role[Role.OWNER]).get(url).json()["messages"]}
    assert found[str(made.pk)]["begins_with"] == len("Step 0: Go.\n\n") and found[str(first.pk)]["begins_with"] == 0


def test_settings_that_are_refused_are_told_on_the_page_that_is_as_before(world):
    answer(asked(world.team, f"{MARKER}?"))
    client = signed_in(world.by_role[Role.OWNER])
    form = {"model": "", "way": "fast", "temperature": "9", "top_p": "1", "max_tokens": "9", "form": "auto"}
    refused = client.post(f"/t/{world.team.slug}/chat/new/", form)
    assert refused.status_code == 400 and MARKER in refused.text and "How long conversations are kept" in refused.text
    fine = form | {"model": f"model:{bundled_ensure().pk}", "temperature": "0"}
    best = client.post(f"/t/{world.team.slug}/chat/new/", fine | {"way": "best-of-n"})
    assert best.status_code == 400 and "process reward model" in best.text
    assert Conversation.objects.count() == 1
    made = client.post(f"/t/{world.team.slug}/chat/new/", fine)
    assert made.status_code == 302 and Conversation.objects.latest("pk").config["temperature"] == 0
