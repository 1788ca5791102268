"""The only place that makes what is sent to an annotator: before they have judged an item, and after.

`work_item` reads `QueueItem.shown`, whose type has no room for what is kept back, and facts about the person's own
lock. `revealed_item` asks the database that the person's judgement is saved and noted as answered; it cannot be called
with less (`webapp.annotation.work.item_reveal`).
"""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from meds3core.judgements.items import ItemKept, ItemShown, StepAnswer, StepFacts
from meds3core.types.judgements import ErrorKind, Severity, Verdict
from meds3core.types.record import Record
from webapp.accounts.actors import Actor
from webapp.annotation.models import Adjudication, Assignment, Judgement, QueueItem
from webapp.annotation.work import item_reveal


class WorkItem(Record):
    """What an annotator holds: an item as it may be seen before it is judged."""

    item: UUID
    queue: UUID
    content: ItemShown
    expires: datetime | None = Field(description="When the lock runs out; null: it has, or the item is judged")
    state: str = Field(description="Of the person's own assignment")


class SaidRound(Record):
    """What the person said of an item, once."""

    round: int
    blind: bool
    late: bool
    at: datetime
    answers: tuple[StepAnswer, ...]


class RevealedItem(Record):
    """What an item kept back. Made for people who have judged it."""

    item: UUID
    steps: tuple[StepFacts, ...]
    before: StepFacts | None
    siblings: tuple[StepFacts, ...]
    rule: str
    rules: tuple[str, ...]
    priority: float = Field(description="Expected information of an answer, in bits")
    is_control: bool
    known: tuple[StepAnswer, ...] = Field(description="The answer of a control item")
    policy: str = Field(description="Which wrote the steps")


def work_item(*, assignment: Assignment) -> WorkItem:
    """What this person may see of the item now, judged or not. Expects `item` to be loaded."""
    locked = assignment.state == Assignment.State.LOCKED
    return WorkItem(
        item=assignment.item_id,
        queue=assignment.queue_id,
        content=ItemShown.model_validate(assignment.item.shown),
        expires=assignment.expires if locked else None,
        state=assignment.state,
    )


def revealed_item(*, actor: Actor, item: QueueItem) -> RevealedItem:
    """What the item kept back, once the person has judged it; from then on what they say is not blind.

    Raises `NotGiven`, and `JudgingError` before they have judged.
    """
    item_reveal(actor=actor, item=item)
    return kept_of(item=item)


def kept_of(*, item: QueueItem) -> RevealedItem:
    """What an item keeps back, for reviewers: `webapp.annotation.review.item_seen` first."""
    kept = ItemKept.model_validate(item.kept)
    return RevealedItem(
        item=item.pk,
        steps=kept.steps,
        before=kept.before,
        siblings=kept.siblings,
        rule=item.rule,
        rules=tuple(rule.value for rule in kept.rules),
        priority=item.priority,
        is_control=item.is_control,
        known=tuple(StepAnswer.model_validate(each) for each in item.known or ()),
        policy=kept.origin.policy,
    )


def rounds_said(*, assignment: Assignment) -> list[SaidRound]:
    """Everything that the person said of their item, oldest round first; nothing of what others said."""
    rounds: dict[int, list[Judgement]] = {}
    for row in Judgement.objects.filter(assignment=assignment).order_by("round", "position"):
        rounds.setdefault(row.round, []).append(row)
    return [
        SaidRound(
            round=number,
            blind=rows[0].blind,
            late=rows[0].late,
            at=rows[0].created,
            answers=tuple(answer_of(row) for row in rows),
        )
        for number, rows in rounds.items()
    ]


def answer_of(row: Judgement | Adjudication) -> StepAnswer:
    """A row as what was said."""
    return StepAnswer(
        position=row.position,
        verdict=Verdict(row.verdict),
        errors=tuple(ErrorKind(each) for each in row.errors),
        severity=Severity(row.severity) if row.severity else None,
        correction=row.correction,
        comment=row.comment,
    )
