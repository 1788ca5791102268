"""What the API of queues takes and gives. What annotators are sent is made in `shown` alone."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from ninja import Schema
from pydantic import Field, model_validator

from meds3core.judgements.flagging import FlagRules
from meds3core.judgements.items import ItemMode, StepAnswer
from meds3core.types.judgements import Verdict
from meds3core.types.question import Question
from webapp.annotation.filling import MOST_ITEMS, FillingPreview, Source
from webapp.annotation.models import AnnotationQueue, Filling, Instructions
from webapp.annotation.progress import MyProgress, PersonProgress, QueueProgress
from webapp.annotation.queues import DEFAULT_INSTRUCTIONS, Example, Kept, QueueSettings
from webapp.annotation.shown import RevealedItem, SaidRound, WorkItem
from webapp.annotation.work import MOST_HELD, Pulled

# --- queues --------------------------------------------------------------------------------------------------------


class MineOut(Schema):
    """How far the caller is in a queue."""

    judged: int
    left: int = Field(description="Items that could still be given to you")
    limit_left: int | None = Field(description="Of your limit; null: there is none")
    instructions: int = Field(description="Number of the newest version")
    instructions_seen: int = Field(description="Number of the version that you were shown; 0: none")
    may_judge: bool


class QueueOut(Schema):
    """A queue, as everybody in the team may know it."""

    id: UUID
    name: str
    state: str
    mode: ItemMode
    wanted: int = Field(description="People who judge each item")
    created: datetime
    closed: datetime | None
    mine: MineOut

    @staticmethod
    def of(row: AnnotationQueue, mine: MyProgress) -> "QueueOut":
        """From the row and the caller's progress."""
        said = {name: getattr(mine, name) for name in MineOut.model_fields}
        columns = {"name": row.name, "state": row.state, "wanted": row.wanted, "created": row.created}
        return QueueOut(id=row.pk, mode=ItemMode(row.mode), closed=row.closed, mine=MineOut(**said), **columns)


class SourceIn(Schema):
    """What to fill a queue from."""

    kind: str = Field(pattern="^(search|evaluation)$", description="search (also a loop) or evaluation")
    id: UUID
    stage: str | None = Field(default=None, max_length=80, description="Of a loop; null: all")
    model: UUID | None = Field(default=None, description="Reward model whose scores count; null: the last that scored")

    @property
    def source(self) -> Source:
        """For services."""
        return Source(self.kind, self.id, self.stage, self.model)


class FillingIn(Schema):
    """Steps to be put into a queue."""

    source: SourceIn
    rules: FlagRules = FlagRules()
    items: int = Field(ge=1, le=MOST_ITEMS)
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="The same one chooses the same steps")


class PreviewIn(FillingIn):
    """A filling to be looked at before it is done."""

    mode: ItemMode = ItemMode.STEP
    queue: UUID | None = Field(default=None, description="What it has already is left out")


class PreviewOut(Schema):
    """What a filling would add, by rule."""

    steps: int
    matching: dict[str, int]
    chosen: dict[str, int]
    total: int
    model: str
    notes: list[str]

    @staticmethod
    def of(found: FillingPreview) -> "PreviewOut":
        """From the preview."""
        return PreviewOut(
            steps=found.steps,
            matching={rule.value: n for rule, n in found.matching.items()},
            chosen={rule.value: n for rule, n in found.chosen.items()},
            total=found.total,
            model=found.model,
            notes=list(found.notes),
        )


class QueueIn(Schema):
    """A new queue."""

    settings: QueueSettings
    instructions: str = Field(default=DEFAULT_INSTRUCTIONS, min_length=1, max_length=50_000)


class FillingOut(Schema):
    """One filling of a queue."""

    id: UUID
    created: datetime
    source_kind: str
    source: UUID | None
    source_title: str
    asked: int
    added: int
    known: int = Field(description="Chosen, but in the queue already")
    counts: dict[str, int] = Field(description="Added, by rule")

    @staticmethod
    def of(row: Filling) -> "FillingOut":
        """From the row."""
        return FillingOut(id=row.pk, **{name: getattr(row, name) for name in FillingOut.model_fields if name != "id"})


class FlagsIn(Schema):
    """Flagged steps to be put into a queue."""

    flags: list[UUID] | None = Field(
        default=None, max_length=MOST_ITEMS, description="null: all that the queue does not have"
    )


def _has_nul(content: Any) -> bool:
    """Whether a text in it, however deep, has the one character that PostgreSQL keeps none of."""
    if isinstance(content, dict):
        return any(map(_has_nul, content.values()))
    return any(map(_has_nul, content)) if isinstance(content, list) else isinstance(content, str) and "\0" in content


