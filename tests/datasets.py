"""A small dataset for tests of what is done with datasets."""

from meds3core.types.question import ChoiceFormat, Gold, Option, Question
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.datasets.models import DatasetVersion
from webapp.datasets.services import dataset_from_questions


def question(number: int, text: str = "", **others) -> Question:
    """A choice of two; odd ones are from another source and harder."""
    options = (Option(letter="A", text="yes"), Option(letter="B", text="no"))
    return Question(
        id=f"q{number}",
        text=text or f"Question {number}: is {number} mg of zolpidem too much?",
        answer_format=ChoiceFormat(options=options),
        gold=Gold(value="A"),
        **{"source": "odd" if number % 2 else "even", "difficulty": 0.9 if number % 2 else 0.1} | others,
    )


def sleep_version(actor: Actor, team: Team) -> DatasetVersion:
    """120 questions; the eighth has what searches stumble over."""
    made = [question(number) for number in range(120)]
    made[7] = question(7, 'Naïve Ärzte fragen: 50% of "C_x" in 3\'?')
    return dataset_from_questions(actor=actor, team=team, name="Sleep", questions=made)
