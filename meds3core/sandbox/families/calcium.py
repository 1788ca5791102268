"""Calcium corrected for albumin: Ca + 0.8 × (4 − albumin), mg/dL and g/dL (Payne).

Reference range 8.5 to 10.5 mg/dL. The misconception multiplies the albumin itself instead of its deficit.
"""

from decimal import Decimal
from random import Random
from typing import ClassVar

from meds3core.sandbox.forms import Case, Form, Level, Place, Wordings, sentence
from meds3core.sandbox.template import Template, Value, Values, number, tenth
from meds3core.sandbox.verdict import ErrorKind
from meds3core.types.question import AnswerFormat, NumberFormat, TextFormat

WHO = ("man", "woman", "patient")
LOW, HIGH = Decimal("8.5"), Decimal("10.5")
CLASSES = ("low", "normal", "high")


def _class(values: Values) -> Value:
    calcium = number(values, "corrected")
    return "low" if calcium < LOW else "high" if calcium > HIGH else "normal"


class Calcium:
    """Easy: albumin in halves. Medium: in tenths. Hard: also low, normal or high."""

    name: ClassVar[str] = "calcium"
    surface: ClassVar[frozenset[str]] = frozenset({"who"})
    wordings: ClassVar[Wordings] = {
        Level.EASY: (
            Template("A {who:*} has calcium {ca} mg/dL and albumin {albumin} g/dL. What is the corrected calcium?"),
        ),
        Level.MEDIUM: (
            Template("Calcium is {ca} mg/dL and albumin {albumin} g/dL in a {who:*}. Correct the calcium for albumin."),
        ),
        Level.HARD: (
            Template(
                "A {who:*} has calcium {ca} mg/dL and albumin {albumin} g/dL. Corrected for albumin, is the calcium "
                "low, normal or high?"
            ),
        ),
    }

    _read = sentence("Calcium is {ca} and albumin is {albumin}.")
    _deficit = sentence(
        "Albumin deficit = 4 - {albumin} = {deficit}.", deficit=lambda v: tenth(abs(4 - number(v, "albumin")))
    )
    _extra = sentence(
        "Correction = 0.8 × {deficit} = {extra}.", extra=lambda v: tenth(Decimal("0.8") * number(v, "deficit"))
    )
    _whole_albumin = sentence(
        "Correction = 0.8 × {albumin} = {extra}.",
        misrules={"extra": lambda v: tenth(Decimal("0.8") * number(v, "albumin"))},
        extra=lambda v: tenth(Decimal("0.8") * number(v, "deficit")),
    )
    _corrected = sentence(
        "Corrected calcium = {ca} + {extra} = {corrected} mg/dL.",
        corrected=lambda v: tenth(number(v, "ca") + number(v, "extra")),
    )
    _judged = sentence(
        "The range is 8.5 to 10.5, so {corrected} is {level:low|normal|high}.",
        errors={"level": ErrorKind.WRONG_CRITERION},
        level=_class,
    )
    forms: ClassVar[tuple[Form, ...]] = (_read, _deficit, _extra, _whole_albumin, _corrected, _judged)

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw a calcium and a lowered albumin."""
        tenths = rng.randrange(10, 40, 5) if level is Level.EASY else rng.randint(10, 38)
        return {
            "who": rng.choice(WHO),
            "ca": Decimal(rng.randint(60, 115)).scaleb(-1),
            "albumin": Decimal(tenths).scaleb(-1),
        }

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The solution: a number in mg/dL, or a class."""
        extra = Place(self._extra, self._whole_albumin, 0.62 if level is Level.MEDIUM else 0.3)
        places: tuple[Place, ...] = (Place(self._read), Place(self._deficit), extra, Place(self._corrected))
        form: AnswerFormat
        if level is Level.HARD:
            places, source, answer, form = (
                (*places, Place(self._judged)),
                "level",
                "{answer:low|normal|high}",
                TextFormat(),
            )
        else:
            source, answer, form = "corrected", "{answer} mg/dL", NumberFormat(unit="mg/dL", absolute_tolerance=0.051)
        return Case(self.name, level, facts, text, places, Template(answer), source, form)
