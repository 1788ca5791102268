"""How far queues are: figures for lists, for a queue's page, and for the person who judges."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

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
    locks = Assignment.objects.filter(queue__in=queues, state=State.LOCKED).order_by().values("queue")
    return _figures(queues, {row["queue"]: row["n"] for row in locks.annotate(n=Count("pk"))})


def queue_progress(*, queue: AnnotationQueue, people: Collection[PersonProgress]) -> QueueProgress:
    """Of one queue whose people are known (`people_progress`), in one query."""
    return _figures([queue.pk], {queue.pk: sum(each.locked for each in people)})[queue.pk]


def _figures(queues: Collection[UUID], locked: Mapping[UUID, int]) -> dict[UUID, QueueProgress]:
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
    """How far this person is in each of these queues, in one query."""
    rater = rater_of(actor)
    in_it = {"queue": OuterRef("pk")}
    mine = Assignment.objects.filter(**in_it, rater=rater)
    not_again = Assignment.objects.filter(item=OuterRef("pk"), rater=rater, state__in=NOT_AGAIN)
    free = QueueItem.objects.filter(~Exists(not_again), **in_it, is_free=True, withdrawn=None)
    newest = Instructions.objects.filter(**in_it).order_by("-number").values("number")[:1]
    member = QueueMember.objects.filter(**in_it, user=actor.user)
    rows = AnnotationQueue.objects.filter(pk__in=[queue.pk for queue in queues]).values(
        "pk",
        judged=_counted(mine.filter(state=State.JUDGED)),
        held=_counted(mine.filter(state=State.LOCKED)),
        free=_counted(free),
        newest=Coalesce(Subquery(newest), 0),
        seen=Coalesce(Subquery(member.values("instructions_seen")[:1]), 0),
        named=Exists(member.filter(is_named=True)),
    )
    there = {row["pk"]: row for row in rows}
    found = {}
    for queue in queues:
        row = there.get(queue.pk)
        if row is None:  # deleted meanwhile
            found[queue.pk] = MyProgress(0, 0, None, 0, 0, may_judge=False)
            continue
        limit = None if queue.per_person is None else max(0, queue.per_person - row["judged"])
        more = row["free"] + row["held"]
        found[queue.pk] = MyProgress(
            judged=row["judged"],
            left=more if limit is None else min(more, limit),
            limit_left=limit,
            instructions=row["newest"],
            instructions_seen=row["seen"],
            may_judge=queue.state == AnnotationQueue.State.OPEN and (row["named"] or not queue.named_only),
        )
    return found


def _counted(rows: QuerySet[Any]) -> Coalesce:
    """How many of these rows there are for the queue of the outer query."""
    return Coalesce(Subquery(rows.order_by().values("queue").annotate(n=Count("pk")).values("n")), 0)
