"""Puts steps into queues: chosen by rules from searches and evaluations, flagged by people, or sent by a program.

An item is a frozen copy; a step that a queue has already is left as it is. Choosing reads columns of numbers, copying
opens only the trees of the chosen steps, in short transactions: docs/decisions/0013-filling-a-queue.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from meds3core.judgements.flagging import FlagRules, Rule
from meds3core.judgements.items import ItemKept, ItemShown, StepAnswer
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.annotation.models import AnnotationQueue, Filling, QueueItem, StepFlag

MOST_ITEMS = 5_000
"""Of one filling."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a queue is filled from. `kind` is search (also a loop), evaluation or flags; `id` that of job or evaluation.

    `model` is the reward model whose scores are used; None: the newest that scored anything there.
    """

    kind: str
    id: UUID | None = None
    stage: str | None = None
    model: UUID | None = None


@dataclass(frozen=True, slots=True)
class FillingPreview:
    """What a filling would add."""

    steps: int
    """Steps (or trajectories) there are to choose from."""
    matching: Mapping[Rule, int]
    """How many each rule finds."""
    chosen: Mapping[Rule, int]
    """How many each rule would add."""
    total: int
    model: str
    """Reward model whose scores are used; empty: none, and its rules find nothing."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be put into a queue. `known`: of a control item."""

    shown: ItemShown
    kept: ItemKept
    rule: Rule | None = None
    priority: float = 0.0
    known: Sequence[StepAnswer] | None = None


def filling_preview(
    *, team: Team, source: Source, rules: FlagRules, items: int, seed: int = 0, queue: AnnotationQueue | None = None
) -> FillingPreview:
    """How many items each rule would add, `items` at most in all. Raises `QueueError`."""
    raise NotImplementedError


def queue_fill(
    *, actor: Actor, queue: AnnotationQueue, source: Source, rules: FlagRules, items: int, seed: int = 0
) -> Filling:
    """Put up to `items` steps into a queue; asked again, what it does not have yet. Raises `QueueError`."""
    raise NotImplementedError


def flags_send(*, actor: Actor, queue: AnnotationQueue, flags: Sequence[StepFlag]) -> Filling:
    """Put flagged steps into a queue, all of them. Raises `QueueError`."""
    raise NotImplementedError


def items_add(
    *, actor: Actor, queue: AnnotationQueue, items: Iterable[NewItem], source_kind: str, title: str = ""
) -> tuple[Filling, list[QueueItem]]:
    """Put items into a queue that were made elsewhere: by a program, or from a file of judgements.

    Gives the filling and the items in the order in which they were given, those that the queue had already included.
    """
    raise NotImplementedError
