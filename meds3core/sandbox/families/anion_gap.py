"""The anion gap = Na − Cl − HCO3 (mmol/L), alone, corrected for albumin, and in the delta ratio's bicarbonate.

Albumin correction: + 2.5 for every g/dL below 4 (Figge). Delta bicarbonate: HCO3 + (gap − 12), what the bicarbonate
would be without the gap acidosis. The misconception leaves the bicarbonate out of the gap.
"""

from decimal import Decimal
from random import Random
from typing import ClassVar

from meds3core.sandbox.forms import Case, Form, Level, Place, Wordings, sentence
from meds3core.sandbox.template import Template, Value, Values, number, plain
from meds3core.types.question import NumberFormat

WHO = ("man", "woman", "patient")


class AnionGap:
    """Easy and medium: the gap (medium: corrected for albumin). Hard: the delta bicarbonate."""

    name: ClassVar[str] = "anion-gap"
    surface: ClassVar[frozenset[str]] = frozenset({"who"})
    wordings: ClassVar[Wordings] = {
        Level.EASY: (
            Template("A {who:*} has sodium {na}, chloride {cl} and bicarbonate {hco3} mmol/L. What is the anion gap?"),
            Template("Sodium {na}, bicarbonate {hco3}, chloride {cl} mmol/L in a {who:*}. Give the anion gap."),
        ),
        Level.MEDIUM: (
            Template(
                "A {who:*} has sodium {na}, chloride {cl}, bicarbonate {hco3} mmol/L and albumin {albumin} g/dL. "
                "What is the anion gap corrected for albumin?"
            ),
        ),
        Level.HARD: (
            Template(
                "A {who:*} with a gap acidosis has sodium {na}, chloride {cl} and bicarbonate {hco3} mmol/L. "
                "What is the delta bicarbonate?"
            ),
        ),
    }

    _read = sentence("Sodium is {na}, chloride is {cl} and bicarbonate is {hco3}.")
    _part = sentence("Sodium - chloride = {na} - {cl} = {part}.", part=lambda v: abs(number(v, "na") - number(v, "cl")))
    _gap = sentence("Anion gap = {part} - {hco3} = {gap}.", gap=lambda v: abs(number(v, "part") - number(v, "hco3")))
    _no_bicarbonate = sentence(
        "Anion gap = {gap}.",
        misrules={"gap": lambda v: v["part"]},
        gap=lambda v: abs(number(v, "part") - number(v, "hco3")),
    )
    _albumin = sentence(
        "Albumin is 4 - {albumin} = {deficit} below 4, which adds {extra}.",
        deficit=lambda v: abs(4 - number(v, "albumin")),
        extra=lambda v: plain(Decimal("2.5") * number(v, "deficit")),
    )
    _corrected = sentence(
        "Corrected gap = {gap} + {extra} = {corrected}.",
        corrected=lambda v: plain(number(v, "gap") + number(v, "extra")),
    )
    _excess = sentence("Excess gap = {gap} - 12 = {excess}.", excess=lambda v: abs(number(v, "gap") - 12))
    _delta = sentence(
        "Delta bicarbonate = {hco3} + {excess} = {delta}.",
        delta=lambda v: number(v, "hco3") + number(v, "excess"),
    )
    forms: ClassVar[tuple[Form, ...]] = (_read, _part, _gap, _no_bicarbonate, _albumin, _corrected, _excess, _delta)

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw electrolytes that a living patient can have; hard ones have a raised gap."""
        while True:
            na, cl, hco3 = rng.randint(125, 150), rng.randint(85, 115), rng.randint(6, 28)
            gap = na - cl - hco3
            if not (14 if level is Level.HARD else 4) <= gap <= 35:
                continue
            facts: dict[str, Value] = {
                "who": rng.choice(WHO),
                "na": Decimal(na),
                "cl": Decimal(cl),
                "hco3": Decimal(hco3),
            }
            if level is Level.MEDIUM:
                facts["albumin"] = Decimal(rng.randint(1, 3))
            return facts

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The solution; every answer is a number in mmol/L."""
        gap = Place(self._gap, self._no_bicarbonate, 0.3 if level is Level.EASY else 0.62)
        places: tuple[Place, ...] = (Place(self._read), Place(self._part), gap)
        source = "gap"
        if level is Level.MEDIUM:
            places, source = (*places, Place(self._albumin), Place(self._corrected)), "corrected"
        elif level is Level.HARD:
            places, source = (*places, Place(self._excess), Place(self._delta)), "delta"
        form = NumberFormat(unit="mmol/L", absolute_tolerance=0.05)
        return Case(self.name, level, facts, text, places, Template("{answer} mmol/L"), source, form)
