"""For how long conversations are kept: those that nobody goes on with, and those of people who left the team.

What one said in private is nobody else's to read, and a team's books are no place to leave it for ever. So the private
conversations and comparisons of somebody who is no longer of the team are deleted after `settings.CHAT_FORMER_DAYS`:
whoever comes back in time finds them again. What they shared is the team's, and stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Membership, Team
from webapp.chat.models import ChatRetention, Conversation
from webapp.chat.services import conversation_erase

API_HOURS = 1.0
"""What a program asked is kept for so long at most; usually it is forgotten as soon as it was answered."""
_AT_ONCE = 100


def retention_set(*, actor: Actor, team: Team, days: int | None) -> None:
    """For how long the team keeps conversations that nobody goes on with."""
    with transaction.atomic():
        ChatRetention.objects.update_or_create(team=team, defaults={"days": days})
        audit_write(actor=actor, verb="chat.retention", team=team, days=days)


def conversations_expire() -> int:
    """Forget what is kept for longer than its team, or the instance, wants; and programs' conversations."""
    limits = dict(ChatRetention.objects.exclude(days=None).values_list("team", "days"))
    now = timezone.now()
    asked = Conversation.objects.filter(door=Conversation.Door.API, touched__lt=now - timedelta(hours=API_HOURS))
    old = list(asked[:_AT_ONCE])
    pages = _of_people()  # a duel goes with either of its sides
    for team, days in limits.items():
        old += pages.filter(team=team, touched__lt=now - timedelta(days=days))[:_AT_ONCE]
    if settings.CHAT_DAYS:
        others = pages.exclude(team__in=limits).filter(touched__lt=now - timedelta(days=settings.CHAT_DAYS))
        old += others[:_AT_ONCE]
    return _erase(old)


# --- people who left ---------------------------------------------------------------------------------------------


def former_members_sweep() -> int:
    """Note whose owner has left the team, or came back; forget what nobody came back to in time."""
    people = set(_of_people().order_by().values_list("team", "owner").distinct())
    gone = people - set(Membership.objects.values_list("team", "user"))
    for team, owner in gone:
        _of_people().filter(team=team, owner=owner, left=None).update(left=Now())
    back = Membership.objects.filter(team=OuterRef("team"), user=OuterRef("owner"))
    _of_people().filter(Exists(back), left__isnull=False).update(left=None)
    since = timezone.now() - timedelta(days=settings.CHAT_FORMER_DAYS)
    late = _left_private().filter(Q(left__lte=since) | Q(owner=None))  # to a deleted account nobody comes back
    return _erase(late[:_AT_ONCE])


@dataclass(frozen=True)
class Left:
    """How much people who left a team have left behind in private. What it says is nobody's to read."""

    conversations: int
    comparisons: int
    people: int
    until: datetime
    """When the last of it is deleted."""


def left_behind(*, team: Team) -> Left | None:
    """Of this team; none where there is nothing."""
    duel = Q(door=Conversation.Door.DUEL)
    found = _left_private().filter(team=team).aggregate(
        conversations=Count("pk", filter=~duel),
        sides=Count("pk", filter=duel),
        people=Count("owner", distinct=True),
        newest=Max("left"),
    )  # fmt: skip
    if found["newest"] is None:
        return None
    until = found["newest"] + timedelta(days=settings.CHAT_FORMER_DAYS)
    return Left(found["conversations"], found["sides"] // 2, found["people"], until)


def left_behind_delete(*, actor: Actor, team: Team) -> int:
    """Delete it at once; gives how many conversations, sides of comparisons among them. What was shared stays."""
    back = Membership.objects.filter(team=OuterRef("team"), user=OuterRef("owner"))
    rows = _left_private().filter(~Exists(back), team=team)
    count = 0
    while erased := _erase(rows[:_AT_ONCE]):
        count += erased
    audit_write(actor=actor, verb="chat.left-deleted", team=team, conversations=count)
    return count


def _of_people() -> QuerySet[Conversation]:
    return Conversation.objects.exclude(door=Conversation.Door.API)


def _left_private() -> QuerySet[Conversation]:
    return _of_people().filter(left__isnull=False, shared=False)


def _erase(rows: Iterable[Any]) -> int:
    count = 0
    for row in rows:
        with transaction.atomic():
            conversation_erase(row)
        count += 1
    return count
