"""Which given value does a clinic question's answer hang on? Found by changing each and solving again."""

from collections.abc import Iterator
from decimal import Decimal
from random import Random

from meds3core.sandbox.clinic import FAMILIES
from meds3core.sandbox.forms import Family, Level
from meds3core.sandbox.template import Template, Value, Values
from meds3core.types.question import Question

BLANK = "(not recorded)"


def drop_clinic_fact(question: Question, seed: int = 0) -> str | None:
    """The text with one value blanked out without which the answer is not determined; None where there is none.

    A value counts when some other value in its place gives another answer, so what only dresses the question up never
    does. Free words (names of drugs, options) are not tried.
    """
    for family, level, wording in _wordings():
        facts = wording.read(question.text)
        if facts is None:
            continue
        slots = [slot for slot in wording.slots if _matters(family, level, wording, facts, slot, question.text)]
        if not slots:
            return None
        slot = Random(f"missing {seed} {question.content_hash}").choice(slots)
        match = wording.pattern.fullmatch(question.text)
        assert match is not None
        start, end = match.span(slot)
        return question.text[:start] + BLANK + question.text[end:]
    return None


def _wordings() -> Iterator[tuple[Family, Level, Template]]:
    for family in FAMILIES.values():
        for level, wordings in family.wordings.items():
            for wording in wordings:
                yield family, level, wording


def _matters(family: Family, level: Level, wording: Template, facts: Values, slot: str, text: str) -> bool:
    gold = family.solve(facts, level, text).gold
    for other in _others(wording, facts, slot):
        try:
            if family.solve({**facts, slot: other}, level, text).gold != gold:
                return True
        except (KeyError, ValueError, ArithmeticError):
            return True  # the solution cannot do without it
    return False


def _others(wording: Template, facts: Values, slot: str) -> Iterator[Value]:
    value = facts[slot]
    if isinstance(value, Decimal):
        yield from (value * 2, value + 1, value / 2, value * 10, value / 10, abs(value - 1))
    else:
        yield from (word for word in wording.words.get(slot, ()) if word != value)
