"""Reads of review: which items people disagree about, and one item with everything that was said of it side by side.

What a list shows must not spoil what the reader may still judge blind: of such items the verdicts stay hidden until
they are opened (`webapp.annotation.review.item_seen`), and no list that tells them by what was said of them, or that
they are control items, has them. `blind` is the rater for whom that is so (`blind_of`); None: a reader who never
judges.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from meds3core.judgements.items import ItemShown, StepAnswer
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.annotation.models import Adjudication, AnnotationQueue, Assignment, Judgement, QueueItem
from webapp.annotation.selectors import item_history
from webapp.annotation.work import rater_of

FILTERS = {
    "disputed": "Disagreements",
    "decided": "Decided",
    "commented": "With comments",
    "judged": "Judged",
    "control": "Control items",
    "withdrawn": "Withdrawn",
    "all": "All",
}
TELLING = ("disputed", "decided", "commented", "control")
"""Filters that say something of an item by having it."""
MOST_QUEUES = 10
_OVER = (Assignment.State.JUDGED, Assignment.State.SEEN, Assignment.State.SKIPPED)
_OPEN = (Assignment.State.LOCKED, Assignment.State.EXPIRED, Assignment.State.RELEASED)
_DECIDED = Exists(Adjudication.objects.filter(item=OuterRef("pk")))


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one person says now, or decided, of one step."""

    name: str
    row: Any
    """A `Judgement` or an `Adjudication`."""


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """An item in the list."""

    item: QueueItem
    shown: ItemShown
    opinions: list[Opinion] = field(default_factory=list)
    decision: str = ""
    is_hidden: bool = False
    """The reader may still judge it: nothing of what others said is shown."""


@dataclass(frozen=True, slots=True)
class StepReview:
    """One step of an item: its text, what each person says of it now, what was decided, what was said before."""

    position: int
    number: int
    text: str
    opinions: list[Opinion]
    earlier: list[Opinion]
    decisions: list[Adjudication]
    known: StepAnswer | None

    @property
    def decision(self) -> Adjudication | None:
        """The one that holds."""
        return self.decisions[-1] if self.decisions else None

    @property
    def agrees(self) -> bool:
        """Whether everybody says the same."""
        return len({opinion.row.verdict for opinion in self.opinions}) <= 1


def blind_of(*, actor: Actor, role: str) -> str | None:
    """The rater who may yet judge blind, if somebody with this role judges at all."""
    return rater_of(actor) if may(role, Action.ITEM_JUDGE) else None


def items_readable(rows: QuerySet[QueueItem], *, blind: str | None) -> QuerySet[QueueItem]:
    """Those of these items that the reader is not given to judge any more: what was said of them may be shown."""
    if blind is None:
        return rows
    mine = Assignment.objects.filter(item=OuterRef("pk"), rater=blind)
    is_full = Q(withdrawn__isnull=False) | Q(judged__gte=F("wanted"))
    return rows.filter(Exists(mine.filter(state__in=_OVER)) | (is_full & ~Exists(mine.filter(state__in=_OPEN))))


def judgements_readable(rows: QuerySet[Judgement], *, blind: str | None) -> QuerySet[Judgement]:
    """Of these judgements the reader's own, and those of items that they are not given to judge any more."""
    if blind is None:
        return rows
    items = items_readable(QueueItem.objects.filter(pk=OuterRef("item")), blind=blind)
    return rows.filter(Q(rater=blind) | Exists(items))


def items_narrowed(*, queue: AnnotationQueue, which: str, blind: str | None) -> QuerySet[QueueItem]:
    """The items of a queue that a filter of `FILTERS` wants; disagreements that nobody has decided unless named."""
    rows = _narrowed(queue, which)
    return items_readable(rows, blind=blind) if which in TELLING else rows


def _narrowed(queue: AnnotationQueue, which: str) -> QuerySet[QueueItem]:
    rows = QueueItem.objects.filter(queue=queue).defer("kept")
    there = rows.filter(withdrawn=None)
    match which:
        case "decided":
            return there.filter(_DECIDED)
        case "commented":
            said = Judgement.objects.filter(item=OuterRef("pk")).exclude(comment="", correction="")
            return there.filter(Exists(said))
        case "judged":
            return there.filter(judged__gt=0)
        case "control":
            return there.filter(is_control=True)
        case "withdrawn":
            return rows.exclude(withdrawn=None)
        case "all":
            return there
    return there.filter(Exists(_disputed()), ~_DECIDED)


