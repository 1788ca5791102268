"""Acid–base disorders: the primary one, Winter's expected pCO2, and whether breathing compensates.

pH 7.35 to 7.45, HCO3 22 to 26 mmol/L, pCO2 35 to 45 mmHg. Winter: expected pCO2 = 1.5 × HCO3 + 8, ± 2. Misconceptions:
every acidosis is metabolic, and Winter's formula without its constant.
"""

from decimal import Decimal
from random import Random
from typing import ClassVar

from meds3core.sandbox.forms import Case, Form, Level, Place, Wordings, sentence
from meds3core.sandbox.template import Template, Value, Values, number, plain
from meds3core.sandbox.verdict import ErrorKind
from meds3core.types.question import AnswerFormat, ChoiceFormat, NumberFormat, Option, TextFormat

WHO = ("man", "woman", "patient")
PRIMARY = ("metabolic acidosis", "respiratory acidosis", "metabolic alkalosis", "respiratory alkalosis")
BREATHING = ("respiratory acidosis", "compensation", "respiratory alkalosis")
_CRITERION = ErrorKind.WRONG_CRITERION


def _kind(values: Values) -> Value:
    return "acidosis" if number(values, "ph") < Decimal("7.35") else "alkalosis"


def _primary(values: Values) -> Value:
    acid, bicarbonate = values["kind"] == "acidosis", number(values, "hco3")
    metabolic = bicarbonate < 22 if acid else bicarbonate > 26
    return f"{'metabolic' if metabolic else 'respiratory'} {values['kind']}"


def _verdict(values: Values) -> Value:
    excess = number(values, "pco2") - number(values, "expected")
    return BREATHING[0 if excess > 2 else 2 if excess < -2 else 1]


def _letter(values: Values) -> Value:
    return next((x for x in "abc" if values[f"option_{x}"] == values["verdict"]), "a").upper()


class AcidBase:
    """Easy: the primary disorder. Medium: the expected pCO2. Hard: what breathing adds, among options."""

    name: ClassVar[str] = "acid-base"
    surface: ClassVar[frozenset[str]] = frozenset({"who", "option_a", "option_b", "option_c"})
    wordings: ClassVar[Wordings] = {
        Level.EASY: (
            Template(
                "A {who:*} has pH {ph}, pCO2 {pco2} mmHg and bicarbonate {hco3} mmol/L. "
                "What is the primary acid-base disorder?"
            ),
        ),
        Level.MEDIUM: (
            Template(
                "A {who:*} with metabolic acidosis has pH {ph} and bicarbonate {hco3} mmol/L. "
                "Which pCO2 does Winter's formula expect?"
            ),
        ),
        Level.HARD: (
            Template(
                "A {who:*} with metabolic acidosis has bicarbonate {hco3} mmol/L and pCO2 {pco2} mmHg. "
                "What does the breathing show?\nA. {option_a:*}\nB. {option_b:*}\nC. {option_c:*}"
            ),
        ),
    }

    _ph = sentence("pH {ph} means {kind:acidosis|alkalosis}.", errors={"kind": _CRITERION}, kind=_kind)
    _cause = sentence(
        f"Bicarbonate {{hco3}} against 22 to 26 and pCO2 {{pco2}} make it {{primary:{'|'.join(PRIMARY)}}}.",
        errors={"primary": _CRITERION},
        primary=_primary,
    )
    _all_metabolic = sentence(
        f"With pH {{ph}} it is {{primary:{'|'.join(PRIMARY)}}}.",
        misrules={"primary": lambda v: f"metabolic {v['kind']}"},
        flaw=_CRITERION,
        primary=_primary,
    )
    _product = sentence(
        "1.5 × bicarbonate = 1.5 × {hco3} = {product}.", product=lambda v: plain(Decimal("1.5") * number(v, "hco3"))
    )
    _winter = sentence("Expected pCO2 = {product} + 8 = {expected}.", expected=lambda v: number(v, "product") + 8)
    _no_constant = sentence(
        "Expected pCO2 = {expected}.",
        misrules={"expected": lambda v: v["product"]},
        expected=lambda v: number(v, "product") + 8,
    )
    _breathing = sentence(
        f"Measured {{pco2}} against {{expected}} shows {{verdict:{'|'.join(BREATHING)}}}, "
        "which is option {letter:A|B|C}.",
        errors={"verdict": _CRITERION, "letter": ErrorKind.MISREAD},
        verdict=_verdict,
        letter=_letter,
    )
    forms: ClassVar[tuple[Form, ...]] = (_ph, _cause, _all_metabolic, _product, _winter, _no_constant, _breathing)

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw gases whose pH, pCO2 and bicarbonate agree in direction."""
        facts: dict[str, Value] = {"who": rng.choice(WHO)}
        if level is Level.EASY:
            acid, metabolic = rng.random() < 0.5, rng.random() < 0.4
            facts["ph"] = Decimal(rng.randint(705, 732) if acid else rng.randint(748, 760)).scaleb(-2)
            if metabolic:
                hco3, pco2 = (
                    (rng.randint(6, 20), rng.randint(18, 34)) if acid else (rng.randint(29, 42), rng.randint(46, 56))
                )
            else:
                hco3, pco2 = (
                    (rng.randint(25, 36), rng.randint(50, 80)) if acid else (rng.randint(15, 24), rng.randint(18, 32))
                )
            return facts | {"pco2": Decimal(pco2), "hco3": Decimal(hco3)}
        hco3 = rng.randrange(6, 21, 2)
        if level is Level.MEDIUM:
            # Within the range that pH and bicarbonate leave to a pCO2 between 10 and 50.
            return facts | {"ph": Decimal(rng.randint(700, 734)).scaleb(-2), "hco3": Decimal(hco3)}
        expected = hco3 * 3 // 2 + 8
        pco2 = expected + rng.choice((rng.randint(-2, 2), rng.randint(5, 15), -rng.randint(5, 9)))
        options = rng.sample(BREATHING, 3)
        facts |= {"hco3": Decimal(hco3), "pco2": Decimal(pco2)}
        return facts | {f"option_{letter}": text for letter, text in zip("abc", options, strict=True)}

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The solution: a disorder, a number in mmHg, or the letter of what breathing adds."""
        winter = (Place(self._product), Place(self._winter, self._no_constant, 0.6 if level is Level.HARD else 0.35))
        form: AnswerFormat
        if level is Level.EASY:
            places: tuple[Place, ...] = (Place(self._ph), Place(self._cause, self._all_metabolic, 0.6))
            source, answer, form = "primary", f"{{answer:{'|'.join(PRIMARY)}}}", TextFormat()
        elif level is Level.MEDIUM:
            places = winter
            source, answer, form = "expected", "{answer} mmHg", NumberFormat(unit="mmHg", absolute_tolerance=0.05)
        else:
            places = (*winter, Place(self._breathing))
            options = tuple(Option(letter=x.upper(), text=str(facts[f"option_{x}"])) for x in "abc")
            source, answer, form = "letter", "{answer:A|B|C}", ChoiceFormat(options=options)
        return Case(self.name, level, facts, text, places, Template(answer), source, form)
