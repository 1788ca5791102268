"""What people say of reasoning steps: a verdict on one step in its context, with what is wrong and what would be right.

These words are the vocabulary of the work page, of the files that judgements leave and come in by, and of label sets.
"""

from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from meds3core.types.labels import Origin
from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record


class Verdict(StrEnum):
    """What somebody thinks of a step, given the steps before it."""

    GOOD = "good"
    NEUTRAL = "neutral"
    BAD = "bad"
    CANT_TELL = "cant-tell"


class ErrorKind(StrEnum):
    """What is wrong with a step; several may be."""

    WRONG_FACT = "wrong-fact"
    WRONG_INFERENCE = "wrong-inference"
    MISREAD_QUESTION = "misread-question"
    ARITHMETIC = "arithmetic"
    CONTRADICTION = "contradiction"
    UNSAFE = "unsafe"
    IRRELEVANT = "irrelevant"
    OTHER = "other"


class Severity(StrEnum):
    """How much harm a wrong step would do."""

    MINOR = "minor"
    MODERATE = "moderate"
    SEVERE = "severe"


SCALE: dict[Verdict, int] = {Verdict.BAD: 0, Verdict.NEUTRAL: 1, Verdict.GOOD: 2}
"""Verdicts from worst to best; somebody who cannot tell has given none."""


class StepJudgement(Record):
    """One person's word on one step. `bodies` are the steps up to the judged one, which is the last; step 0 first."""

    id: str = Field(default="", max_length=100, description="As its maker knows it; empty: it has none")
    question: OpenQuestion
    bodies: tuple[str, ...] = Field(min_length=2)
    annotator: str = Field(min_length=1, max_length=200, description="A name, or a pseudonym")
    verdict: Verdict
    errors: tuple[ErrorKind, ...] = ()
    severity: Severity | None = None
    correction: str = Field(default="", description="The step as it should have been")
    comment: str = ""
    seconds: float | None = Field(default=None, ge=0.0, description="That it took; None: not known")
    said_at: datetime | None = None
    blind: bool = Field(default=True, description="Said before scores and other judgements were seen")
    taken_back: bool = Field(
        default=False, description="Said blind; later, in sight of the scores, its maker ended before this step"
    )
    adjudicated: bool = Field(default=False, description="A reviewer's last word, which outranks all others")
    control: Verdict | None = Field(default=None, description="Of a planted item: the answer that is known")
    correct: bool | None = Field(
        default=None, description="Of a step that states an answer: whether it is the right one; None: not known"
    )
    by_chance: bool | None = Field(
        default=None, description="Whether chance chose the step among all there were; None: not known"
    )
    gold: str = Field(default="", description="The question's gold answer, where it is known")
    siblings: tuple[str, ...] = Field(default=(), description="Other continuations of the same steps")
    origin: Origin = Origin()

    @model_validator(mode="after")
    def _errors_belong_to_a_bad_step(self) -> Self:
        if self.verdict is Verdict.GOOD and (self.errors or self.severity):
            raise ValueError("a good step has neither errors nor a severity")
        if len(set(self.errors)) != len(self.errors):
            raise ValueError("an error kind is named twice")
        return self

    @property
    def step(self) -> int:
        """Number of the judged step."""
        return len(self.bodies) - 1
