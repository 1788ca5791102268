"""What a person is shown of a step, what is kept back until they have judged it, and what they say.

`ItemShown` has no room for a value, a score, a rule or a priority: whatever is made of it cannot give one away.
"""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from meds3core.judgements.flagging import Rule
from meds3core.types.judgements import ErrorKind, Severity, Verdict
from meds3core.types.question import OpenQuestion, Option, Question
from meds3core.types.record import Record

TEXT_LENGTH = 4000
"""Characters of a correction or a comment."""


class ItemMode(StrEnum):
    """Whether one step is judged, or the steps of a trajectory in order until the first bad one."""

    STEP = "step"
    TRAJECTORY = "trajectory"


class StepAnswer(Record):
    """What one person says of one step. `position` counts from the item's first step to be judged."""

    position: int = Field(default=0, ge=0)
    verdict: Verdict
    errors: tuple[ErrorKind, ...] = Field(default=(), max_length=len(ErrorKind))
    severity: Severity | None = None
    correction: str = Field(default="", max_length=TEXT_LENGTH, description="What the step should have said")
    comment: str = Field(default="", max_length=TEXT_LENGTH)

    @field_validator("correction", "comment")
    @classmethod
    def _has_no_nul(cls, text: str) -> str:
        return text.replace("\0", "")  # PostgreSQL keeps none, neither in text nor in JSON

    @model_validator(mode="after")
    def _errors_need_a_fault(self) -> Self:
        if self.verdict is Verdict.GOOD and (self.errors or self.severity is not None):
            raise ValueError("a good step has neither a kind of error nor a severity")
        if len(set(self.errors)) != len(self.errors):
            raise ValueError("a kind of error is named twice")
        return self


class ItemShown(Record):
    """All that a person is shown before they judge."""

    mode: ItemMode = ItemMode.STEP
    question: str
    options: tuple[Option, ...] = Field(default=(), description="Unless the question's text spells them out")
    gold: str = Field(default="", description="The right answer; empty: nobody knows it")
    source: str = ""
    domain: str = ""
    prefix: tuple[str, ...] = Field(min_length=1, description="Bodies of the steps before, step 0 first")
    steps: tuple[str, ...] = Field(min_length=1, description="To be judged; the number of the first is len(prefix)")
    siblings: tuple[str, ...] = Field(default=(), description="Other steps that were tried here")


class StepFacts(Record):
    """What machines found out about a step; None: nothing."""

    value: float | None = Field(default=None, description="After backup, in [0, 1]")
    drop: float | None = Field(default=None, description="The value of the step before minus its own")
    right: int = Field(default=0, ge=0, description="Right ones among its own rollouts")
    rollouts: int = Field(default=0, ge=0)
    verdict: bool | None = Field(default=None, description="Of a step that states an answer")
    scores: dict[str, float] = Field(default_factory=dict, description="By process reward model, in [0, 1]")
    node: int = Field(default=-1, ge=-1, description="In its tree")


class ItemOrigin(Record):
    """Where an item was copied from. Ids are those of the web application, hashes those of `meds3core`."""

    kind: Literal["tree", "sample", "chat", "import", "sent"] = "sent"
    job: str = Field(default="", description="The search or evolution")
    tree: str = ""
    tree_hash: str = ""
    node: int = Field(default=-1, ge=-1, description="The last step to be judged")
    evaluation: str = ""
    place: int = Field(default=-1, ge=-1, description="Of the question in the evaluation")
    sample: int = Field(default=-1, ge=-1, description="Of that question; -1: the greedy answer")
    policy: str = Field(default="", description="Name of the policy that wrote the steps")
    policy_hash: str = ""
    prompt_hash: str = ""
    correct: bool | None = Field(default=None, description="Whether a right answer was reached through the step")


class ItemKept(Record):
    """What is kept back until the person's judgement is saved, and what label sets and exports are made from."""

    question: Question | OpenQuestion = Field(description="As it was asked; `ItemShown` has what is read of it")
    steps: tuple[StepFacts, ...] = Field(default=(), description="Of each step to be judged")
    before: StepFacts | None = Field(default=None, description="Of the last step of the prefix")
    siblings: tuple[StepFacts, ...] = ()
    rules: tuple[Rule, ...] = Field(default=(), description="All that hold; the first one chose it")
    origin: ItemOrigin = ItemOrigin()
