"""Answers that are one number, with a unit where the format has one. Ranges and sums are no answer."""

import math
import re

from meds3core.text.answers import Found, Settled, claims, lower, plain, sentence_end, settle
from meds3core.types.question import NumberFormat, OpenQuestion, Question
from meds3core.verify.quantity import Quantity, decimal, quantities, single_quantity
from meds3core.verify.units import NO_UNIT, Unit, parse_unit

_HEDGE = re.compile(
    r"\b(?:between|at least|at most|less than|more than|fewer than|greater than|higher than|lower than|under|over|"
    r"above|below|up to|minimum|maximum|exceeds?|exceeding|from|either|neither|not)\b|[<>≤≥±]"
)
_MORE = re.compile(
    r"\s?(?:-|/|±|\+/?-?|[x×*]|\bto\b|\bor\b|\band\b|\btimes\b|÷)\s?(?:about |approximately |another )?[-+]?\.?\d",
    re.IGNORECASE,
)
_FREQUENCY = re.compile(
    r"\s?,?\s?(?:once|twice|thrice|\w{3,6}\stimes)\s(?:daily|weekly|an?\s|per\s|every\s|each\s)\w*", re.I
)
_TWO_BEFORE = re.compile(r"\d[^.\d\n]{0,20}(?:-|/|±|\bto\b|\bor\b|\band\b)\s*(?:option\s)?$")
_COMPLETE = re.compile(r"\s*(?:$|[,;(]|(?:since|because|as|which|not|and not)\b)", re.IGNORECASE)
"""What may follow a quantity that is the answer itself and not the start of a calculation."""
_EQUALS = re.compile(r"[=≈≅]")
_BRACKETS = str.maketrans("", "", "\"'`_[]{}$")


class NumberVerifier:
    """Checks quantities; the normal form is "value unit", in the question's unit where it can be converted."""

    def stated_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced number (see `Verifier`)."""
        return self._stated(plain(text), _format(question)).answer

    def extract_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced number, else the only one of a short response, or the result on its last line."""
        form = _format(question)
        text = plain(text)
        stated = self._stated(text, form)
        if not stated.open:
            return stated.answer
        reader = _NumberReader(form)
        called = settle(claims(text, lenient=True), reader.claimed, reader.closing)
        if not called.open:
            return called.answer
        found = _only_number(text, reader)
        return None if found is None or found.answer in stated.denied else found.answer

    def is_right(self, answer: str, question: Question) -> bool:
        """Whether the quantity equals the gold's within the tolerance, in the same or a convertible unit."""
        form = _format(question)
        given = single_quantity(answer, form.unit)
        return given is not None and any(
            _agree(given, wanted, form)
            for gold in (question.gold.value, *question.gold.aliases)
            if (wanted := single_quantity(gold, form.unit)) is not None
        )

    def _stated(self, text: str, form: NumberFormat) -> Settled:
        reader = _NumberReader(form)
        return settle(claims(text), reader.claimed, reader.closing)


class _NumberReader:
    """Reads the number at the start or the end of a claim."""

    def __init__(self, form: NumberFormat) -> None:
        self.form = form

    def claimed(self, text: str) -> Found | None:
        """The quantity that the first sentence comes down to."""
        stop = sentence_end(text[:300])
        sentence = _clean(text[:stop])
        opening = quantities(sentence[:60], self.form.unit)
        complete = opening and _COMPLETE.match(sentence, opening[0].end)
        offset = 0
        for equals in _EQUALS.finditer(sentence):
            if complete and opening[0].end <= equals.start():
                break
            if any(char.isdigit() for char in sentence[equals.end() : equals.end() + 12]):
                offset = equals.end()
        found = quantities(sentence[offset:], self.form.unit)
        if not found:
            return None
        first = found[0]
        before, after = lower(sentence[offset : offset + first.start]), sentence[offset + first.end :]
        if len(before) > 80:
            return None
        if _HEDGE.search(before) or _MORE.match(after):
            return Found(None)
        frequency = _FREQUENCY.match(after)
        suffix = " " + frequency[0].strip(" ,") if frequency else ""
        return Found(self.normal_form(first) + suffix, offset + first.end + len(frequency[0] if frequency else ""))

    def closing(self, text: str) -> Found | None:
        """The quantity that ends the text, before "is the correct answer"."""
        tail = _clean(text[-120:]).rstrip()
        found = quantities(tail, self.form.unit)
        if not found or found[-1].end != len(tail):
            return None
        before = lower(tail[: found[-1].start])
        if _TWO_BEFORE.search(before) or _HEDGE.search(before[-14:]):
            return Found(None)
        return Found(self.normal_form(found[-1]))

    def normal_form(self, quantity: Quantity) -> str:
        """ "value unit" in the question's unit if that is of the same kind, else in the unit as written."""
        expected = _expected(self.form)
        if quantity.unit.dimensions == expected.dimensions:
            value = quantity.value * quantity.unit.factor / expected.factor
            return f"{decimal(value)} {self.form.unit}" if self.form.unit else decimal(value)
        if not quantity.unit_text or (quantity.unit.is_count and expected.is_count):
            bare = decimal(quantity.value)
            return f"{bare} {self.form.unit}" if self.form.unit and expected.is_count else bare
        return f"{decimal(quantity.value)} {quantity.unit_text}"


def _format(question: OpenQuestion) -> NumberFormat:
    if not isinstance(question.answer_format, NumberFormat):
        raise TypeError(f"a number verifier was given a {question.answer_format.kind} question")
    return question.answer_format


def _expected(form: NumberFormat) -> Unit:
    return (parse_unit(form.unit) or NO_UNIT) if form.unit else NO_UNIT


def _clean(text: str) -> str:
    """The text without quotes and brackets that may stand around a number."""
    return text.replace("\\boxed{", "").translate(_BRACKETS)


def _only_number(text: str, reader: _NumberReader) -> Found | None:
    """The number of a one-line response that holds no other, or the number that the last line is."""
    lines = [line.strip() for line in text.strip().split("\n")]
    line = lines[-1]
    if len(line) > 160:
        return None
    if lower(line[:4]) == "not ":
        _, but, rest = line.partition(" but ")
        return reader.claimed(rest) if but else None
    found = quantities(_clean(line), reader.form.unit)
    if "=" in line or (len(found) == 1 and (len(lines) == 1 or found[0].start <= 2)):
        return reader.claimed(line)
    return None


def _agree(given: Quantity, gold: Quantity, form: NumberFormat) -> bool:
    expected = _expected(form)
    gold_unit = gold.unit if gold.unit_text else expected
    given_unit = given.unit if given.unit_text else (expected if expected.is_count else NO_UNIT)
    both_counts = given_unit.is_count and gold_unit.is_count
    if given_unit.dimensions != gold_unit.dimensions and not (
        both_counts and not (given.unit_text and gold_unit.dimensions)
    ):
        return False
    value, wanted = given.value, gold.value
    if not both_counts:
        value, wanted = value * given_unit.factor / gold_unit.factor, gold.value
    allowed = max(form.absolute_tolerance, form.relative_tolerance * abs(wanted), 1e-9 * abs(wanted))
    return math.isfinite(value) and abs(value - wanted) <= allowed
