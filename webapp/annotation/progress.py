"""How far queues are: figures for lists, for a queue's page, and for the person who judges."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Exists, F, Max, OuterRef, Q, Sum

from webapp.accounts.actors import Actor
from webapp.annotation.models import (
    AnnotationQueue,
    Assignment,
    Instructions,
    Judgement,
    QueueItem,
    QueueMember,
)
from webapp.annotation.places import NOT_AGAIN
from webapp.annotation.work import rater_of

State = Assignment.State


@dataclass(frozen=True, slots=True)
class QueueProgress:
    """A queue in figures. Control items are counted apart, withdrawn items not at all."""

    items: int = 0
    completed: int = 0
    untouched: int = 0
    judgements: int = 0
    """People times items, on items that are no control items."""
    wanted: int = 0
    """Judgements wanted in all; more than wanted of one item are not counted twice."""
    controls: int = 0
    locked: int = 0
    """Items at hand with somebody now."""

    @property
    def share(self) -> float:
        """Of the wanted judgements, in [0, 1]."""
        return min(1.0, self.judgements / self.wanted) if self.wanted else 0.0


@dataclass(frozen=True, slots=True)
class PersonProgress:
    """One rater in a queue."""

    rater: str
    name: str
    judged: int
    locked: int
    skipped: int
    seconds: float | None
    """Mean time for an item; None: not measured."""
    last: datetime | None


@dataclass(frozen=True, slots=True)
class MyProgress:
    """A queue as one of its annotators sees it: nothing of what items keep back, control items counted like others."""

    judged: int
    left: int
    """Items that could still be given to this person now; at most `limit_left`."""
    limit_left: int | None
    instructions: int
    """Number of the newest version."""
    instructions_seen: int
    may_judge: bool
    """Named, where only named people may judge, and the queue is open."""


def queues_progress(*, queues: Collection[UUID]) -> dict[UUID, QueueProgress]:
    """Of several queues, in two queries."""
    plain = Q(is_control=False)
    counted = (
        QueueItem.objects.filter(queue__in=queues, withdrawn=None)
        .order_by()
        .values("queue")
        .annotate(
            n=Count("pk", filter=plain),
            done=Count("pk", filter=plain & Q(judged__gte=F("wanted"))),
            untouched=Count("pk", filter=plain & Q(judged=0)),
            over=Sum(F("judged") - F("wanted"), filter=plain & Q(judged__gt=F("wanted"))),
            judged=Sum("judged", filter=plain),
            wanted=Sum("wanted", filter=plain),
            controls=Count("pk", filter=Q(is_control=True)),
        )
    )
    locks = Assignment.objects.filter(queue__in=queues, state=State.LOCKED).order_by().values("queue")
    locked = {row["queue"]: row["n"] for row in locks.annotate(n=Count("pk"))}
    found = {
        row["queue"]: QueueProgress(
            items=row["n"],
            completed=row["done"],
            untouched=row["untouched"],
            judgements=(row["judged"] or 0) - (row["over"] or 0),
            wanted=row["wanted"] or 0,
            controls=row["controls"],
            locked=locked.get(row["queue"], 0),
        )
        for row in counted
    }
    return {pk: found.get(pk, QueueProgress()) for pk in queues}


def people_progress(*, queue: AnnotationQueue) -> list[PersonProgress]:
    """Everybody who has or had something of the queue, most judged first; for reviewers."""
    rows = (
        Assignment.objects.filter(queue=queue)
        .exclude(state=State.SEEN)
        .order_by()
        .values("rater")
        .annotate(
            name=Max("rater_name"),
            done=Count("pk", filter=Q(state=State.JUDGED)),
            held=Count("pk", filter=Q(state=State.LOCKED)),
            skipped=Count("pk", filter=Q(state=State.SKIPPED)),
            last=Max("judged"),
        )
    )
    timed = (
        Judgement.objects.filter(queue=queue, position=0, round=F("assignment__blind_round"), seconds__isnull=False)
        .order_by()
        .values("rater")
        .annotate(total=Sum("seconds"), n=Count("pk"))
    )
    speed = {row["rater"]: row["total"] / row["n"] for row in timed}
    found = [
        PersonProgress(
            row["rater"], row["name"], row["done"], row["held"], row["skipped"], speed.get(row["rater"]), row["last"]
        )
        for row in rows
    ]
    return sorted(found, key=lambda each: (-each.judged, each.name))


def my_progress(*, actor: Actor, queues: Collection[AnnotationQueue]) -> dict[UUID, MyProgress]:
    """How far this person is in each of these queues, in four queries."""
    rater, ids = rater_of(actor), [queue.pk for queue in queues]
    mine = Assignment.objects.filter(queue__in=ids, rater=rater).order_by().values("queue")
    had = {
        row["queue"]: row
        for row in mine.annotate(
            judged=Count("pk", filter=Q(state=State.JUDGED)), held=Count("pk", filter=Q(state=State.LOCKED))
        )
    }
    not_again = Assignment.objects.filter(item=OuterRef("pk"), rater=rater, state__in=NOT_AGAIN)
    free = QueueItem.objects.filter(~Exists(not_again), queue__in=ids, is_free=True, withdrawn=None)
    left = {row["queue"]: row["n"] for row in free.order_by().values("queue").annotate(n=Count("pk"))}
    newest = dict(
        Instructions.objects.filter(queue__in=ids).order_by().values_list("queue").annotate(newest=Max("number"))
    )
    members = {row.queue_id: row for row in QueueMember.objects.filter(queue__in=ids, user=actor.user)}
    found = {}
    for queue in queues:
        counts, member = had.get(queue.pk, {"judged": 0, "held": 0}), members.get(queue.pk)
        limit = None if queue.per_person is None else max(0, queue.per_person - counts["judged"])
        more = left.get(queue.pk, 0) + counts["held"]
        named = member is not None and member.is_named
        found[queue.pk] = MyProgress(
            judged=counts["judged"],
            left=more if limit is None else min(more, limit),
            limit_left=limit,
            instructions=newest.get(queue.pk, 0),
            instructions_seen=member.instructions_seen if member else 0,
            may_judge=queue.state == AnnotationQueue.State.OPEN and (named or not queue.named_only),
        )
    return found
