"""Reasoning about a case, right or with planted errors, as the policy is taught it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from meds3core.sandbox.forms import Case, Form, Place
from meds3core.sandbox.template import Value, Values
from meds3core.sandbox.verdict import ErrorKind
from meds3core.text.steps import OPENER

SLIP_RATE = 0.01
"""How often a number or a word in a demonstration is not the one that it should be."""


@dataclass(frozen=True)
class Written:
    """Bodies of the steps, step 0 included, and the errors planted, by the number of the step."""

    bodies: tuple[str, ...]
    planted: Mapping[int, ErrorKind]


def write(case: Case, rng: Random | None = None, slip_rate: float = SLIP_RATE, rate_scale: float = 1.0) -> Written:
    """Reasoning with misconceptions (at their own rates times `rate_scale`) and slips; without `rng`, the right one.

    An error is carried on: later steps compute with the wrong value, as a person would.
    """
    values = dict(case.facts)
    bodies: list[str] = [OPENER]
    planted: dict[int, ErrorKind] = {}
    mentioned: set[str] = set()
    for number, place in enumerate(case.places, start=1):
        form = _choose(place, rng, rate_scale)
        said: dict[str, Value] = {}
        for slot in form.template.slots:
            due = form.rules[slot](values) if slot in form.rules else values[slot]
            value = form.misrules[slot](values) if slot in form.misrules else due
            # A value is misread or miscalculated where it first occurs; later steps repeat what was said.
            if rng is not None and slot not in mentioned and slot not in form.misrules and rng.random() < slip_rate:
                value = _slip(form, slot, value, rng)
            if value != due:
                planted.setdefault(number, form.error_of(slot) if slot in form.rules else _copying_error(case, slot))
            said[slot] = values[slot] = value
            mentioned.add(slot)
        for slot, rule in form.implies.items():
            values[slot] = rule(values)
        body = form.template.write(said)
        if number == len(case.places):
            body = f"{body} {state_answer(case, values)}"
        bodies.append(body)
    return Written(tuple(bodies), planted)


def state_answer(case: Case, values: Values) -> str:
    """The closing sentence, with the answer that these values lead to."""
    return f"The answer is {case.answer.write({'answer': values[case.answer_from]})}."


def _copying_error(case: Case, slot: str) -> ErrorKind:
    return ErrorKind.MISREAD if slot in case.facts else ErrorKind.CONTRADICTION


def _choose(place: Place, rng: Random | None, rate_scale: float) -> Form:
    if rng is not None and place.wrong is not None and rng.random() < place.rate * rate_scale:
        return place.wrong
    return place.right


def _slip(form: Form, slot: str, value: Value, rng: Random) -> Value:
    if isinstance(value, Decimal):
        unit = Decimal(1).scaleb(int(value.as_tuple().exponent))  # the last digit written
        step = unit * rng.choice((1, 1, 2, 10))
        return value - step if rng.random() < 0.5 and value > step else value + step
    others = [word for word in form.template.words.get(slot, ()) if word != value]
    return rng.choice(others) if others else value
