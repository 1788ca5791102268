"""For how long conversations are kept: after somebody left the team, and when nobody goes on with them."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.chatting import asked, conversation, duel, owner_of
from tests.web.people import signed_in
from tests.web.test_chat import MARKER, answer
from tests.web.test_duels import voted
from webapp.accounts.actors import SYSTEM
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.accounts.services import membership_end, membership_set
from webapp.chat.keeping import conversations_expire, former_members_sweep, left_behind
from webapp.chat.models import Conversation, Duel, DuelVote, Message, Rating
from webapp.chat.services import conversation_share, rating_set


@pytest.fixture
def leaver(world):
    """Somebody who said something in private, shared something, compared two models and rated, and then left."""
    user = world.by_role[Role.MANAGER]
    answer(asked(world.team, f"{MARKER} in private?", user=user))
    shared = answer(asked(world.team, "For all to read?", user=user))
    conversation_share(actor=SYSTEM, conversation=shared.conversation, shared=True)
    rating_set(user=user, message=shared, thumb=1, comment="fine")
    held = duel(world.team)
    Conversation.objects.filter(pk__in=(held.left_id, held.right_id)).update(owner=user)
    Duel.objects.filter(pk=held.pk).update(owner=user)
    held.refresh_from_db()
    voted(held, "left")
    answer(asked(world.team, "Of somebody who stays?"))
    membership_end(actor=SYSTEM, team=world.team, user=user)
    return user


def days_later(days: int) -> None:
    """As if they had left so much earlier."""
    for row in Conversation.objects.exclude(left=None):
        Conversation.objects.filter(pk=row.pk).update(left=row.left - timedelta(days=days))


def titles() -> set[str]:
    return set(Conversation.objects.filter(door=Conversation.Door.PAGE).values_list("title", flat=True))


def test_what_former_members_said_in_private_goes_after_a_while(world, leaver, settings):
    settings.CHAT_FORMER_DAYS = 30
    assert former_members_sweep() == 0
    left = left_behind(team=world.team)
    assert (left.conversations, left.comparisons, left.people) == (1, 1, 1)
    assert timedelta(days=29) < left.until - timezone.now() <= timedelta(days=30)
    days_later(29)
    assert former_members_sweep() == 0 and len(titles()) == 3
    days_later(1)
    assert former_members_sweep() == 3, "a conversation and both sides of the comparison"
    assert titles() == {"For all to read?", "Of somebody who stays?"} and left_behind(team=world.team) is None
    assert not Duel.objects.exists() and DuelVote.objects.get().voter == leaver, "votes hold no text and stay"
    assert Rating.objects.get().comment == "fine", "said of what is shared"
    assert not Message.objects.filter(text__contains=MARKER).exists()


def test_whoever_comes_back_in_time_finds_it_again(world, leaver):
    former_members_sweep()
    membership_set(actor=SYSTEM, team=world.team, user=leaver, role=Role.VIEWER)
    days_later(300)
    assert former_members_sweep() == 0 and not Conversation.objects.exclude(left=None).exists()
    assert MARKER in signed_in(leaver).get(f"/t/{world.team.slug}/chat/").text


def test_nobody_reads_it_meanwhile(world, leaver, client):
    former_members_sweep()
    private = Conversation.objects.get(title__contains=MARKER)
    url = f"/t/{world.team.slug}/chat/{private.pk}/"
    for reader in (owner_of(world.team), world.by_role[Role.VIEWER], leaver, world.other_owner, world.operator):
        browser = signed_in(reader)
        for path in (url, f"{url}thread/", f"{url}export.md", f"{url}export.json"):
            assert browser.get(path).status_code == 404, (reader, path)
        assert browser.post(f"{url}delete/").status_code == 404, reader
    page = signed_in(owner_of(world.team)).get(f"/t/{world.team.slug}/chat/").text
    assert "1 conversation and 1 comparison of 1 person" in page and MARKER not in page
    assert "left behind" not in signed_in(world.by_role[Role.VIEWER]).get(f"/t/{world.team.slug}/chat/").text


def test_an_owner_of_the_team_deletes_it_at_once(world, leaver):
    former_members_sweep()
    url = f"/t/{world.team.slug}/chat/left-behind/delete/"
    assert signed_in(world.by_role[Role.VIEWER]).post(url).status_code == 403
    assert signed_in(world.other_owner).post(url).status_code == 404
    assert signed_in(world.other_owner).post(url.replace("ward-7", "ward-8")).status_code == 302
    assert len(titles()) == 3, "another team's owner deletes nothing here"
    assert signed_in(owner_of(world.team)).post(url).status_code == 302
    assert titles() == {"For all to read?", "Of somebody who stays?"} and not Duel.objects.exists()
    entry = AuditEntry.objects.get(verb="chat.left-deleted", team=world.team)
    assert entry.details["conversations"] == 3 and MARKER not in json.dumps(entry.details)


def test_what_was_shared_stays_readable_and_an_owner_may_delete_it(world, leaver):
    former_members_sweep()
    shared = Conversation.objects.get(shared=True)
    url = f"/t/{world.team.slug}/chat/{shared.pk}/"
    reader, owner = signed_in(world.by_role[Role.VIEWER]), signed_in(owner_of(world.team))
    assert f"has left {world.team}" in reader.get(url).text and "delete-chat" not in reader.get(url).text
    assert reader.post(f"{url}delete/").status_code == 404
    stays = Conversation.objects.get(title="Of somebody who stays?")
    Conversation.objects.filter(pk=stays.pk).update(shared=True, owner=world.by_role[Role.VIEWER])
    there = f"/t/{world.team.slug}/chat/{stays.pk}/"
    assert owner.get(there).status_code == 200 and owner.post(f"{there}delete/").status_code == 404, "not theirs"
    leaver.delete()
    shared.refresh_from_db()
    assert shared.owner is None and "somebody who left" in reader.get(url).text
    assert "somebody who left" in reader.get(f"/t/{world.team.slug}/chat/?shared=1").text
    assert owner.post(f"{url}delete/").status_code == 302 and not Conversation.objects.filter(pk=shared.pk).exists()


def test_what_a_deleted_account_said_in_private_goes_with_the_next_sweep(world, leaver):
    leaver.delete()
    assert former_members_sweep() == 3
    assert titles() == {"For all to read?", "Of somebody who stays?"}
    assert DuelVote.objects.get().voter is None and not Duel.objects.exists()


def test_teams_and_the_instance_keep_for_as_long_as_they_say(world, settings):
    settings.CHAT_DAYS = 20
    ours, theirs = conversation(world.team), conversation(world.other_team)
    owner = signed_in(owner_of(world.team))
    Conversation.objects.update(touched=timezone.now() - timedelta(days=21))
    owner.post(f"/t/{world.team.slug}/chat/retention/", {"days": "40"})
    assert conversations_expire() == 1 and Conversation.objects.get() == ours, "the team's word goes first"
    assert not Conversation.objects.filter(pk=theirs.pk).exists()
    owner.post(f"/t/{world.team.slug}/chat/retention/", {"days": ""})
    assert conversations_expire() == 1, "without a word of its own the instance's holds"
    for wrong in ("0", "-3", "many", "40000"):
        owner.post(f"/t/{world.team.slug}/chat/retention/", {"days": wrong}, follow=True)
    assert conversations_expire() == 0


def test_what_programs_asked_goes_within_the_hour_and_ends_what_is_being_answered(world, settings):
    kept = asked(world.team, "One?", door=Conversation.Door.API)
    Conversation.objects.update(touched=timezone.now() - timedelta(minutes=59))
    assert conversations_expire() == 0
    Conversation.objects.update(touched=timezone.now() - timedelta(minutes=61))
    assert conversations_expire() == 1 and not Message.objects.filter(pk=kept.pk).exists()


def test_a_conversation_of_many_branches_goes_whole(world, settings):
    from webapp.chat.services import turn_again

    first = answer(asked(world.team, "One?"))
    for _ in range(3):
        answer(turn_again(conversation=first.conversation, message=first))
    rating_set(user=owner_of(world.team), message=first, thumb=-1)
    settings.CHAT_DAYS = 1
    Conversation.objects.update(touched=timezone.now() - timedelta(days=2))
    assert conversations_expire() == 1
    assert not Message.objects.exists() and not Rating.objects.exists()
