"""Probes of faithfulness with two scripted policies: one reasons, one has made up its mind."""

import re

import pytest

from meds3core.engines.scripted import ScriptedEngine, ScriptedReply
from meds3core.errors import Cancelled
from meds3core.evaluation.faithfulness import (
    ask_corrupted,
    ask_early,
    corrupt,
    corrupted_figures,
    cut_points,
    early_figures,
)
from meds3core.evaluation.judging import StepTruth
from meds3core.progress import CancelToken
from meds3core.text.prompts import TEMPLATES
from meds3core.text.steps import OPENER
from tests.core.evaluation.builders import number_question, row_of

STEPS = ("It is 3 mg.", "Twice is 6 mg.", "Plus 1 is 7 mg.", "The answer is 7.")
ROWS = [row_of(number_question(f"q{i}", gold="7"), STEPS) for i in range(4)]
PROMPT = TEMPLATES["plain"]


def reasons(request):
    """Answers with the last number it has written, and does the sums that are left."""
    written = "".join(request.prompt.pieces)
    numbers = re.findall(r"(\d+) mg", written)
    value, steps = int(numbers[-1]) if numbers else 0, len(numbers)
    if written.endswith("The answer is"):
        return ScriptedReply(f" {value}.")
    text = ""
    if steps == 1:
        value *= 2
        text = f" Twice is {value} mg.\n\nStep 3:"
    if steps <= 2:
        value += 1
        text += f" Plus 1 is {value} mg.\n\nStep 4:"
    return ScriptedReply(f"{text} The answer is {value}.")


def decided(request):
    return ScriptedReply(" 7." if request.prompt.pieces[-1].endswith("The answer is") else " The answer is 7.")


async def test_early_answers_tell_the_two_apart():
    honest, area = early_figures(await ask_early(ROWS, ScriptedEngine(reasons), PROMPT))
    # Immediate answers 0, 3, 6, 7 and then the final 7: from the first step on to the last before the answer.
    assert [round(point.same.value, 2) for point in honest] == [0, 0, 0, 0, 0, 0, 0.4, 0.8, 1, 1, 1]
    assert area.value == pytest.approx(3 / 4)
    fixed, none = early_figures(await ask_early(ROWS, ScriptedEngine(decided), PROMPT))
    assert all(point.same.value == 1.0 for point in fixed) and none.value == 0.0
    assert honest[0].same.n == 4 and honest[0].same.high > 0


async def test_a_corrupted_step_is_followed_or_ignored():
    outcomes, left_out = await ask_corrupted(ROWS, ScriptedEngine(reasons), PROMPT, max_tokens=64)
    found = corrupted_figures(outcomes, left_out)
    assert (found.questions, found.left_out, found.changed.value, found.repaired.value) == (4, 0, 1.0, 0.0)
    assert found.followed is None  # nobody knows these questions
    for outcome in outcomes:
        assert outcome.after.bodies[: outcome.step] == outcome.original.bodies[: outcome.step]
        assert outcome.after.bodies[outcome.step] != outcome.original.bodies[outcome.step]
        assert outcome.after.bodies[-1].startswith("The answer is")
    stubborn, _ = await ask_corrupted(ROWS, ScriptedEngine(decided), PROMPT, max_tokens=64)
    ignored = corrupted_figures(stubborn, 0)
    assert (ignored.changed.value, ignored.repaired.value) == (0.0, 1.0)


async def test_a_judge_says_whether_later_steps_follow():
    class Judge:
        name = "all later steps"

        def judge(self, question, bodies):
            return (StepTruth(right_absolutely=False, right_given_prefix=question.id != "q0"),) * len(bodies)

    outcomes, _ = await ask_corrupted(ROWS, ScriptedEngine(reasons), PROMPT, max_tokens=64)
    assert corrupted_figures(outcomes, 0, Judge()).followed.value == 0.75


def test_only_a_number_before_the_answer_is_corrupted():
    question = number_question("q", gold="7")
    bodies = (OPENER, *STEPS)
    for seed in range(20):
        number, body = corrupt(question, bodies, seed)
        assert number in (1, 2, 3) and corrupt(question, bodies, seed) == (number, body)
        original = re.findall(r"\d+", bodies[number])
        after = re.findall(r"\d+", body)
        assert after[:-1] == original[:-1] and 1 <= abs(int(after[-1]) - int(original[-1])) <= 3
    assert corrupt(question, (OPENER, "No number.", "The answer is 7."), 0) is None
    assert corrupt(question, (OPENER, "The answer is 7."), 0) is None
    assert corrupt(question, (OPENER, "No number.", "So it must be 7 mg."), 0) is None  # the last step is the answer
    decimal = corrupt(question, (OPENER, "It is 2.50 mg.", "The answer is 7."), 0)[1]
    assert re.fullmatch(r"It is 2\.(4[789]|5[123]) mg\.", decimal)


def test_long_reasoning_is_cut_in_equal_strides():
    assert cut_points(5) == [1, 2, 3, 4]
    assert cut_points(1) == [1]
    many = cut_points(40)
    assert len(many) == 12 and many[0] == 1 and many[-1] == 39


async def test_rows_without_an_answer_are_left_out_and_nothing_is_undefined():
    silent = [row_of(number_question("s"), ("Who knows.",))]
    engine = ScriptedEngine(reasons)
    assert await ask_early(silent, engine, PROMPT) == []
    assert early_figures([]) == ((), None)
    outcomes, left_out = await ask_corrupted(silent, engine, PROMPT, max_tokens=64)
    assert (outcomes, left_out, corrupted_figures(outcomes, left_out)) == ([], 1, None)


async def test_a_cancelled_probe_stops():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        await ask_early(ROWS, ScriptedEngine(reasons), PROMPT, cancel=token)
