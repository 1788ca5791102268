"""Two models side by side: both are asked, nobody is told which is which before a vote, and votes make a ranking."""

import json

import pytest

from meds3core.errors import ContextOverflow
from tests.chatting import duel, owner_of, rival
from tests.web.people import signed_in
from tests.web.test_chat import MARKER, answer
from tests.web.test_chat_answers import in_steps
from webapp.accounts.actors import Actor
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.chat import duels, turns
from webapp.chat.duels import Side, duel_ask, duel_create, duel_delete, duel_stop, duel_vote, ranking_of, rounds_of
from webapp.chat.keeping import conversations_expire
from webapp.chat.models import OPEN, Conversation, Duel, DuelVote, Message, State
from webapp.chat.services import ChatError
from webapp.chat.turns import Progress
from webapp.registry.bundled import bundled_ensure


def voted(held: Duel, verdict: str = "left", text: str = "One?") -> DuelVote:
    """A question, both answers, a vote."""
    for message in duel_ask(duel=held, text=text):
        answer(message)
    held.refresh_from_db()
    return duel_vote(actor=Actor(held.owner), duel=held, turn=len(rounds_of(held)) - 1, verdict=verdict)


def test_both_are_asked_and_each_reads_its_own_answers(world):
    held = duel(world.team)
    left, right = duel_ask(duel=held, text="One?")
    with pytest.raises(ChatError, match="still answering"):
        duel_ask(duel=held, text="Two?")
    with pytest.raises(ChatError, match="must be there"):
        duel_vote(actor=Actor(held.owner), duel=held, turn=0, verdict="left")
    answer(left, "From the left."), answer(right, "From the right.")
    second = duel_ask(duel=held, text="Two?")
    assert [message.parent.parent for message in second] == [left, right]
    duel_stop(duel=held)
    assert not Message.objects.filter(state__in=OPEN).exists()
    with pytest.raises(ChatError, match="was stopped"):
        duel_vote(actor=Actor(held.owner), duel=held, turn=1, verdict="left")
    page = signed_in(held.owner).get(f"/t/{world.team.slug}/chat/comparisons/{held.pk}/").text
    assert page.count("No vote:") == 1
    assert [one.question.text for one in rounds_of(held)] == ["One?", "Two?"]
    assert not signed_in(owner_of(world.team)).get(f"/t/{world.team.slug}/chat/").text.count("chat-title")


def test_a_blind_one_tells_nothing_before_the_vote(world):
    names = {str(bundled_ensure()), str(rival(world.team))}
    owner = signed_in(owner_of(world.team))
    held = duel(world.team)
    names |= {str(held.left.policy), str(held.right.policy), held.left.policy.name, held.right.policy.name}
    for message in duel_ask(duel=held, text=f"{MARKER}?"):
        in_steps(message)
    Message.objects.filter(state=State.DONE).update(generated_tokens=7)
    url = f"/t/{world.team.slug}/chat/comparisons/{held.pk}/"
    side = f"/t/{world.team.slug}/chat/{held.left_id}/"
    for path in (url, f"{url}rounds/"):
        page = owner.get(path).text
        thread = page[page.index('id="thread"') :]
        assert "tokens written" not in thread, "how many tells whose tokenizer it is"
        assert MARKER in thread and "Left model" in thread and "Right model" in thread
        assert not [name for name in names if name in thread] and "score" not in thread.replace(
            "scores of the steps", ""
        )
    for path in (side, f"{side}thread/", f"{side}export.json", f"{side}export.md"):
        assert owner.get(path).status_code == 404, "a side by itself would name its model"
    told = owner.post(f"{url}vote/", {"turn": "0", "verdict": "right"}, headers={"HX-Request": "true"}).text
    assert str(held.left.policy) in told and str(held.right.policy) in told and "score 0.20" in told
    vote = DuelVote.objects.get()
    assert vote.blind and (vote.left_name, vote.right_name) == (str(held.left.policy), str(held.right.policy))
    assert (
        "voted on these"
        in owner.post(f"{url}vote/", {"turn": "0", "verdict": "left"}, headers={"HX-Request": "true"}).text
    )
    assert not voted(held, "good", "Two?").blind
    for wrong in ({}, {"turn": "9", "verdict": "left"}, {"turn": "1", "verdict": "best"}):
        assert "alert-danger" in owner.post(f"{url}vote/", wrong, headers={"HX-Request": "true"}).text


