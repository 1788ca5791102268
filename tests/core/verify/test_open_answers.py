"""Numbers with units, yes/no, free text, lists and patterns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.errors import UserError
from meds3core.text.answers import normalise
from meds3core.types.question import NumberFormat, Question
from meds3core.verify.judge import judge, verifier_for
from meds3core.verify.quantity import decimal
from meds3core.verify.units import parse_unit
from tests.core.verify import questions as q

RIGHT, WRONG, NONE = True, False, None


@pytest.mark.parametrize("wording", ["{}", "The answer is {}.", "Answer: {}", "**{}**", "The answer is {}"])
def test_drugdose_golds_are_accepted(wording: str) -> None:
    for question in q.published("drugdose.json"):
        for gold in (question.gold.value, question.gold.value.upper(), question.gold.value.lower()):
            assert judge(wording.format(gold), question).correct is True, gold


def test_drugdose_altered_answers_are_refused() -> None:
    for question in q.published("drugdose.json"):
        gold = question.gold.value
        altered = [f"{gold} twice a week", f"not {gold}", gold + "ish", "medium"]
        for digit in "0123456789":
            altered += [gold.replace(digit, str((int(digit) + 1) % 10))] if digit in gold else []
        for unit, other in (
            ("mg", "g"),
            ("mg", "mcg"),
            ("g/day", "mg/day"),
            ("/kg", ""),
            ("/day", ""),
            ("/d", "/kg"),
            (" daily", ""),
            (" twice", ""),
        ):
            altered += [gold.replace(unit, other)] if unit in gold and not (unit == "mg" and "g/day" in gold) else []
        if gold[0].isdigit():
            altered += ["1" + gold, "-" + gold, f"{gold} or 7 mg", f"3-{gold}", gold.split()[0] + " mL"]
        for wording in ("{}", "The answer is {}."):
            for answer in altered:
                if answer != gold:
                    assert judge(wording.format(answer), question).correct is not True, (gold, answer)


@pytest.mark.parametrize(
    ("question", "text", "correct"),
    [
        (q.number("10 mg/kg", "mg/kg"), "The answer is 10 mg/kg.", RIGHT),
        (q.number("10 mg/kg", "mg/kg"), "The answer is 10 mg.", WRONG),
        (q.number("10 mg/kg", "mg/kg"), "The answer is 10", WRONG),
        (q.number("10 mg/kg", "mg/kg"), "0.01 g/kg", RIGHT),
        (q.number("10 mg/kg", "mg/kg"), "The answer is 10 mg/kg/day", WRONG),
        (q.number("10 mg/kg", "mg/kg"), "10 mg per kg", RIGHT),
        (q.number("10 mg/kg", "mg/kg"), "5-10 mg/kg", NONE),
        (q.number("10 mg/kg", "mg/kg"), "The answer is $\\boxed{10 \\text{ mg/kg}}$", RIGHT),
        (q.number("300", "mg"), "The answer is 300 mg.", RIGHT),
        (q.number("300", "mg"), "300mg", RIGHT),
        (q.number("300", "mg"), "0.3 g", RIGHT),
        (q.number("300", "mg"), "300 mL", WRONG),
        (q.number("300", "mg"), "300 \u00b5g", WRONG),
        (q.number("300", "mg"), "The answer is 60 mg/kg x 20 kg / 4 = 300 mg", RIGHT),
        (q.number("300", "mg"), "The answer is 300 mg, since 60 × 20 / 4 = 300.", RIGHT),
        (q.number("300", "mg"), "Answer: 300 mg (= 60 mg/kg × 20 kg / 4)", RIGHT),
        (q.number("300", "mg"), "The answer is 20 kg × 15 mg/kg.", NONE),
        (q.number("300", "mg"), "The answer is about 300 mg every 6 hours.", RIGHT),
        (q.number("300", "mg"), "The answer is 300 mg daily.", WRONG),
        (q.number("300", "mg"), "300 mg or 400 mg", NONE),
        (q.number("300", "mg"), "The answer is not 400 mg but 300 mg.", RIGHT),
        (q.number("300", "mg"), "The answer is 400 mg. But wait, the answer is 300 mg.", RIGHT),
        (q.number("300", "mg"), "The answer is at least 300 mg.", NONE),
        (q.number("300", "mg"), "The answer is 300 to 400 mg.", NONE),
        (q.number("300", "mg"), "between 200 and 300 mg", NONE),
        (q.number("300", "mg"), "3 × 10^2 mg", RIGHT),
        (q.number("300", "mg"), "3.0×10² mg", RIGHT),
        (q.number("300", "mg"), "3e2 mg", RIGHT),
        (q.number("300", "mg"), "300.4 mg", WRONG),
        (q.number("300", "mg"), "The answer is 1300 mg", WRONG),
        (q.number("300", "mg"), "The answer is 300 mg per dose.", RIGHT),
        (q.number("1200", "mL"), "1,200 mL", RIGHT),
        (q.number("1200", "mL"), "1.2 L", RIGHT),
        (q.number("45", "mL/h"), "45 mL per hour", RIGHT),
        (q.number("45", "mL/h"), "0.75 mL/min", RIGHT),
        (q.number("45", "mL/h"), "45 mL", WRONG),
        (q.number("14"), "The answer is 14.", RIGHT),
        (q.number("14"), "14 mmol/L", WRONG),
        (q.number("14"), "14%", WRONG),
        (q.number("14"), "-14", WRONG),
        (q.number("3", "points"), "The answer is 3.", RIGHT),
        (q.number("3", "points"), "The answer is a CURB-65 score of 3.", RIGHT),
        (q.number("0.6"), "0,6", RIGHT),
        (q.number("0.6"), "3/5", RIGHT),
        (q.number("0.6"), "0.6%", WRONG),
        (q.number("60", "mL/min", 0.05), "62 mL/min", RIGHT),
        (q.number("60", "mL/min", 0.05), "64 mL/min", WRONG),
        (q.number("60", "mL/min"), "60 mL/min/1.73 m2", WRONG),
        (q.number("-5", "mEq/L"), "The answer is: \u22125 mEq/L", RIGHT),
        (q.number("-5", "mEq/L"), "5 mEq/L", WRONG),
        (q.number("7.5", "mmol/L"), "1e99999 mmol/L", NONE),
        (q.number("300", "mg"), "Step 2: The daily dose is 1200 mg.\n\nStep 3: Four doses.", NONE),
        (q.yes_no("no"), "No.", RIGHT),
        (q.yes_no("no"), "The answer is no.", RIGHT),
        (q.yes_no("no"), "Yes, it is", WRONG),
        (q.yes_no("no"), "The answer is no longer known", NONE),
        (q.yes_no("no"), "The answer is maybe", WRONG),
        (q.yes_no("no", maybe=False), "The answer is maybe", NONE),
        (q.yes_no("no"), "The answer is yes or no", NONE),
        (q.yes_no("no"), "Not yes but no", RIGHT),
        (q.yes_no("no"), "There is no evidence.", NONE),
        (q.yes_no("no"), "No evidence was found.", NONE),
        (q.yes_no("no"), "\\boxed{no}", RIGHT),
        (q.yes_no("no"), "The answer is yes. But wait, the answer is no.", RIGHT),
        (q.yes_no("no"), "It is unclear.\n\nNo", RIGHT),
        (q.free("50 mg twice daily"), "The answer is 50 MG twice daily.", RIGHT),
        (q.free("50 mg twice daily"), "The answer is 5.0 mg twice daily.", WRONG),
        (q.free("125-500 mg daily"), "125 \u2013 500 mg daily", RIGHT),
        (q.free("125-500 mg daily"), "125.500 mg daily", WRONG),
        (q.free("125-500 mg daily"), "25-500 mg daily", WRONG),
        (q.free("overdose"), "The answer is an overdose.", RIGHT),
        (q.free("overdose"), "The answer is not high but overdose.", RIGHT),
        (q.free("overdose"), "The answer is no overdose.", WRONG),
        (q.free("overdose"), "A long thought.\n\nIt does not end", NONE),
        (q.free("St. John's wort", "Hypericum"), "The answer is St. John's wort.", RIGHT),
        (q.free("St. John's wort", "Hypericum"), "hypericum", RIGHT),
        (q.free("community acquired pneumonia", minimum_f1=0.6), "pneumonia acquired in community", RIGHT),
        (q.free("community acquired pneumonia", minimum_f1=0.6), "no community acquired pneumonia", WRONG),
        (q.free("grade 3 burn", minimum_f1=0.6), "grade 2 burn", WRONG),
        (q.several("fever", "cough"), "The answer is cough and fever.", RIGHT),
        (q.several("fever", "cough"), "The answer is cough.", WRONG),
        (q.several("fever", "cough"), "The answer is:\n- Cough\n- Fever", RIGHT),
        (q.several("fever", "cough"), "fever; cough; rash", WRONG),
        (q.several("fever", "cough", ranked=True), "1. fever\n2. cough", RIGHT),
        (q.several("fever", "cough", ranked=True), "1. cough\n2. fever", WRONG),
        (q.several("asthma", hit_at=2), "COPD, asthma, flu", RIGHT),
        (q.several("flu", hit_at=2), "COPD, asthma, flu", WRONG),
        (q.pattern(r"heparins?"), "The answer is Heparin.", RIGHT),
        (q.pattern(r"heparins?"), "The answer is low heparin.", WRONG),
    ],
)  # fmt: skip
def test_cases(question: Question, text: str, correct: bool | None) -> None:
    assert judge(text, question).correct is correct


def test_equal_amounts_share_a_normal_form() -> None:
    question = q.number("300", "mg")
    answers = [verifier_for(question).extract_answer(text, question) for text in ("300 mg", "0.3 g", "300000 mcg")]
    assert answers == ["300 mg"] * 3


@pytest.mark.parametrize("expression", ["(a", "*", "x" * 3000, "(?P<n>a)(?P<n>", "[", "a{999999999999}"])
def test_bad_patterns_are_refused(expression: str) -> None:
    with pytest.raises(UserError):
        judge("The answer is a.", q.pattern(expression))


def test_a_pattern_that_explodes_is_stopped() -> None:
    with pytest.raises(UserError, match="pattern"):
        judge("The answer is " + "a" * 60 + "b.", q.pattern("(a|aa)+(a|aa)+(a|aa)+(a|aa)+c"))


@settings(deadline=None)
@given(st.floats(-1e9, 1e9).map(lambda value: round(value, 6)), st.sampled_from(["mg", "mL/h", "%", "points"]))
def test_every_number_is_read_back(value: float, unit: str) -> None:
    gold = decimal(value)
    form = NumberFormat(unit=unit, relative_tolerance=1e-9, absolute_tolerance=1e-12)
    question = q.number(gold, unit).model_copy(update={"answer_format": form})
    assert judge(f"The answer is {gold} {unit}.", question).correct is True


@settings(deadline=None)
@given(st.text())
def test_normal_forms_are_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_units_that_must_not_mix() -> None:
    texts = ["mg", "mg/kg", "mg/kg/day", "mg/day", "mL", "mL/h", "mmol/L", "mEq/L", "%", "years", "IU"]
    kinds = [unit.dimensions for text in texts if (unit := parse_unit(text))]
    assert len(set(kinds)) == len(texts)
