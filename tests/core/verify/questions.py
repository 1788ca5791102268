"""Questions made for tests: the published MedQA file where it is there, and tricky ones always."""

from pathlib import Path

import pytest

from meds3core.data.read import load_questions
from meds3core.types.question import (
    ChoiceFormat,
    Gold,
    ListFormat,
    NumberFormat,
    Option,
    PatternFormat,
    Question,
    TextFormat,
    YesNoFormat,
)

SHARED = Path(__file__).parents[4] / "shared" / "data"


def published(name: str) -> tuple[Question, ...]:
    """The questions of a published file; skips the test without it."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    return load_questions(path).questions


def choice(*texts: str, gold: str = "A") -> Question:
    options = tuple(Option(letter=letter, text=text) for letter, text in zip("ABCDEFGHIJ", texts, strict=False))
    return Question(id="q", text="Which?", answer_format=ChoiceFormat(options=options), gold=Gold(value=gold))


def number(gold: str, unit: str | None = None, relative_tolerance: float = 0.0) -> Question:
    form = NumberFormat(unit=unit, relative_tolerance=relative_tolerance)
    return Question(id="q", text="How much?", answer_format=form, gold=Gold(value=gold))


def yes_no(gold: str, maybe: bool = True) -> Question:
    return Question(id="q", text="Is it?", answer_format=YesNoFormat(maybe=maybe), gold=Gold(value=gold))


def free(gold: str, *aliases: str, minimum_f1: float = 1.0) -> Question:
    form = TextFormat(minimum_f1=minimum_f1)
    return Question(id="q", text="What?", answer_format=form, gold=Gold(value=gold, aliases=aliases))


def several(*items: str, ranked: bool = False, hit_at: int | None = None) -> Question:
    form = ListFormat(ranked=ranked, hit_at=hit_at)
    return Question(id="q", text="Which?", answer_format=form, gold=Gold(value="; ".join(items), items=items))


def pattern(expression: str) -> Question:
    return Question(id="q", text="What?", answer_format=PatternFormat(), gold=Gold(value=expression))


MEDICINES = choice("Beta blocker", "Vitamin C", "Hepatitis B", "Alpha blocker", "Aspirin", "Aspirin and clopidogrel")
GERMS = choice("S. aureus", "E. coli", "C. difficile", "Group A streptococcus", "Shigella")
LETTERS = choice("A", "B12", "C", "D", "E")
COMBINED = choice("1 and 2", "A and C", "Both A and B", "All of the above", "None of the above")
FIGURES = choice("5%", "15%", "1.5", "10", "10-20", "1,000")
YES_NO = choice("yes", "no", "maybe")
FACTS = choice("true, text1 is a fact.", "false, text1 is not a fact.", "mixture, text1 contains both.")
ARTICLES = choice("Increase in preload", "A decrease in preload", "The liver", "An afterload change")
NESTED = choice("Increase", "Increased", "Disclose the error", "Disclose the error but leave it out", "PCOS (ovary)")
ELLIPSES = choice("Stop", "Stop the drug", "Stop the drug and call", "Don't stop", '"Wait" and see')

TRICKY = (MEDICINES, GERMS, COMBINED, FIGURES, ARTICLES, NESTED, ELLIPSES)
