"""Creatinine clearance by Cockcroft and Gault: (140 − age) × weight / (72 × creatinine), × 0.85 in women.

Weight in kg, creatinine in mg/dL, clearance in mL/min. The misconception forgets the factor for women.
"""

from decimal import Decimal
from random import Random
from typing import ClassVar

from meds3core.sandbox.forms import Case, Form, Level, Place, Wordings, sentence
from meds3core.sandbox.template import Template, Value, Values, number, plain
from meds3core.types.question import NumberFormat

SEXES = ("man", "woman")
CREATININES = tuple(Decimal(text) for text in ("0.5", "1.0", "1.5", "2.0", "2.5", "3.0"))


def _whole(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1), rounding="ROUND_HALF_UP")


def _quotient(values: Values) -> Value:
    divisor = number(values, "divisor")
    return _whole(number(values, "product") / divisor) if divisor else Decimal(0)


class Clearance:
    """Easy: men. Medium: either. Hard: either, with weights that are less round."""

    name: ClassVar[str] = "clearance"
    surface: ClassVar[frozenset[str]] = frozenset()
    wordings: ClassVar[Wordings] = {
        level: (
            Template(
                "A {sex:man|woman} of {age} years and {weight} kg has creatinine {creatinine} mg/dL. "
                "What is the Cockcroft-Gault clearance?"
            ),
            Template(
                "Creatinine {creatinine} mg/dL, age {age}, weight {weight} kg, {sex:man|woman}. "
                "Estimate the clearance in mL/min by Cockcroft-Gault."
            ),
        )
        for level in Level
    }

    _years = sentence("140 - age = 140 - {age} = {years}.", years=lambda v: abs(140 - number(v, "age")))
    _product = sentence(
        "Times weight = {years} × {weight} = {product}.", product=lambda v: number(v, "years") * number(v, "weight")
    )
    _divisor = sentence(
        "72 × creatinine = 72 × {creatinine} = {divisor}.", divisor=lambda v: plain(72 * number(v, "creatinine"))
    )
    _base = sentence("Quotient = {product} / {divisor} = {base}.", base=_quotient)
    _male = sentence(
        "The patient is a {sex:man|woman}, so the clearance is {clearance} mL/min.",
        misrules={"clearance": lambda v: v["base"]},
        clearance=lambda v: plain(number(v, "base") * Decimal("0.85")) if v["sex"] == "woman" else v["base"],
    )
    _female = sentence(
        "The patient is a {sex:man|woman}, so the clearance is 0.85 × {base} = {clearance} mL/min.",
        clearance=lambda v: plain(number(v, "base") * Decimal("0.85")) if v["sex"] == "woman" else v["base"],
    )
    forms: ClassVar[tuple[Form, ...]] = (_years, _product, _divisor, _base, _male, _female)

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw until the quotient is whole and in a living person's range."""
        weights = (36, 54, 72, 90) if level is not Level.HARD else (45, 48, 54, 60, 63, 66, 72, 81, 84, 90)
        while True:
            age, weight, creatinine = rng.randint(20, 90), rng.choice(weights), rng.choice(CREATININES)
            quotient = (140 - age) * weight / (72 * creatinine)
            if quotient == _whole(quotient) and 10 <= quotient <= 180:
                sex = "man" if level is Level.EASY else rng.choice(SEXES)
                return {"sex": sex, "age": Decimal(age), "weight": Decimal(weight), "creatinine": creatinine}

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The solution; every answer is a clearance in mL/min."""
        last = Place(self._female, self._male, 0.62) if facts["sex"] == "woman" else Place(self._male)
        places = (Place(self._years), Place(self._product), Place(self._divisor), Place(self._base), last)
        form = NumberFormat(unit="mL/min", absolute_tolerance=0.51)
        return Case(self.name, level, facts, text, places, Template("{answer} mL/min"), "clearance", form)
