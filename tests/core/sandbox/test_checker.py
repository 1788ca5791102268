"""The step checker: right steps are right, planted errors are found where they are, carried ones count once."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.sandbox.checker import judge_response, judge_step, judge_steps
from meds3core.sandbox.clinic import FAMILIES, draw
from meds3core.sandbox.forms import Level
from meds3core.sandbox.questions import case_of, generate
from meds3core.sandbox.verdict import ErrorKind, StepVerdict
from meds3core.sandbox.writing import write
from meds3core.text.steps import OPENER, render_trajectory
from meds3core.types.question import OpenQuestion, TextFormat

RIGHT = StepVerdict(right_absolutely=True, right_given_prefix=True)
CARRIED = StepVerdict(right_absolutely=False, right_given_prefix=True)
EVERY = [(family, level) for family in FAMILIES.values() for level in Level]
NAMES = [f"{family.name}-{level}" for family, level in EVERY]


def wrong(kind: ErrorKind, absolutely: bool = False) -> StepVerdict:
    return StepVerdict(right_absolutely=absolutely, right_given_prefix=False, error=kind)


def case(text: str):
    return case_of(OpenQuestion(id="x", text=text, answer_format=TextFormat()))


DOSING = case("A boy of 14 kg gets erythromycin 20 mg/kg per day in 4 doses. What is each dose in mg?")
READ = "Weight is 14 kg and erythromycin is 20 mg/kg per day in 4 doses."
DAILY = "Daily dose = 14 × 20 = 280 mg."


@pytest.mark.parametrize(("family", "level"), EVERY, ids=NAMES)
def test_reference_reasoning_is_right_everywhere(family, level):
    for seed in range(120):
        drawn = draw(family, level, "train" if seed % 2 else "test", Random(seed))
        assert judge_steps(drawn, write(drawn).bodies) == [RIGHT] * (len(drawn.places) + 1)


@pytest.mark.parametrize(("family", "level"), EVERY, ids=NAMES)
def test_planted_errors_are_flagged_exactly_where_they_are(family, level):
    rng = Random(f"planted {family.name} {level}")
    for _ in range(200):
        drawn = draw(family, level, "train", rng)
        written = write(drawn, rng, slip_rate=0.03)
        verdicts = judge_steps(drawn, written.bodies)
        assert {i: verdict.error for i, verdict in enumerate(verdicts) if verdict.error} == written.planted
        assert all(verdict.right_given_prefix is (verdict.error is None) for verdict in verdicts)


@pytest.mark.parametrize(("family", "level"), EVERY, ids=NAMES)
def test_each_misconception_alone_is_flagged_once_and_carried_on(family, level):
    rng = Random(11)
    for _ in range(60):
        drawn = draw(family, level, "train", rng)
        written = write(drawn, rng, slip_rate=0.0, rate_scale=2.0)  # every misconception, every time
        verdicts = judge_steps(drawn, written.bodies)
        assert {i: verdict.error for i, verdict in enumerate(verdicts) if verdict.error} == written.planted
        first = min(written.planted, default=len(verdicts))
        assert verdicts[:first] == [RIGHT] * first


def test_the_undivided_dose_and_what_follows_from_it():
    drawn = case(
        "A boy of 15 kg gets valproate 20 mg/kg per day in 2 doses, as a liquid with 50 mg per mL. "
        "What is each dose in mL?"
    )
    bodies = [
        OPENER,
        "Weight is 15 kg and valproate is 20 mg/kg per day in 2 doses.",
        "Daily dose = 15 × 20 = 300 mg.",
        "Each dose = 300 mg.",
        "Volume = 300 / 50 = 6 mL. The answer is 6 mL.",
    ]
    assert judge_steps(drawn, bodies) == [RIGHT, RIGHT, RIGHT, wrong(ErrorKind.WRONG_FORMULA), CARRIED]


def test_a_misread_weight_is_counted_once():
    bodies = [
        OPENER,
        READ.replace("14", "15"),
        "Daily dose = 15 × 20 = 300 mg.",
        "Each dose = 300 / 4 = 75 mg. The answer is 75 mg.",
    ]
    assert judge_steps(DOSING, bodies) == [RIGHT, wrong(ErrorKind.MISREAD), CARRIED, CARRIED]


@pytest.mark.parametrize(
    ("earlier", "body", "verdict"),
    [
        ([READ], "Daily dose = 14 × 20 = 270 mg.", wrong(ErrorKind.ARITHMETIC)),
        ([READ], "Daily dose = 15 × 20 = 300 mg.", wrong(ErrorKind.CONTRADICTION)),
        ([], "Daily dose = 15 × 20 = 300 mg.", wrong(ErrorKind.MISREAD)),
        ([READ.replace("14", "15")], DAILY, wrong(ErrorKind.CONTRADICTION, absolutely=True)),
        ([READ, DAILY], "Each dose = 280 / 3 = 93.3 mg.", wrong(ErrorKind.CONTRADICTION)),
        ([READ, DAILY], "Each dose = 280 / 4 = 70 mg. The answer is 80 mg.", wrong(ErrorKind.CONTRADICTION)),
        ([READ], DAILY + " The answer is 280 mg.", wrong(ErrorKind.WRONG_FORMULA)),
        ([READ, DAILY], "The answer is 70 mg.", RIGHT),
        ([READ, DAILY], "Each dose = 280 / 0 = 70 mg.", wrong(ErrorKind.CONTRADICTION)),
        ([], "Dose = 14 × 20 = 280 mg.", wrong(ErrorKind.WRONG_FORMULA)),
        ([], "Weight is 14 kg and erythromycin is 20 mg/kg once a day.", wrong(ErrorKind.MISREAD)),
        ([READ, "Daily dose = 14 × 20 = 270 mg."], "But wait, " + DAILY, RIGHT),
        ([READ], "I would ask a pharmacist.", wrong(ErrorKind.UNKNOWN_STYLE)),
        ([READ], "", wrong(ErrorKind.UNKNOWN_STYLE)),
        ([READ], "Volume = 70 / 5 = 14 mL.", wrong(ErrorKind.WRONG_FORMULA)),
    ],
)
def test_single_steps(earlier, body, verdict):
    assert judge_step(DOSING, [OPENER, *earlier], body) == verdict


def test_the_ignored_diastolic_pressure_is_wrong_only_where_it_matters():
    findings = "Pneumonia at age 70, confusion absent, urea 5 mmol/L, breathing rate 20, pressure {}. "
    text = findings + "What is the CURB-65 score?"
    assert judge_step(case(text.format("110/55")), [], "Systolic 110 against 90, point 0.") == wrong(
        ErrorKind.WRONG_CRITERION
    )
    assert judge_step(case(text.format("110/70")), [], "Systolic 110 against 90, point 0.") == RIGHT


def test_a_right_answer_by_a_wrong_step():
    drawn = case(
        "Pneumonia at age 70, confusion present, urea 9 mmol/L, breathing rate 35, pressure 110/55. "
        "By CURB-65, is the place of care home, ward or intensive care?"
    )
    bodies = [
        body.replace("Pressure 110/55 against 90/60, point 1", "Systolic 110 against 90, point 0")
        for body in write(drawn).bodies
    ]
    bodies[-1] = "Score = 1 + 1 + 1 + 0 + 1 = 4, so intensive care. The answer is intensive care."
    verdicts = judge_steps(drawn, bodies)
    assert [verdict.error for verdict in verdicts] == [None] * 4 + [ErrorKind.WRONG_CRITERION] + [None] * 2
    assert not verdicts[-1].right_absolutely


def test_an_invented_lab_value():
    drawn = case("Table: potassium 5.4, sodium 131. Does the table show that albumin is high: yes, no or maybe?")
    bodies = [
        OPENER,
        "The table has albumin at 42, which is normal.",
        "It is normal and the claim is high, so no. The answer is no.",
    ]
    assert judge_steps(drawn, bodies) == [RIGHT, wrong(ErrorKind.INVENTED), CARRIED]


def test_responses_are_cut_into_steps():
    question = generate("test", 1, seed=0)[0]
    bodies = write(case_of(question)).bodies
    assert judge_response(question, render_trajectory(bodies) + "\n") == [RIGHT] * len(bodies)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(EVERY), st.integers(0, 50), st.lists(st.text(max_size=60), max_size=4), st.data())
def test_any_text_gets_a_verdict(kind, seed, noise, data):
    drawn = draw(*kind, "train", Random(seed))
    bodies = [*write(drawn, Random(seed), slip_rate=0.3).bodies, *noise]
    shuffled = data.draw(st.permutations(bodies))
    assert len(judge_steps(drawn, shuffled)) == len(bodies)


@pytest.mark.parametrize(("family", "level"), EVERY, ids=NAMES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_taught_sentences_filled_with_anything_get_a_verdict(family, level, data):
    """A policy puts any word and number into the sentences it was taught ("The table lacks glucose lacks.")."""
    drawn = draw(family, level, "test", Random(data.draw(st.integers(0, 50))))
    free = st.sampled_from(["glucose", "glucose lacks", "sodium", "asthma", "warfarin", "girl of", "nothing"])
    number = st.decimals(0, 999, places=1)
    bodies = []
    for form in data.draw(st.lists(st.sampled_from(family.forms), min_size=1, max_size=4)):
        template = form.template
        values = {
            slot: data.draw(
                number
                if slot in template.numbers
                else st.sampled_from(template.words.get(slot, ()))
                if slot in template.words
                else free
            )
            for slot in template.slots
        }
        bodies.append(template.write(values))
    assert len(judge_steps(drawn, bodies)) == len(bodies)
