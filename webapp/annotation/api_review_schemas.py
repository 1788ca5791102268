"""What the API of review takes and gives."""

from datetime import datetime
from uuid import UUID

from ninja import Schema
from pydantic import Field

from meds3core.judgements.items import ItemShown, StepAnswer
from meds3core.types.judgements import ErrorKind, Severity, Verdict
from webapp.annotation.models import Adjudication, Judgement, QueueItem
from webapp.annotation.shown import RevealedItem, answer_of


class ItemOut(Schema):
    """An item in a list: nothing of what it keeps back, since the reader may still judge it."""

    id: UUID
    content: ItemShown
    judged: int | None = Field(description="People who judged it; null: you may still be given it")
    completed: datetime | None
    withdrawn: datetime | None

    @staticmethod
    def of(row: QueueItem, *, is_hidden: bool) -> "ItemOut":
        """From the row."""
        shown = ItemShown.model_validate(row.shown)
        said = {"judged": row.judged, "completed": row.completed}
        said = dict.fromkeys(said) if is_hidden else said
        return ItemOut(id=row.pk, content=shown, withdrawn=row.withdrawn, **said)


class JudgementOut(Schema):
    """What one rater said of one step, once."""

    id: UUID
    item: UUID
    queue: UUID
    rater: str = Field(description="user:<id>, or import:<source>:<name>")
    name: str
    round: int
    answer: StepAnswer
    blind: bool
    late: bool
    agreement: bool = Field(description="Whether agreement reads this round")
    current: bool = Field(description="Whether the rater says so now")
    seconds: float | None
    instructions: int
    created: datetime

    @staticmethod
    def of(row: Judgement) -> "JudgementOut":
        """From the row with its assignment."""
        given = row.assignment
        said = {"round": row.round, "blind": row.blind, "late": row.late, "seconds": row.seconds}
        return JudgementOut(
            id=row.pk,
            item=row.item_id,
            queue=row.queue_id,
            rater=row.rater,
            name=given.rater_name,
            answer=answer_of(row),
            agreement=row.round == given.blind_round,
            current=row.round == given.current_round,
            instructions=row.instructions,
            created=row.created,
            **said,
        )


class DecisionIn(Schema):
    """A reviewer's decision."""

    id: UUID | None = Field(default=None, description="Made by the client: sent again, it is saved once")
    answers: list[StepAnswer] = Field(min_length=1, max_length=200)


class DecisionOut(Schema):
    """A reviewer's decision about one step; the newest one holds."""

    id: UUID
    item: UUID
    answer: StepAnswer
    decided_by: str
    created: datetime

    @staticmethod
    def of(row: Adjudication) -> "DecisionOut":
        """From the row."""
        answer = StepAnswer(
            position=row.position,
            verdict=Verdict(row.verdict),
            errors=tuple(ErrorKind(each) for each in row.errors),
            severity=Severity(row.severity) if row.severity else None,
            correction=row.correction,
            comment=row.comment,
        )
        made = {"decided_by": row.decided_by_name, "created": row.created}
        return DecisionOut(id=row.pk, item=row.item_id, answer=answer, **made)


class ItemWhole(Schema):
    """An item with all it keeps back and all that was said of it."""

    id: UUID
    queue: UUID
    content: ItemShown
    kept: RevealedItem
    source_kind: str
    source: UUID | None
    source_exists: bool = Field(description="False: it was deleted; the copy stays")
    judged: int
    completed: datetime | None
    withdrawn: datetime | None
    judgements: list[JudgementOut]
    decisions: list[DecisionOut]


class ControlIn(Schema):
    """The right answer of a control item; null: an item like any other."""

    answers: list[StepAnswer] | None = Field(max_length=200)
