"""Weight-based dosing: mg/kg per day, divided doses, volume of a solution.

Daily doses are usual paediatric ones (mg/kg per day); the misconception is to give the daily dose at every dose.
"""

from decimal import Decimal
from random import Random
from typing import ClassVar

from meds3core.sandbox.forms import Case, Form, Level, Place, Wordings, sentence
from meds3core.sandbox.template import Template, Value, Values, number, plain
from meds3core.types.question import NumberFormat

# drug: (mg/kg per day, numbers of doses per day)
DRUGS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "amoxicillin": ((25, 30, 40, 45), (2, 3)),
    "cefalexin": ((25, 30, 40, 50), (2, 3, 4)),
    "erythromycin": ((30, 40, 50), (2, 4)),
    "clindamycin": ((12, 16, 20, 24), (3, 4)),
    "metronidazole": ((15, 20, 30), (2, 3)),
    "vancomycin": ((40, 60), (4,)),
    "ibuprofen": ((20, 24, 30), (3, 4)),
    "paracetamol": ((40, 45, 60), (3, 4)),
    "phenytoin": ((4, 5, 6, 8), (2,)),
    "carbamazepine": ((10, 12, 15, 20), (2, 3)),
    "valproate": ((20, 24, 30), (2, 3)),
    "levetiracetam": ((20, 30, 40), (2,)),
    "trimethoprim": ((6, 8), (2,)),
    "cefixime": ((8,), (2,)),
    "furosemide": ((2, 3, 4), (2, 3)),
    "spironolactone": ((2, 3), (2,)),
    "captopril": ((2, 3), (2, 3)),
    "omeprazole": ((2,), (2,)),
}
LARGEST = 299  # the largest number that is one token
WHO = ("child", "girl", "boy", "patient")
STRENGTHS = (2, 4, 5, 8, 10, 20, 25, 40, 50)


class Dosing:
    """Easy: one daily dose. Medium: divided doses. Hard: the volume of each dose."""

    name: ClassVar[str] = "dosing"
    surface: ClassVar[frozenset[str]] = frozenset({"who"})
    wordings: ClassVar[Wordings] = {
        Level.EASY: (
            Template("A {who:*} of {weight} kg gets {drug:*} {per_kg} mg/kg once a day. What is the dose in mg?"),
            Template(
                "A {who:*} weighs {weight} kg. The dose of {drug:*} is {per_kg} mg/kg once a day. How many mg is that?"
            ),
        ),
        Level.MEDIUM: (
            Template(
                "A {who:*} of {weight} kg gets {drug:*} {per_kg} mg/kg per day in {doses} doses. "
                "What is each dose in mg?"
            ),
            Template(
                "A {who:*} weighs {weight} kg. The dose of {drug:*} is {per_kg} mg/kg per day, divided into {doses} "
                "doses. How many mg is one dose?"
            ),
        ),
        Level.HARD: (
            Template(
                "A {who:*} of {weight} kg gets {drug:*} {per_kg} mg/kg per day in {doses} doses, as a liquid "
                "with {strength} mg per mL. What is each dose in mL?"
            ),
        ),
    }

    _read_once = sentence(
        "Weight is {weight} kg and {drug:*} is {per_kg} mg/kg once a day.", implies={"doses": lambda v: Decimal(1)}
    )
    _read = sentence("Weight is {weight} kg and {drug:*} is {per_kg} mg/kg per day in {doses} doses.")
    _once = sentence(
        "Dose = {weight} × {per_kg} = {dose} mg.", dose=lambda v: plain(number(v, "weight") * number(v, "per_kg"))
    )
    _daily = sentence(
        "Daily dose = {weight} × {per_kg} = {daily} mg.",
        daily=lambda v: plain(number(v, "weight") * number(v, "per_kg")),
    )
    _each = sentence(
        "Each dose = {daily} / {doses} = {dose} mg.", dose=lambda v: plain(number(v, "daily") / number(v, "doses"))
    )
    _undivided = sentence(
        "Each dose = {dose} mg.",
        misrules={"dose": lambda v: v["daily"]},
        dose=lambda v: plain(number(v, "daily") / number(v, "doses")),
    )
    _volume = sentence(
        "Volume = {dose} / {strength} = {volume} mL.",
        volume=lambda v: plain(number(v, "dose") / number(v, "strength")),
    )
    forms: ClassVar[tuple[Form, ...]] = (_read_once, _read, _once, _daily, _each, _undivided, _volume)

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw until all results are whole (a volume may have one decimal) and small."""
        while True:
            drug = rng.choice(list(DRUGS))
            per_kg, doses = (rng.choice(choices) for choices in DRUGS[drug])
            weight = rng.randint(3, 40)
            daily = weight * per_kg
            if daily > LARGEST or (level is not Level.EASY and daily % doses):
                continue
            facts: dict[str, Value] = {
                "who": "child" if weight < 9 else rng.choice(WHO),
                "drug": drug,
                "weight": Decimal(weight),
                "per_kg": Decimal(per_kg),
            }
            if level is not Level.EASY:
                facts["doses"] = Decimal(doses)
            if level is Level.HARD:
                fitting = [s for s in STRENGTHS if daily // doses % s == 0 and s < daily // doses]
                if not fitting:
                    continue
                facts["strength"] = Decimal(rng.choice(fitting))
            return facts

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The solution; every answer is a number."""
        each = Place(self._each, self._undivided, 0.62)
        if level is Level.EASY:
            places: tuple[Place, ...] = (Place(self._read_once), Place(self._once))
        elif level is Level.MEDIUM:
            places = (Place(self._read), Place(self._daily), each)
        else:
            places = (Place(self._read), Place(self._daily), each, Place(self._volume))
        unit, source = ("mL", "volume") if level is Level.HARD else ("mg", "dose")
        form = NumberFormat(unit=unit, absolute_tolerance=0.05)
        return Case(self.name, level, facts, text, places, Template(f"{{answer}} {unit}"), source, form)