def _disputed() -> QuerySet[Judgement]:
    """What somebody says now of the outer item's step, of which somebody else says something else."""
    now = Judgement.objects.filter(round=F("assignment__current_round"))
    other = now.filter(~Q(verdict=OuterRef("verdict")), item=OuterRef("item"), position=OuterRef("position"))
    return now.filter(Exists(other), item=OuterRef("pk"))


def disputed_count(*, queue: AnnotationQueue, blind: str | None) -> int:
    """Items that people disagree about and nobody has decided."""
    return items_narrowed(queue=queue, which="disputed", blind=blind).count()


def next_disputed(*, queue: AnnotationQueue, after: UUID, blind: str | None) -> UUID | None:
    """The disagreement behind this item in the list, or the first one; never one that the reader may yet judge."""
    rows = items_narrowed(queue=queue, which="disputed", blind=blind).exclude(pk=after)
    ids = rows.order_by("-pk").values_list("pk", flat=True)
    return ids.filter(pk__lt=after).first() or ids.first()


def items_hidden(*, blind: str | None, items: Sequence[QueueItem]) -> set[UUID]:
    """Those of these items that the reader may yet judge blind; one query."""
    if blind is None:
        return set()
    ids = [item.pk for item in items]
    mine = dict(Assignment.objects.filter(item__in=ids, rater=blind).values_list("item", "state"))
    return {item.pk for item in items if _may_still_judge(item, mine.get(item.pk))}


def review_rows(*, items: Sequence[QueueItem], blind: str | None) -> list[ReviewRow]:
    """These items as the list shows them; three queries."""
    ids, hidden = [item.pk for item in items], items_hidden(blind=blind, items=items)
    said: dict[UUID, list[Opinion]] = {}
    now = Judgement.objects.filter(item__in=ids, round=F("assignment__current_round"))
    for row in now.select_related("assignment").order_by("position", "id"):
        said.setdefault(row.item_id, []).append(Opinion(row.assignment.rater_name, row))
    decided = dict(Adjudication.objects.filter(item__in=ids).order_by("id").values_list("item", "verdict"))
    return [
        ReviewRow(item, ItemShown.model_validate(item.shown), is_hidden=True)
        if item.pk in hidden
        else ReviewRow(item, ItemShown.model_validate(item.shown), said.get(item.pk, []), decided.get(item.pk, ""))
        for item in items
    ]


def _may_still_judge(item: QueueItem, state: str | None) -> bool:
    """Whether a person whose own assignment stands so may yet judge the item blind: then nothing is shown of it."""
    if state in _OVER:
        return False
    return state in _OPEN or (item.withdrawn is None and item.judged < item.wanted)


def said_of_node(*, actor: Actor, team: Team, tree_id: UUID, idx: int, may_judge: bool) -> list[ReviewRow]:
    """What people say of a step of a tree, a row for each queue that it is in and was judged in; one query for none."""
    items = QueueItem.objects.filter(team=team, source=tree_id, source_place=str(idx), withdrawn=None, judged__gt=0)
    found = list(items.select_related("queue").defer("kept")[:MOST_QUEUES])
    return review_rows(items=found, blind=rater_of(actor) if may_judge else None) if found else []


def step_reviews(*, item: QueueItem) -> list[StepReview]:
    """An item's steps with all that was ever said of them."""
    shown = ItemShown.model_validate(item.shown)
    said, decided = item_history(item=item)
    known = {answer.position: answer for answer in map(StepAnswer.model_validate, item.known or ())}
    reviews = []
    for position, text in enumerate(shown.steps):
        of_step = [(row, Opinion(row.assignment.rater_name, row)) for row in said if row.position == position]
        reviews.append(
            StepReview(
                position=position,
                number=len(shown.prefix) + position,
                text=text,
                opinions=[each for row, each in of_step if row.round == row.assignment.current_round],
                earlier=[each for row, each in of_step if row.round != row.assignment.current_round],
                decisions=[row for row in decided if row.position == position],
                known=known.get(position),
            )
        )
    return reviews
