"""Places of items: which item a person could be given next, taking a place of it, giving it back."""

import random
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db.models import Case, Exists, F, OuterRef, QuerySet, Value, When
from django.db.models.functions import Now

from webapp.accounts.actors import Actor
from webapp.annotation.models import AnnotationQueue, Assignment, QueueItem
from webapp.annotation.rows import ONE_PLACE_LESS

LOCK = timedelta(minutes=10)
EVERYBODY = 1_000_000
"""`wanted` of a control item."""
_CHOICE = 8

State = Assignment.State
NOT_AGAIN = (State.LOCKED, State.JUDGED, State.SKIPPED, State.SEEN)
"""What became of an item that a person is not given again."""


def candidates_of(queue: AnnotationQueue, rater: str, given: int, holding: Collection[UUID]) -> list[UUID]:
    """Some free items that the person was never given, the best ones, in an order of chance."""
    had = Assignment.objects.filter(item=OuterRef("pk"), rater=rater, state__in=NOT_AGAIN)
    free = QueueItem.objects.filter(~Exists(had), queue=queue, is_free=True, taken__lt=F("wanted"), withdrawn=None)
    free = free.exclude(pk__in=list(holding))
    turn = random.Random(f"{queue.pk} {rater} {given}")
    controls = (True, False) if turn.random() < queue.control_share else (False, True)
    for is_control in controls:
        rows: QuerySet[QueueItem] = free.filter(is_control=is_control).order_by("-priority", "id")
        if found := list(rows.values_list("pk", flat=True)[:_CHOICE]):
            turn.shuffle(found)
            return found
    return []


def place_take(item_id: UUID) -> bool:
    """Take a place of an item, if there is one."""
    free = QueueItem.objects.filter(pk=item_id, taken__lt=F("wanted"), withdrawn=None)
    return bool(free.update(**ONE_PLACE_LESS))


def place_give_back(item_id: UUID) -> None:
    """Free a place of an item."""
    QueueItem.objects.filter(pk=item_id).update(
        taken=F("taken") - 1, is_free=Case(When(taken__lte=F("wanted"), then=Value(True)), default=Value(False))
    )


def item_lock(item_id: UUID, queue: AnnotationQueue, actor: Actor, rater: str) -> Assignment | None:
    """The item as the person's own; None where they judged or read it since the candidates were chosen."""
    assert actor.user is not None
    columns = {"state": State.LOCKED, "expires": Now() + LOCK, "pulled": Now()}
    mine = Assignment.objects.filter(item=item_id, rater=rater)
    if not mine.filter(state__in=(State.EXPIRED, State.RELEASED)).update(**columns):
        if mine.exists():
            return None
        Assignment.objects.create(
            team_id=queue.team_id,
            item_id=item_id,
            queue=queue,
            annotator=actor.user,
            rater=rater,
            rater_name=str(actor.user)[:150],
            **columns,
        )
    return assignment_whole(Assignment.objects.values_list("pk", flat=True).get(item=item_id, rater=rater))


def assignment_whole(pk: UUID) -> Assignment:
    """With item, queue and person."""
    return Assignment.objects.select_related("item", "queue", "annotator").get(pk=pk)
