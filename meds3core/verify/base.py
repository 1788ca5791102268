"""What a verifier does: find the answer in a text, and check it against the gold by rule."""

from typing import Protocol

from meds3core.types.question import OpenQuestion, Question
from meds3core.types.record import Record


class Judgement(Record):
    """The verdict over one response. `correct` is None when no answer was found, which is not the same as wrong."""

    answer: str | None
    correct: bool | None


class Verifier(Protocol):
    """Finds and checks answers of one kind. Pure and quick: no I/O, no model."""

    def stated_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The normal form of the last answer that the text *announces* ("The answer is …", "Answer: …", a box).

        Strict on purpose: search uses it to tell a final step from one that merely mentions an option.
        """

    def extract_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The announced answer, else what the text can only mean as one ("B", "(B) stop", "B is correct").

        None when no answer is found or two are offered ("A or B").
        """

    def is_right(self, answer: str, question: Question) -> bool:
        """Whether an extracted normal form agrees with the gold."""
