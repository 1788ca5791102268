"""Questions of the clinic in the product's own form, and the way back from a question to its case."""

from itertools import islice

from meds3core.errors import UserError
from meds3core.sandbox.clinic import FAMILIES, cases
from meds3core.sandbox.forms import Case
from meds3core.types.question import Gold, OpenQuestion, Question

SOURCE = "clinic"


class NotAClinicQuestion(UserError):
    """The text is none that the clinic writes, so nothing is known of its solution."""

    code = "not-a-clinic-question"


def generate(split: str, count: int, seed: int = 0) -> list[Question]:
    """`count` questions, spread evenly over the families; the same for the same arguments.

    The first n questions do not depend on `count`. Raises `UnknownSplit`.
    """
    if count < 0:
        raise UserError(f"count is {count}; it must not be negative")
    drawn = islice(cases(split, seed), count)
    return [question_of(case, f"clinic-{split}-{case.family}-{index:06d}") for index, case in enumerate(drawn)]


def question_of(case: Case, identifier: str) -> Question:
    """The case as a question."""
    return Question(
        id=identifier,
        text=case.text,
        answer_format=case.answer_format,
        source=SOURCE,
        domain=case.family,
        gold=Gold(value=case.gold),
    )


def case_of(question: OpenQuestion) -> Case:
    """Read a clinic question's text back into its case. Raises `NotAClinicQuestion`.

    Only the text counts, so questions whose options were shuffled are read too, and gold answers are not trusted.
    """
    for family in FAMILIES.values():
        for level, wordings in family.wordings.items():
            for wording in wordings:
                facts = wording.read(question.text)
                if facts is not None:
                    return family.solve(facts, level, question.text)
    raise NotAClinicQuestion(f"question {question.id} is not written as the synthetic clinic writes")
