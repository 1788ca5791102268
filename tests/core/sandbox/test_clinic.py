"""Questions are sound, reproducible, readable back, and the two spaces are disjoint."""

from collections import Counter
from random import Random

import pytest

from meds3core.errors import UserError
from meds3core.sandbox.clinic import FAMILIES, UnknownSplit, draw, split_of
from meds3core.sandbox.forms import Level
from meds3core.sandbox.questions import NotAClinicQuestion, case_of, generate, question_of
from meds3core.sandbox.writing import write
from meds3core.text.steps import OPENER, render_trajectory, split
from meds3core.types.question import ChoiceFormat, OpenQuestion, TextFormat
from meds3core.verify.judge import judge

EVERY = [(family, level) for family in FAMILIES.values() for level in Level]
NAMES = [f"{family.name}-{level}" for family, level in EVERY]


def core(case):
    surface = FAMILIES[case.family].surface
    return case.family, frozenset((name, value) for name, value in case.facts.items() if name not in surface)


def test_the_spaces_share_no_parameters_and_no_text():
    train, test = generate("train", 1800, seed=1), generate("test", 900, seed=1)
    assert not {q.text for q in train} & {q.text for q in test}
    assert not {core(case_of(q)) for q in train} & {core(case_of(q)) for q in test}


def test_the_wording_does_not_decide_the_split():
    family = FAMILIES["dosing"]
    case = draw(family, Level.MEDIUM, "test", Random(0))
    assert split_of(family, {**case.facts, "who": "somebody"}) == "test"


def test_the_same_seed_gives_the_same_questions_and_more_of_them():
    assert generate("test", 40, seed=3) == generate("test", 90, seed=3)[:40]
    assert generate("test", 40, seed=3) != generate("test", 40, seed=4)


def test_questions_do_not_repeat_and_spread_over_the_families():
    questions = generate("test", 900, seed=5)
    assert len({q.text for q in questions}) == len({q.id for q in questions}) == 900
    assert set(Counter(q.domain for q in questions).values()) == {100}
    assert questions[0].id == "clinic-test-dosing-000000"


def test_mostly_open_answers():
    questions = generate("train", 1800, seed=2)
    assert 0.05 < sum(isinstance(q.answer_format, ChoiceFormat) for q in questions) / len(questions) <= 0.3


def test_unknown_split_and_negative_count_are_the_users_errors():
    with pytest.raises(UnknownSplit):
        generate("validation", 1)
    with pytest.raises(UserError):
        generate("train", -1)


def test_other_texts_have_no_case():
    with pytest.raises(NotAClinicQuestion):
        case_of(OpenQuestion(id="x", text="Which nerve is cut?", answer_format=TextFormat()))


@pytest.mark.parametrize(("family", "level"), EVERY, ids=NAMES)
def test_a_question_is_read_back_into_its_case(family, level):
    rng = Random(7)
    for _ in range(40):
        case = draw(family, level, "train", rng)
        again = case_of(question_of(case, "x"))
        assert again.truth == case.truth and again.gold == case.gold and again.answer_format == case.answer_format
        assert split_of(family, again.facts) == "train"


@pytest.mark.parametrize(("family", "level"), EVERY, ids=NAMES)
def test_reference_reasoning_has_two_to_six_steps_and_the_gold_answer(family, level):
    rng = Random(8)
    for _ in range(40):
        case = draw(family, level, "train", rng)
        written = write(case)
        text = render_trajectory(written.bodies)
        assert written.bodies[0] == OPENER and 2 <= len(written.bodies) - 1 <= 6 and not written.planted
        assert [step.body for step in split(text)] == list(written.bodies)
        assert judge(text, question_of(case, "x")).correct is True


def test_shuffled_options_are_read_and_solved():
    case = next(
        case
        for case in (draw(FAMILIES["curb65"], Level.HARD, "train", Random(i)) for i in range(9))
        if case.gold != "A"
    )
    stem, *options = case.text.split("\n")
    texts = [option[3:] for option in options]
    turned = "\n".join([stem, *(f"{letter}. {text}" for letter, text in zip("ABC", reversed(texts), strict=True))])
    question = OpenQuestion(id="x", text=turned, answer_format=case.answer_format)
    assert case_of(question).gold == "ABC"[2 - "ABC".index(case.gold)]


# Worked by hand from the published formulas.
BY_HAND = [
    ("A boy of 14 kg gets erythromycin 30 mg/kg per day in 4 doses. What is each dose in mg?", "105"),
    (
        "A boy of 15 kg gets valproate 20 mg/kg per day in 2 doses, as a liquid with 50 mg per mL. "
        "What is each dose in mL?",
        "3",
    ),
    ("A man has sodium 140, chloride 104 and bicarbonate 12 mmol/L. What is the anion gap?", "24"),
    (
        "A man has sodium 140, chloride 104, bicarbonate 12 mmol/L and albumin 3 g/dL. "
        "What is the anion gap corrected for albumin?",
        "26.5",
    ),
    (
        "A man with a gap acidosis has sodium 140, chloride 104 and bicarbonate 12 mmol/L. "
        "What is the delta bicarbonate?",
        "24",
    ),
    (
        "Pneumonia at age 65, confusion absent, urea 7 mmol/L, breathing rate 30, pressure 120/60. "
        "What is the CURB-65 score?",
        "3",
    ),
    (
        "Pneumonia at age 64, confusion absent, urea 8 mmol/L, breathing rate 29, pressure 89/61. "
        "By CURB-65, is the place of care home, ward or intensive care?",
        "ward",
    ),
    (
        "A child of 7 kg needs maintenance fluid and loses 5 mL/h more by drain. What is the total rate in mL/h?",
        "33",
    ),
    (
        "A child of 16 kg needs maintenance fluid and loses 5 mL/h more by drain. What is the total rate in mL/h?",
        "57",
    ),
    (
        "A child of 30 kg needs maintenance fluid and loses 5 mL/h more by drain. What is the total rate in mL/h?",
        "75",
    ),
    ("A man has calcium 8.0 mg/dL and albumin 2.5 g/dL. What is the corrected calcium?", "9.2"),
    (
        "A woman of 80 years and 72 kg has creatinine 1.0 mg/dL. What is the Cockcroft-Gault clearance?",
        "51",
    ),
    (
        "A man with metabolic acidosis has pH 7.20 and bicarbonate 10 mmol/L. Which pCO2 does Winter's formula expect?",
        "23",
    ),
    (
        "A man has pH 7.20, pCO2 60 mmHg and bicarbonate 27 mmol/L. What is the primary acid-base disorder?",
        "respiratory acidosis",
    ),
    (
        "Note: man, 50 years, seen for cough, denies asthma, has gout, denies angina. "
        "Planned: propranolol, hydrochlorothiazide, sumatriptan. Which must not be given?",
        "hydrochlorothiazide",
    ),
    (
        "Table: potassium 5.4, sodium 131. Does the table show that potassium is high: yes, no or maybe?",
        "yes",
    ),
    (
        "Table: potassium 5.4, sodium 131. Does the table show that albumin is high: yes, no or maybe?",
        "maybe",
    ),
]


@pytest.mark.parametrize(("text", "gold"), BY_HAND)
def test_answers_worked_by_hand(text, gold):
    assert case_of(OpenQuestion(id="x", text=text, answer_format=TextFormat())).gold == gold