class SentItem(Schema):
    """A step that is sent by a program. With `known` it is a control item."""

    question: Question
    prefix: list[str] = Field(min_length=1, max_length=200, description="Bodies of the steps before, step 0 first")
    steps: list[str] = Field(min_length=1, max_length=200, description="To be judged; one in a queue of steps")
    siblings: list[str] = Field(default=[], max_length=20)
    known: list[StepAnswer] | None = Field(default=None, description="The right answer")

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if _has_nul(self.model_dump(mode="json")):
            raise ValueError("a text has the character NUL, which cannot be kept")
        return self


class SendIn(Schema):
    """Items of a program."""

    title: Kept = Field(default="", max_length=200, description="Where they come from")
    items: list[SentItem] = Field(min_length=1, max_length=500)


class SentOut(Schema):
    """What became of them, in the order in which they were sent."""

    filling: FillingOut
    items: list[UUID]


class InstructionsIn(Schema):
    """A new version of what annotators are told."""

    text: str = Field(min_length=1, max_length=50_000, description="Markdown")
    examples: list[Example] = Field(default=[], max_length=20)


class InstructionsOut(Schema):
    """One version."""

    number: int
    text: str
    examples: list[dict[str, Any]]
    written_by: str
    created: datetime

    @staticmethod
    def of(row: Instructions) -> "InstructionsOut":
        """From the row."""
        said = {"number": row.number, "text": row.text, "examples": row.examples, "created": row.created}
        return InstructionsOut(written_by=row.written_by_name, **said)


class SeenIn(Schema):
    """Which version was shown to the caller."""

    number: int = Field(ge=1)


class MembersIn(Schema):
    """Exactly these people, by user id."""

    users: list[UUID] = Field(max_length=500)


class PersonOut(Schema):
    """One rater in a queue."""

    rater: str
    name: str
    judged: int
    locked: int
    skipped: int
    seconds: float | None
    last: datetime | None


class ProgressOut(Schema):
    """A queue in figures."""

    items: int
    completed: int
    untouched: int
    judgements: int
    wanted: int
    controls: int
    locked: int
    people: list[PersonOut]

    @staticmethod
    def of(found: QueueProgress, people: Sequence[PersonProgress]) -> "ProgressOut":
        """From the figures."""
        each = [PersonOut(**{name: getattr(one, name) for name in PersonOut.model_fields}) for one in people]
        names = [name for name in ProgressOut.model_fields if name != "people"]
        return ProgressOut(people=each, **{name: getattr(found, name) for name in names})


# --- work ----------------------------------------------------------------------------------------------------------


class PullIn(Schema):
    """A wish for an item."""

    holding: list[UUID] = Field(
        default=[], max_length=MOST_HELD + 1, description="Items at hand: another one is wanted"
    )


class PulledOut(Schema):
    """An item, or why there is none: closed, not-named, limit, holding, done."""

    item: WorkItem | None
    reason: str = ""

    @staticmethod
    def of(found: Pulled, item: WorkItem | None) -> "PulledOut":
        """From what was pulled."""
        return PulledOut(item=item, reason=found.reason.value if found.reason else "")


class HeldOut(Schema):
    """A lock: null when others have the item now. What is saved is kept all the same."""

    expires: datetime | None


class ReleaseIn(Schema):
    """An item given back."""

    skip: bool = Field(default=False, description="It shall not come again")


class JudgementIn(Schema):
    """What the caller says of an item."""

    id: UUID = Field(description="Made by the client: sent again, the judgement is saved once")
    answers: list[StepAnswer] = Field(min_length=1, max_length=200)
    seconds: float | None = Field(default=None, ge=0, le=86_400, description="That it took, as the client measured")
    change: bool = Field(default=False, description="Of what the caller said before")
    reveal: bool = Field(default=True, description="Give what the item keeps back; from then on a change is not blind")


class SavedOut(Schema):
    """A judgement that is kept."""

    item: UUID
    judgements: list[UUID]
    round: int
    blind: bool
    late: bool = Field(description="The lock had run out; it counts all the same")
    repeated: bool = Field(description="It had been sent before")
    revealed: RevealedItem | None


class MineWhole(Schema):
    """An item of the caller's, with all that they said of it."""

    item: WorkItem
    said: list[SaidRound]


class SaidOut(Schema):
    """One item that the caller judged."""

    item: UUID
    at: datetime | None
    revealed: bool
    verdicts: list[Verdict] = Field(description="As they stand now, by step")
