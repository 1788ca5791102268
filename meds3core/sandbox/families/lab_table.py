"""Entailment from a table of laboratory values: does the table support the statement? Yes, no, or maybe.

Maybe, because the value is not in the table. The misconception invents the missing value. Adult reference ranges in SI
or conventional units, as printed beside `ANALYTES`.
"""

from decimal import Decimal
from random import Random
from typing import ClassVar

from meds3core.sandbox.forms import NOT_STATED, Case, Form, Level, Place, Rule, Wordings, sentence
from meds3core.sandbox.template import Template, Value, Values
from meds3core.sandbox.verdict import ErrorKind
from meds3core.types.question import YesNoFormat

# analyte: (low, high, lowest and highest drawn), with the digits in which it is printed
ANALYTES: dict[str, tuple[str, str, str, str]] = {
    "sodium": ("135", "145", "120", "160"),  # mmol/L
    "potassium": ("3.5", "5.0", "2.5", "6.9"),  # mmol/L
    "chloride": ("98", "107", "85", "120"),  # mmol/L
    "urea": ("2.5", "7.8", "1.5", "19.9"),  # mmol/L
    "glucose": ("3.9", "5.6", "2.2", "15.9"),  # mmol/L, fasting
    "calcium": ("8.5", "10.5", "6.5", "13.5"),  # mg/dL
    "albumin": ("35", "50", "20", "58"),  # g/L
    "haemoglobin": ("12.0", "17.0", "6.0", "19.5"),  # g/dL
    "phosphate": ("0.8", "1.5", "0.3", "2.9"),  # mmol/L
    "bilirubin": ("3", "21", "2", "90"),  # µmol/L
}
SHOWN = {Level.EASY: 2, Level.MEDIUM: 3, Level.HARD: 4}
CLAIMS = ("low", "normal", "high")
_CRITERION = ErrorKind.WRONG_CRITERION


def _shown(values: Values) -> Value:
    """The value of the analyte in question, or that there is none."""
    for slot in "abcd":
        if values.get(f"name_{slot}") == values["analyte"]:
            return values[f"value_{slot}"]
    return NOT_STATED


def _has(values: Values) -> Value:
    return "lacks" if _shown(values) == NOT_STATED else "has"


def _middle(values: Values) -> Decimal:
    low, high = (Decimal(limit) for limit in ANALYTES[str(values["analyte"])][:2])
    return (low + (high - low) / 2).quantize(low, rounding="ROUND_HALF_UP")


def _limit(index: int) -> Rule:
    return lambda values: Decimal(ANALYTES[str(values["analyte"])][index])


def _class(values: Values) -> Value:
    low, high = (Decimal(limit) for limit in ANALYTES[str(values["analyte"])][:2])
    value = values["value"]
    if not isinstance(value, Decimal):
        return NOT_STATED
    return "low" if value < low else "high" if value > high else "normal"


def _conclusion(values: Values) -> Value:
    if values["class"] == NOT_STATED:
        return "maybe"
    return "yes" if values["class"] == values["claim"] else "no"


def _draw(rng: Random, analyte: str) -> Decimal:
    low, high, least, most = (Decimal(text) for text in ANALYTES[analyte])
    bounds = rng.choice(((least, low), (low, high), (high, most)))
    digits = int(low.as_tuple().exponent)
    return Decimal(rng.randint(*(int(bound.scaleb(-digits)) for bound in bounds))).scaleb(digits)


class LabTable:
    """A table of two (easy), three or four values; above the easy level the value is missing in half of the cases."""

    name: ClassVar[str] = "lab-table"
    surface: ClassVar[frozenset[str]] = frozenset()
    wordings: ClassVar[Wordings] = {
        level: (
            Template(
                "Table: "
                + ", ".join(f"{{name_{slot}:*}} {{value_{slot}}}" for slot in "abcd"[:shown])
                + ". Does the table show that {analyte:*} is {claim:low|normal|high}: yes, no or maybe?"
            ),
        )
        for level, shown in SHOWN.items()
    }

    _found = sentence(
        "The table {has:has|lacks} {analyte:*} at {value}.",
        errors={"has": ErrorKind.INVENTED, "value": ErrorKind.MISREAD},
        has=_has,
        value=_shown,
    )
    _judged = Form(
        Template("Normal is {low} to {high}, so {value} is {class:low|normal|high}."),
        rules={"low": _limit(0), "high": _limit(1), "class": _class},
        errors={"low": _CRITERION, "high": _CRITERION, "class": _CRITERION},
    )
    _missing = sentence(
        "The table {has:lacks|has} {analyte:*}.",
        errors={"has": ErrorKind.MISREAD},
        implies={"class": lambda v: NOT_STATED if v["has"] == "lacks" else _class({**v, "value": _shown(v)})},
        has=_has,
    )
    _invented = Form(
        Template("The table {has:has|lacks} {analyte:*} at {value}, which is {class:low|normal|high}."),
        rules={"has": _has, "value": _shown, "class": _class},
        misrules={"has": lambda v: "has", "value": _middle, "class": lambda v: "normal"},
        flaw=ErrorKind.INVENTED,
    )
    _concluded = sentence(
        "It is {class:low|normal|high|not stated} and the claim is {claim:low|normal|high}, "
        "so {answer_word:yes|no|maybe}.",
        errors={"answer_word": _CRITERION},
        answer_word=_conclusion,
    )
    forms: ClassVar[tuple[Form, ...]] = (_found, _judged, _missing, _invented, _concluded)

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw a table and a claim about an analyte that is in it or not."""
        shown = SHOWN[level]
        names = rng.sample(list(ANALYTES), shown + 1)
        facts: dict[str, Value] = {}
        for slot, name in zip("abcd", names[:shown], strict=False):
            facts |= {f"name_{slot}": name, f"value_{slot}": _draw(rng, name)}
        missing = rng.random() < (0.2 if level is Level.EASY else 0.5)
        facts["analyte"] = names[shown] if missing else rng.choice(names[:shown])
        facts["claim"] = rng.choice(CLAIMS)
        if not missing and rng.random() < 0.4:  # else "yes" would be rare
            facts["claim"] = _class({**facts, "value": _shown(facts)})
        return facts

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The solution: yes, no or maybe."""
        concluded = Place(self._concluded)
        if _shown(facts) == NOT_STATED:
            places: tuple[Place, ...] = (Place(self._missing, self._invented, 0.62), concluded)
        else:
            places = (Place(self._found), Place(self._judged), concluded)
        form = YesNoFormat(maybe=True)
        answer = Template("{answer:yes|no|maybe}")
        return Case(self.name, level, facts, text, places, answer, "answer_word", form)
