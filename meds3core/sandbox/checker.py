"""The step checker: is a step right, absolutely and given the steps before it, and if not, what is wrong with it?

A step is read by the sentence forms of its family. Each value in it is compared twice: with the right solution
(absolutely), and with what follows from the question and from the values that earlier steps stated (given the prefix).
A wrong value that is carried on is thus counted once, where it arose.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from meds3core.sandbox.clinic import FAMILIES
from meds3core.sandbox.forms import Case, Form, Rule
from meds3core.sandbox.questions import case_of
from meds3core.sandbox.template import Value, Values
from meds3core.sandbox.verdict import ErrorKind, StepVerdict
from meds3core.text.steps import OPENER, split
from meds3core.types.question import OpenQuestion

RETRACTION = "But wait, "
"""A step that begins so takes back what was said: it is judged without the values stated before."""

_ANSWER = re.compile(r"(?:(?P<rest>.*) )?The answer is (?P<answer>.+)\.", re.DOTALL)
_UNKNOWN = StepVerdict(right_absolutely=False, right_given_prefix=False, error=ErrorKind.UNKNOWN_STYLE)
_RIGHT = StepVerdict(right_absolutely=True, right_given_prefix=True)


@dataclass(frozen=True)
class _Reading:
    """One way to read a step: the values it states and where it first goes wrong."""

    stated: Values
    right_absolutely: bool
    error: ErrorKind | None
    slots_before_error: int

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """Of several readings the most favourable one counts."""
        return self.error is None, self.slots_before_error, self.right_absolutely


def judge_response(question: OpenQuestion, response: str) -> list[StepVerdict]:
    """The verdict on every step of a trajectory's text. Raises `NotAClinicQuestion`."""
    return judge_steps(case_of(question), [step.body.strip() for step in split(response)])


def judge_step(case: Case, earlier: Sequence[str], body: str) -> StepVerdict:
    """The verdict on a step that follows these bodies (step 0 included)."""
    return judge_steps(case, [*earlier, body])[-1]


def judge_steps(case: Case, bodies: Sequence[str]) -> list[StepVerdict]:
    """The verdicts on all steps, in order."""
    known: dict[str, Value] = {}
    verdicts = []
    for body in bodies:
        if body == OPENER:
            verdicts.append(_RIGHT)
            continue
        if body.startswith(RETRACTION):
            known, body = {}, body.removeprefix(RETRACTION)
        reading = _read(case, body, known)
        if reading is None:
            verdicts.append(_UNKNOWN)
            continue
        known |= reading.stated
        verdicts.append(
            StepVerdict(
                right_absolutely=reading.right_absolutely,
                right_given_prefix=reading.error is None,
                error=reading.error,
            )
        )
    return verdicts


def _read(case: Case, body: str, known: Values) -> _Reading | None:
    match = _ANSWER.fullmatch(body)
    sentence = body if match is None else (match["rest"] or "")
    if match is None or sentence:
        forms = [(form, form.template.read(sentence)) for form in FAMILIES[case.family].forms]
        readings = [_compare(case, form, stated, known) for form, stated in forms if stated is not None]
        if not readings:
            return None
        reading = max(readings, key=lambda candidate: candidate.rank)
    else:
        reading = _Reading({}, True, None, 0)
    return reading if match is None else _with_answer(case, reading, match["answer"], known)


def _compare(case: Case, form: Form, stated: Values, known: Values) -> _Reading:
    """Compare every value that the sentence states with what it should be."""
    following: dict[str, Value] = {**case.truth, **known}  # what the question and the steps so far lead to
    error, before_error, right = None, 0, True
    for slot in form.template.slots:
        if slot in form.rules:
            due, kind = _apply(form.rules, slot, following), form.error_of(slot)
        elif slot in known:
            due, kind = known[slot], ErrorKind.CONTRADICTION
        else:
            due, kind = case.truth.get(slot), ErrorKind.MISREAD if slot in case.facts else ErrorKind.CONTRADICTION
        if due is None:
            kind = ErrorKind.WRONG_FORMULA  # the question has no such value
        if error is None and (due is None or not _same(stated[slot], due)):
            error = kind
        if error is None:
            before_error += 1
        true = case.truth.get(slot)
        if true is None and slot in form.rules:
            true = _apply(form.rules, slot, case.truth)
        right = right and true is not None and _same(stated[slot], true)
        following[slot] = stated[slot]
    settled = dict(stated)
    for slot in form.implies:
        value = _apply(form.implies, slot, following)
        if value is None:
            error, right = error or ErrorKind.WRONG_FORMULA, False
            continue
        settled[slot] = following[slot] = value
        if slot in case.facts and not _same(value, case.facts[slot]):
            error, right = error or ErrorKind.MISREAD, False
    if error is None and not right and _undisturbed(case, known):
        error = ErrorKind.WRONG_FORMULA  # rightly computed from right values, but not what the question needs
    return _Reading(settled, right, error, before_error)


def _with_answer(case: Case, reading: _Reading, answer: str, known: Values) -> _Reading:
    """Add the stated answer to the reading. It must be the value that the steps led to."""
    said = {**known, **reading.stated}
    source = case.answer_from
    values = case.answer.read(answer)
    value = None if values is None else values["answer"]
    right = reading.right_absolutely and value is not None and _same(value, case.truth[source])
    error = reading.error
    if error is None and (value is None or not _same(value, said.get(source, case.truth[source]))):
        error = ErrorKind.CONTRADICTION if source in said else ErrorKind.WRONG_FORMULA
    return _Reading(reading.stated, right, error, reading.slots_before_error)


def _apply(rules: Mapping[str, Rule], slot: str, values: Values) -> Value | None:
    """The right value of a slot, or None where its rule does not fit these values."""
    try:
        return rules[slot](values)
    except (KeyError, TypeError, ArithmeticError):
        return None


def _undisturbed(case: Case, known: Values) -> bool:
    """Whether all that was said so far is right."""
    return all(_same(value, case.truth[slot]) for slot, value in known.items() if slot in case.truth)


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one == other
    return str(one).lower() == str(other).lower()
