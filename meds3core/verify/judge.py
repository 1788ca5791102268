"""Which verifier a question wants, and the verdict over one response."""

from meds3core.types.question import OpenQuestion, Question
from meds3core.verify.base import Judgement, Verifier
from meds3core.verify.choice import ChoiceVerifier
from meds3core.verify.list import ListVerifier
from meds3core.verify.number import NumberVerifier
from meds3core.verify.pattern import PatternVerifier
from meds3core.verify.text import TextVerifier
from meds3core.verify.yes_no import YesNoVerifier

VERIFIERS: dict[str, Verifier] = {
    "choice": ChoiceVerifier(),
    "number": NumberVerifier(),
    "yes-no": YesNoVerifier(),
    "text": TextVerifier(),
    "list": ListVerifier(),
    "pattern": PatternVerifier(),
}
"""By the kind of the answer's format."""


def verifier_for(question: OpenQuestion) -> Verifier:
    """The verifier for this question's kind of answer."""
    return VERIFIERS[question.answer_format.kind]


def judge(text: str, question: Question) -> Judgement:
    """Find the answer in a response and check it."""
    verifier = verifier_for(question)
    answer = verifier.extract_answer(text, question)
    return Judgement(answer=answer, correct=None if answer is None else verifier.is_right(answer, question))
