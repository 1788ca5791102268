"""CURB-65 in community-acquired pneumonia: the score and where to treat.

One point each: Confusion; Urea above 7 mmol/L; Respiratory rate at least 30/min; Blood pressure: systolic below 90 or
diastolic 60 mmHg or less; age at least 65 (Lim 2003). 0–1: home, 2: ward, 3–5: assess for intensive care. The
misconception ignores the diastolic pressure.
"""

from decimal import Decimal
from random import Random
from typing import ClassVar

from meds3core.sandbox.forms import Case, Form, Level, Place, Rule, Wordings, sentence
from meds3core.sandbox.template import Template, Value, Values, number
from meds3core.sandbox.verdict import ErrorKind
from meds3core.types.question import AnswerFormat, ChoiceFormat, NumberFormat, Option, TextFormat

SITES = ("home", "ward", "intensive care")
_CRITERION = ErrorKind.WRONG_CRITERION


def _side(name: str, test: str, threshold: int) -> Rule:
    def rule(values: Values) -> Value:
        value = number(values, name)
        met = value > threshold if test == "above" else value >= threshold
        return test if met else f"not {test}"

    return rule


def _point(side: str) -> Rule:
    return lambda values: Decimal(0) if str(values[side]).startswith("not") else Decimal(1)


def _pressure_point(values: Values) -> Value:
    return Decimal(int(number(values, "sbp") < 90 or number(values, "dbp") <= 60))


def _total(values: Values) -> Value:
    return sum((number(values, f"p{i}") for i in range(1, 6)), Decimal(0))


def _site(values: Values) -> Value:
    return SITES[0 if number(values, "total") <= 1 else 1 if number(values, "total") == 2 else 2]


def _letter(values: Values) -> Value:
    return next((letter for letter in "abc" if values[f"option_{letter}"] == values["site"]), "a").upper()


class Curb65:
    """Easy: the score. Medium: the site of care. Hard: the site of care among options."""

    name: ClassVar[str] = "curb65"
    surface: ClassVar[frozenset[str]] = frozenset({"option_a", "option_b", "option_c"})
    _findings = (
        "Pneumonia at age {age}, confusion {confusion:present|absent}, urea {urea} mmol/L, breathing rate {rate}, "
        "pressure {sbp}/{dbp}. "
    )
    wordings: ClassVar[Wordings] = {
        Level.EASY: (Template(_findings + "What is the CURB-65 score?"),),
        Level.MEDIUM: (Template(_findings + "By CURB-65, is the place of care home, ward or intensive care?"),),
        Level.HARD: (
            Template(
                _findings + "By CURB-65, which is the place of care?\nA. {option_a:*}\nB. {option_b:*}\nC. {option_c:*}"
            ),
        ),
    }

    _confusion = sentence(
        "Confusion is {confusion:present|absent}, point {p1}.",
        errors={"p1": _CRITERION},
        p1=lambda v: Decimal(int(v["confusion"] == "present")),
    )
    _urea = sentence(
        "Urea {urea} is {urea_side:above|not above} 7, point {p2}.",
        errors={"urea_side": _CRITERION, "p2": _CRITERION},
        urea_side=_side("urea", "above", 7),
        p2=_point("urea_side"),
    )
    _rate = sentence(
        "Rate {rate} is {rate_side:at least|not at least} 30, point {p3}.",
        errors={"rate_side": _CRITERION, "p3": _CRITERION},
        rate_side=_side("rate", "at least", 30),
        p3=_point("rate_side"),
    )
    _pressure = sentence(
        "Pressure {sbp}/{dbp} against 90/60, point {p4}.", errors={"p4": _CRITERION}, p4=_pressure_point
    )
    _systolic = sentence(
        "Systolic {sbp} against 90, point {p4}.",
        misrules={"p4": lambda v: Decimal(int(number(v, "sbp") < 90))},
        flaw=_CRITERION,
        p4=_pressure_point,
    )
    _age = sentence(
        "Age {age} is {age_side:at least|not at least} 65, point {p5}.",
        errors={"age_side": _CRITERION, "p5": _CRITERION},
        age_side=_side("age", "at least", 65),
        p5=_point("age_side"),
    )
    _sum = sentence("Score = {p1} + {p2} + {p3} + {p4} + {p5} = {total}.", total=_total)
    _place = sentence(
        "Score = {p1} + {p2} + {p3} + {p4} + {p5} = {total}, so {site:home|ward|intensive care}.",
        errors={"site": _CRITERION},
        total=_total,
        site=_site,
    )
    _option = sentence(
        "Score = {p1} + {p2} + {p3} + {p4} + {p5} = {total}, so {site:home|ward|intensive care}, "
        "which is option {letter:A|B|C}.",
        errors={"site": _CRITERION, "letter": ErrorKind.MISREAD},
        total=_total,
        site=_site,
        letter=_letter,
    )
    forms: ClassVar[tuple[Form, ...]] = (_confusion, _urea, _rate, _pressure, _systolic, _age, _sum, _place, _option)

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw findings; above the easy level the diastolic criterion alone decides the pressure point often."""
        kind = rng.random()
        diastolic_alone = kind < (0.3 if level is Level.EASY else 0.6)
        if diastolic_alone:
            sbp, dbp = rng.randint(90, 125), rng.randint(42, 60)
        elif kind < 0.75:
            sbp, dbp = rng.randint(72, 89), rng.randint(40, 58)
        else:
            sbp, dbp = rng.randint(95, 160), rng.randint(61, 95)
        facts: dict[str, Value] = {
            "age": Decimal(rng.randint(30, 85)),
            "confusion": rng.choice(("present", "absent", "absent")),
            "urea": Decimal(rng.randint(3, 12)),
            "rate": Decimal(rng.randint(16, 36)),
            "sbp": Decimal(sbp),
            "dbp": Decimal(dbp),
        }
        if level is Level.HARD:
            options = rng.sample(SITES, 3)
            facts |= {f"option_{letter}": site for letter, site in zip("abc", options, strict=True)}
        return facts

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The solution: a number, a place of care, or the letter of one."""
        points = (
            Place(self._confusion),
            Place(self._urea),
            Place(self._rate),
            Place(self._pressure, self._systolic, 0.65),
            Place(self._age),
        )
        form: AnswerFormat
        if level is Level.EASY:
            last, source, answer, form = self._sum, "total", "{answer}", NumberFormat()
        elif level is Level.MEDIUM:
            last, source, answer, form = self._place, "site", f"{{answer:{'|'.join(SITES)}}}", TextFormat()
        else:
            options = tuple(Option(letter=x.upper(), text=str(facts[f"option_{x}"])) for x in "abc")
            last, source, answer, form = self._option, "letter", "{answer:A|B|C}", ChoiceFormat(options=options)
        return Case(self.name, level, facts, text, (*points, Place(last)), Template(answer), source, form)
