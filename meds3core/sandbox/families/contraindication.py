"""Contraindication look-up in a note: which planned medicine must this patient not have?

The note states three conditions, some of them denied. The misconception takes a denied condition for a present one.
"""

from decimal import Decimal
from random import Random
from typing import ClassVar

from meds3core.sandbox.forms import Case, Form, Level, Place, Rule, Wordings, sentence
from meds3core.sandbox.template import Template, Value, Values
from meds3core.sandbox.verdict import ErrorKind
from meds3core.types.question import AnswerFormat, ChoiceFormat, Option, TextFormat

# medicine: the condition in which it is contraindicated
AVOIDED_IN = {
    "propranolol": "asthma",
    "ibuprofen": "peptic ulcer",
    "metformin": "renal failure",
    "amoxicillin": "penicillin allergy",
    "verapamil": "heart failure",
    "sumatriptan": "angina",
    "bupropion": "epilepsy",
    "isotretinoin": "pregnancy",
    "metoclopramide": "parkinsonism",
    "oxybutynin": "glaucoma",
    "hydrochlorothiazide": "gout",
    "methotrexate": "cirrhosis",
    "neostigmine": "ileus",
    "tranexamic acid": "thrombosis",
    "mefloquine": "psychosis",
    "suxamethonium": "myopathy",
}
DRUGS, CONDITIONS = tuple(AVOIDED_IN), tuple(AVOIDED_IN.values())
HAS, DENIES = "has", "denies"
_READING = ErrorKind.MISREAD
_CRITERION = ErrorKind.WRONG_CRITERION


def _condition(drug: str) -> Rule:
    return lambda values: AVOIDED_IN.get(str(values[drug]), "nothing")


def _status(values: Values, index: int) -> Value:
    """What the note says of the condition that matters for planned medicine `index`."""
    condition = values[f"condition_{index}"]
    for slot in "abc":
        if values[f"note_{slot}"] == condition:
            return values[f"says_{slot}"]
    return "not in note"


def _stated(index: int) -> Rule:
    return lambda values: _status(values, index)


def _mentioned(index: int) -> Rule:
    return lambda values: HAS if _status(values, index) == DENIES else _status(values, index)


def _avoided(values: Values) -> Value:
    return next((str(values[f"drug_{i}"]) for i in (1, 2, 3) if values[f"status_{i}"] == HAS), str(values["drug_3"]))


def _letter(values: Values) -> Value:
    return next(("ABC"[i - 1] for i in (1, 2, 3) if values[f"drug_{i}"] == values["avoided"]), "C")


_CHOICES = "|".join((*CONDITIONS, "nothing"))
_STATUS = f"{HAS}|{DENIES}|not in note"
_NOTE = (
    "Note: {who:*}, {age} years, seen for {reason:*}, {says_a:has|denies} {note_a:*}, {says_b:has|denies} {note_b:*}, "
    "{says_c:has|denies} {note_c:*}. "
)


class Contraindication:
    """Easy: nothing is denied. Medium: two conditions are denied. Hard: the same among options."""

    name: ClassVar[str] = "contraindication"
    surface: ClassVar[frozenset[str]] = frozenset({"who", "age", "reason"})
    wordings: ClassVar[Wordings] = {
        Level.EASY: (Template(_NOTE + "Which is contraindicated: {drug_1:*}, {drug_2:*} or {drug_3:*}?"),),
        Level.MEDIUM: (Template(_NOTE + "Planned: {drug_1:*}, {drug_2:*}, {drug_3:*}. Which must not be given?"),),
        Level.HARD: (
            Template(_NOTE + "Which planned medicine must not be given?\nA. {drug_1:*}\nB. {drug_2:*}\nC. {drug_3:*}"),
        ),
    }

    _looks = tuple(
        Form(
            Template(f"The drug {{drug_{i}:*}} is avoided in {{condition_{i}:{_CHOICES}}}: {{status_{i}:{_STATUS}}}."),
            rules={f"condition_{i}": _condition(f"drug_{i}"), f"status_{i}": _stated(i)},
            errors={f"condition_{i}": _CRITERION, f"status_{i}": _READING},
        )
        for i in (1, 2, 3)
    )
    _presumes = tuple(
        Form(
            Template(
                f"The drug {{drug_{i}:*}} is avoided in {{condition_{i}:{_CHOICES}}}, "
                f"in the note: {{status_{i}:{_STATUS}}}."
            ),
            rules={f"condition_{i}": _condition(f"drug_{i}"), f"status_{i}": _stated(i)},
            misrules={f"status_{i}": _mentioned(i)},
            flaw=_READING,
            errors={f"condition_{i}": _CRITERION},
        )
        for i in (1, 2, 3)
    )
    _last = sentence(
        f"So {{avoided:{'|'.join(DRUGS)}}} is contraindicated.", errors={"avoided": _CRITERION}, avoided=_avoided
    )
    _option = sentence(
        f"So {{avoided:{'|'.join(DRUGS)}}} is contraindicated, which is option {{letter:A|B|C}}.",
        errors={"avoided": _CRITERION, "letter": _READING},
        avoided=_avoided,
        letter=_letter,
    )
    forms: ClassVar[tuple[Form, ...]] = (*_looks, *_presumes, _last, _option)

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw three planned medicines; the note holds one's condition, denies another's and has an unrelated one."""
        planned = rng.sample(DRUGS, 3)
        others = [c for c in CONDITIONS if c not in {AVOIDED_IN[drug] for drug in planned}]
        guilty, innocent = rng.sample(planned, 2)
        unrelated, denied = rng.sample(others, 2)
        if level is Level.EASY:
            note = [(HAS, AVOIDED_IN[guilty]), (HAS, unrelated), (HAS, denied)]
        else:
            note = [(HAS, AVOIDED_IN[guilty]), (DENIES, AVOIDED_IN[innocent]), (rng.choice((HAS, DENIES)), unrelated)]
        rng.shuffle(note)
        who, age = rng.choice(("man", "woman")), rng.randint(20, 90)
        if any(condition == "pregnancy" for _, condition in note):
            # Nobody notes for a man, or at eighty, whether there is a pregnancy.
            who, age = "woman", 18 + age % 26
        facts: dict[str, Value] = {
            "who": who,
            "age": Decimal(age),
            "reason": rng.choice(("cough", "back pain", "fever", "headache", "fatigue", "rash")),
        }
        for slot, (says, condition) in zip("abc", note, strict=True):
            facts |= {f"says_{slot}": says, f"note_{slot}": condition}
        return facts | {f"drug_{i}": drug for i, drug in enumerate(planned, start=1)}

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The solution: a medicine, or the letter of one."""
        looks = tuple(Place(*pair, 0.6) for pair in zip(self._looks, self._presumes, strict=True))
        form: AnswerFormat
        if level is Level.HARD:
            last, source, answer = self._option, "letter", "{answer:A|B|C}"
            form = ChoiceFormat(
                options=tuple(Option(letter="ABC"[i - 1], text=str(facts[f"drug_{i}"])) for i in (1, 2, 3))
            )
        else:
            last, source, answer, form = self._last, "avoided", f"{{answer:{'|'.join(DRUGS)}}}", TextFormat()
        return Case(self.name, level, facts, text, (*looks, Place(last)), Template(answer), source, form)