def ended_as(message: Message, state: State, text: str = "Half an", **columns) -> None:
    """The worker says how it ended."""
    turns.turns_claim(worker="w", most=9)
    message.refresh_from_db()
    progress = Progress(text, 1, [], [])
    assert turns.turn_end(turn=message.pk, attempt=message.attempt, state=state, progress=progress, **columns)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("state", "text"), [(State.STOPPED, "Half an"), (State.FAILED, ""), (State.FAILED, "Half"), (State.DONE, " \n")]
)
def test_only_whole_answers_are_voted_on(world, side, state, text):
    held = duel(world.team)
    asked = duel_ask(duel=held, text="One?")
    ended_as(asked[side], state, text)
    with pytest.raises(ChatError, match="must be there"):
        duel_vote(actor=Actor(held.owner), duel=held, turn=0, verdict="left")
    ended_as(asked[1 - side], State.DONE, "A whole one.")
    url = f"/t/{world.team.slug}/chat/comparisons/{held.pk}/"
    owner = signed_in(held.owner)
    page = owner.get(url).text
    assert "No vote:" in page and 'name="verdict"' not in page
    refused = owner.post(f"{url}vote/", {"turn": "0", "verdict": "left"}, headers={"HX-Request": "true"})
    assert "says nothing of the models" in refused.text and "X-Chat-Asked" not in refused
    held.refresh_from_db()
    assert held.hides and not DuelVote.objects.exists(), "nor is anybody named by it"
    voted(held, "right", "Two?")
    assert DuelVote.objects.get().turn == 1, "of the next question one can"


def test_a_blind_one_quotes_no_error_and_counts_no_tokens(world):
    """What an engine says may name the model, and how many tokens it took whose tokenizer it is."""
    held = duel(world.team)
    name = str(held.left.policy)
    left, right = duel_ask(duel=held, text="One?")
    told = {"error_code": "engine-failed", "error_message": f"{name} is out of memory"}
    ended_as(left, State.FAILED, "", **told)
    figures = {"prompt_tokens": 12_345, "generated_tokens": 23_456, "scored_tokens": 34_567, "why": f"{name} says so"}
    some = [
        {"text": "A whole one.", "answer": "3", "score": 0.123},
        {"text": "Another.", "answer": None, "score": None},
    ]
    turns.turns_claim(worker="w", most=9)
    right.refresh_from_db()
    progress = Progress("A whole one.", 1, [[0, 12, 0.123]], some)
    turns.turn_end(turn=right.pk, attempt=right.attempt, state=State.DONE, progress=progress, chosen=0, **figures)
    hidden = ["out of memory", name, "12345", "23456", "34567", "0.12", "says so"]
    url = f"/t/{world.team.slug}/chat/comparisons/{held.pk}/"
    owner = signed_in(held.owner)
    for path in (url, f"{url}rounds/"):
        page = owner.get(path).text
        thread = page[page.index('id="thread"') :]
        assert "This model could not answer." in thread and "A whole one." in thread
        assert not [each for each in hidden if each in thread]
    too_long = owner.post(f"{url}say/", {"text": "word " * 15_000}, headers={"HX-Request": "true"}).text
    assert "one of the two" in too_long and name not in too_long[too_long.index('id="thread"') :]
    voted(held, "right", "Two?")
    page = owner.get(url).text
    assert all(each in page for each in hidden), "then all is told"


def test_the_lot_decides_which_side_one_is(world, monkeypatch):
    other = rival(world.team)
    sides = set()
    for lot in (0, 1):
        monkeypatch.setattr(duels.secrets, "randbelow", lambda _, lot=lot: lot)
        made = duel_create(
            actor=Actor(owner_of(world.team)), team=world.team, first=Side(other), second=Side(bundled_ensure())
        )
        sides.add(made.left.policy)
    assert sides == {other, bundled_ensure()}
    with pytest.raises(ChatError, match="two different"):
        duel_create(actor=Actor(owner_of(world.team)), team=world.team, first=Side(other), second=Side(other))


def test_what_is_too_long_for_one_does_not_tell_for_which(world):
    held = duel(world.team)
    with pytest.raises(ContextOverflow, match="one of the two"):
        duel_ask(duel=held, text="word " * 15_000)
    assert not Message.objects.exists()


def test_votes_make_a_ranking_and_outlive_what_was_said(world):
    held = duel(world.team, blind=False)
    assert str(held.left.policy) == str(bundled_ensure()), "not blind: in the order that was chosen"
    for verdict in ("left", "left", "good"):
        voted(held, verdict)
    blind = duel(world.team)
    first_is_left = blind.left.policy == bundled_ensure()
    voted(blind, "left" if first_is_left else "right")
    (winner, *_) = ranking_of(team=world.team, blind_only=False).models
    assert winner.name == str(bundled_ensure()) and (winner.wins, winner.ties, winner.losses) == (3, 1, 0)
    assert winner.strength.low < winner.strength.value < winner.strength.high
    (only, *_) = ranking_of(team=world.team, blind_only=True).models
    assert only.votes == 1
    owner = signed_in(owner_of(world.team))
    assert "Preferred to another one" in owner.get(f"/t/{world.team.slug}/chat/comparisons/?all=1").text
    duel_delete(actor=Actor(held.owner), duel=held)
    assert Duel.objects.count() == 1 and Conversation.objects.filter(door="duel").count() == 2
    assert ranking_of(team=world.team, blind_only=False).models[0].votes == 4
    told = json.dumps(list(AuditEntry.objects.values_list("subject", "details")), default=str)
    assert "One?" not in told


