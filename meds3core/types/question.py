"""Questions with and without a gold answer, and the form in which they want to be answered.

An `OpenQuestion` is what a policy may see. A `Question` adds the gold answer, so code that gets an
`OpenQuestion` (inference) cannot look at the gold by accident.
"""

import hashlib
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from meds3core.types.record import Record


class Option(Record):
    """One option of a multiple-choice question."""

    letter: str = Field(min_length=1, max_length=4, description="Label as printed: A, B, … Z, AA, …")
    text: str


class ChoiceFormat(Record):
    """One letter out of several options. The normal form of an answer is the letter."""

    kind: Literal["choice"] = "choice"
    options: tuple[Option, ...] = Field(min_length=2, max_length=26)

    @model_validator(mode="after")
    def _letters_are_distinct(self) -> Self:
        letters = [option.letter for option in self.options]
        if len(set(letters)) != len(letters):
            raise ValueError(f"two options share a letter: {', '.join(letters)}")
        return self

    def text_of(self, letter: str) -> str | None:
        """The text of the option with this letter, or None."""
        return next((option.text for option in self.options if option.letter == letter), None)


class NumberFormat(Record):
    """A number, with a unit where `unit` is set. The normal form is "value unit" with a plain decimal."""

    kind: Literal["number"] = "number"
    unit: str | None = Field(default=None, description="Unit of the gold, e.g. 'mg/kg'; None: dimensionless")
    relative_tolerance: float = Field(default=0.0, ge=0.0, le=1.0)
    absolute_tolerance: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)


class YesNoFormat(Record):
    """Yes or no, and maybe where the data set knows it. The normal form is the lower-case word."""

    kind: Literal["yes-no"] = "yes-no"
    maybe: bool = False


class TextFormat(Record):
    """Free text. The normal form is lower case without articles and punctuation."""

    kind: Literal["text"] = "text"
    minimum_f1: float = Field(
        default=1.0,
        gt=0.0,
        le=1.0,
        description="Token F1 from which a wording counts as the gold; 1: equality",
    )


class ListFormat(Record):
    """A set or a ranked list, items separated by commas, semicolons or lines. The normal form joins by '; '."""

    kind: Literal["list"] = "list"
    ranked: bool = False
    hit_at: int | None = Field(
        default=None,
        ge=1,
        description="hit@k: right when one of the first k items is a gold item; None: sets equal",
    )


class PatternFormat(Record):
    """Anything; the gold is a regular expression that must match the whole stated answer, ignoring case."""

    kind: Literal["pattern"] = "pattern"


AnswerFormat = Annotated[
    ChoiceFormat | NumberFormat | YesNoFormat | TextFormat | ListFormat | PatternFormat,
    Field(discriminator="kind"),
]


class Gold(Record):
    """The gold answer. For a choice `value` is the letter, for a pattern the expression."""

    value: str = Field(min_length=1)
    aliases: tuple[str, ...] = Field(default=(), description="Further accepted wordings (text, number, list items)")
    items: tuple[str, ...] = Field(default=(), description="The gold items of a list; `value` is then their join")


class OpenQuestion(Record):
    """A question as a policy reads it; no gold."""

    id: str = Field(min_length=1, max_length=512)
    text: str = Field(min_length=1, description="All that the policy reads, option lines 'A. …' included")
    answer_format: AnswerFormat
    source: str = Field(default="", description="Data set of origin, e.g. 'MedQA'")
    domain: str = Field(default="", description="Kind of question within the source, e.g. 'dosing'")
    has_context: bool | None = Field(
        default=None,
        description="Whether a passage needed for the answer is part of the text (PubMedQA); None: unknown",
    )
    difficulty: float | None = Field(default=None, ge=0.0, le=1.0, description="1 − pass rate, where measured")

    @cached_property
    def content_hash(self) -> str:
        """Hex digest of what the policy reads and how it must answer; seeds derive from it, never from the id."""
        content = self.text + "\0" + self.answer_format.model_dump_json()
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    @cached_property
    def text_hash(self) -> str:
        """Hex digest of what the policy reads, however it must answer: also of a question known by its text alone."""
        return hashlib.blake2b(self.text.encode(), digest_size=16).hexdigest()


class Question(OpenQuestion):
    """A question whose answers can be checked."""

    gold: Gold

    @model_validator(mode="after")
    def _gold_fits_the_format(self) -> Self:
        form = self.answer_format
        if isinstance(form, ChoiceFormat) and form.text_of(self.gold.value) is None:
            letters = ", ".join(option.letter for option in form.options)
            raise ValueError(f"gold answer {self.gold.value!r} is none of the options {letters}")
        if isinstance(form, YesNoFormat):
            words = ("yes", "no", "maybe") if form.maybe else ("yes", "no")
            if self.gold.value not in words:
                raise ValueError(f"gold answer {self.gold.value!r} is none of {', '.join(words)}")
        if isinstance(form, ListFormat) and not self.gold.items:
            raise ValueError("a list question needs gold items")
        return self

    def without_gold(self) -> OpenQuestion:
        """The same question as inference sees it; same id and content hash."""
        return OpenQuestion(**{name: getattr(self, name) for name in OpenQuestion.model_fields})
