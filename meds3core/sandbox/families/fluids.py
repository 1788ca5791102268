"""Maintenance fluids by the 4-2-1 rule (Holliday and Segar), with ongoing losses to be replaced.

Per hour: 4 mL for each of the first 10 kg, 2 mL for each of the next 10, 1 mL for each kg above 20. The misconception
carries the rate of one band over into the next.
"""

from decimal import Decimal
from random import Random
from typing import ClassVar

from meds3core.sandbox.forms import Case, Form, Level, Place, Wordings, sentence
from meds3core.sandbox.template import Template, Value, Values, number
from meds3core.types.question import NumberFormat

WHO = ("child", "girl", "boy")
RANGES = {Level.EASY: (3, 10), Level.MEDIUM: (11, 20), Level.HARD: (21, 60)}


def _band(values: Values, low: int, high: int) -> Decimal:
    """How many of the kilograms lie between `low` and `high`."""
    return max(Decimal(0), min(number(values, "weight"), Decimal(high)) - low)


class Fluids:
    """Easy: up to 10 kg. Medium: up to 20 kg. Hard: above."""

    name: ClassVar[str] = "fluids"
    surface: ClassVar[frozenset[str]] = frozenset({"who"})
    wordings: ClassVar[Wordings] = {
        level: (
            Template(
                "A {who:*} of {weight} kg needs maintenance fluid and loses {loss} mL/h more by drain. "
                "What is the total rate in mL/h?"
            ),
            Template(
                "Maintenance fluid by the 4-2-1 rule for a {who:*} of {weight} kg, with drain losses of {loss} mL/h "
                "to replace: what is the rate in mL/h?"
            ),
        )
        for level in Level
    }

    _read = sentence("Weight is {weight} kg and losses are {loss} mL/h.")
    _first_only = sentence(
        "Maintenance = 4 × {weight} = {rate} mL/h.",
        misrules={"rate": lambda v: 4 * number(v, "weight")},
        rate=lambda v: 4 * _band(v, 0, 10) + 2 * _band(v, 10, 20) + _band(v, 20, 999),
    )
    _second = sentence(
        "First 10 kg give 40 and the next {kg2} kg give 2 × {kg2_again} = {ml2} mL/h.",
        kg2=lambda v: _band(v, 10, 20),
        kg2_again=lambda v: v["kg2"],
        ml2=lambda v: 2 * number(v, "kg2_again"),
    )
    _two_bands = sentence("Maintenance = 40 + {ml2} = {rate} mL/h.", rate=lambda v: 40 + number(v, "ml2"))
    _third = sentence(
        "First 20 kg give 60 and the other {kg3} kg give {ml3} mL/h.",
        kg3=lambda v: _band(v, 20, 999),
        ml3=lambda v: v["kg3"],
    )
    _third_doubled = sentence(
        "First 20 kg give 60 and the other {kg3} kg give 2 × {kg3_again} = {ml3} mL/h.",
        misrules={"ml3": lambda v: 2 * number(v, "kg3_again")},
        kg3=lambda v: _band(v, 20, 999),
        kg3_again=lambda v: v["kg3"],
        ml3=lambda v: v["kg3"],
    )
    _three_bands = sentence("Maintenance = 60 + {ml3} = {rate} mL/h.", rate=lambda v: 60 + number(v, "ml3"))
    _total = sentence("Total = {rate} + {loss} = {total} mL/h.", total=lambda v: number(v, "rate") + number(v, "loss"))
    _no_losses = sentence(
        "Total = {total} mL/h.",
        misrules={"total": lambda v: v["rate"]},
        total=lambda v: number(v, "rate") + number(v, "loss"),
    )
    forms: ClassVar[tuple[Form, ...]] = (
        _read,
        _first_only,
        _second,
        _two_bands,
        _third,
        _third_doubled,
        _three_bands,
        _total,
        _no_losses,
    )

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw a weight in the level's band and the losses."""
        return {
            "who": rng.choice(WHO),
            "weight": Decimal(rng.randint(*RANGES[level])),
            "loss": Decimal(rng.randint(2, 60)),
        }

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The solution; every answer is a rate. The weight, not `level`, decides the bands."""
        weight = number(facts, "weight")
        level = next(name for name in Level if weight <= RANGES[name][1] or name is Level.HARD)
        maintenance: tuple[Place, ...]
        if level is Level.EASY:
            maintenance = (Place(self._first_only),)
        elif level is Level.MEDIUM:
            maintenance = (Place(self._second), Place(self._two_bands))
        else:
            maintenance = (Place(self._third, self._third_doubled, 0.4), Place(self._three_bands))
        total = Place(self._total, self._no_losses, 0.62 if level is Level.MEDIUM else 0.2)
        form = NumberFormat(unit="mL/h", absolute_tolerance=0.05)
        places = (Place(self._read), *maintenance, total)
        return Case(self.name, level, facts, text, places, Template("{answer} mL/h"), "total", form)