def test_one_persons_many_comparisons_are_one_voters(world):
    for _ in range(3):
        voted(duel(world.team, blind=False), "left")
    found = ranking_of(team=world.team, blind_only=False)
    assert (found.voters, found.has_intervals) == (1, False)
    owner = signed_in(owner_of(world.team))
    page = owner.get(f"/t/{world.team.slug}/chat/comparisons/?all=1").text
    assert "one person's" in page and "[" not in page[page.index("<tbody>") : page.index("</tbody>")]
    other = DuelVote.objects.earliest("pk")
    DuelVote.objects.filter(pk=other.pk).update(voter=world.by_role[Role.VIEWER])
    voted(duel(world.team, blind=False), "left")
    found = ranking_of(team=world.team, blind_only=False)
    assert found.voters == 2 and [one.strength.n for one in found.models if one.name == str(bundled_ensure())] == [2]
    assert "another 2 people" in owner.get(f"/t/{world.team.slug}/chat/comparisons/?all=1").text


def test_votes_of_a_deleted_account_stand_each_for_its_comparison(world):
    for _ in range(2):
        held = duel(world.team, blind=False)
        voted(held, "left"), voted(held, "left", "Two?")
    assert ranking_of(team=world.team, blind_only=False).voters == 1
    DuelVote.objects.update(voter=None)
    assert ranking_of(team=world.team, blind_only=False).voters == 2


def test_votes_are_read_once_for_the_ranking_of_them(world, django_assert_num_queries):
    wanted = {"team": world.team, "blind_only": False}
    for verdict in ("left", "right"):
        voted(duel(world.team, blind=False), verdict)
        with django_assert_num_queries(3):
            first = ranking_of(**wanted)
        with django_assert_num_queries(2):
            assert ranking_of(**wanted) == first
    assert sum(one.votes for one in first.models) == 4, "the second vote was not overlooked"
    assert ranking_of(team=world.team, blind_only=True).models == ()
    assert ranking_of(team=world.other_team, blind_only=False).models == (), "another team's votes are not its"


def test_comparisons_are_ones_own_and_are_forgotten_in_time(world, settings):
    held = duel(world.team)
    url = f"/t/{world.team.slug}/chat/comparisons/{held.pk}/"
    colleague = signed_in(world.by_role[Role.VIEWER])
    assert colleague.get(url).status_code == 404 and colleague.post(f"{url}say/", {"text": "x"}).status_code == 404
    assert colleague.get(f"/t/{world.team.slug}/chat/comparisons/").status_code == 200
    settings.CHAT_DAYS = 3
    assert conversations_expire() == 0
    from datetime import timedelta

    from django.utils import timezone

    Conversation.objects.update(touched=timezone.now() - timedelta(days=4))
    assert conversations_expire() == 2 and not Duel.objects.exists()


def test_a_comparison_is_begun_and_asked_on_pages(world, django_assert_max_num_queries):
    owner = signed_in(owner_of(world.team))
    first, second = bundled_ensure(), rival(world.team)
    form = {
        "model": f"model:{first.pk}", "other": f"model:{second.pk}", "way": "fast", "temperature": "0", "top_p": "1",
        "max_tokens": "50", "form": "auto", "blind": "on",
    }  # fmt: skip
    made = owner.post(f"/t/{world.team.slug}/chat/comparisons/new/", form)
    assert made.status_code == 302 and Duel.objects.get().blind
    same = owner.post(f"/t/{world.team.slug}/chat/comparisons/new/", form | {"other": form["model"]})
    assert same.status_code == 400 and "two different" in same.text
    asked = owner.post(f"{made.url}say/", {"text": "What?"}, headers={"HX-Request": "true"})
    assert asked["X-Chat-Asked"] == "1" and asked.text.count("data-live") == 2
    assert "X-Chat-Asked" not in owner.post(f"{made.url}say/", {"text": " "}, headers={"HX-Request": "true"})
    for _ in range(12):
        duel(world.team)
    with django_assert_max_num_queries(16):
        assert owner.get(f"/t/{world.team.slug}/chat/comparisons/").text.count("chat-title") == 13
