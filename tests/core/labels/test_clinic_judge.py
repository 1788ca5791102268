"""The clinic's step checker as a judge with a share of errors."""

import pytest

from meds3core.config.labels import StepLabelConfig
from meds3core.errors import ConfigError
from meds3core.labels.build import build_labels
from meds3core.sandbox.judge import ClinicJudge
from meds3core.sandbox.questions import NotAClinicQuestion, generate
from meds3core.text.steps import OPENER
from meds3core.types.question import Gold, OpenQuestion, Question
from tests.core.labels.by_hand import question, step, tree

CHILD = Question(
    **{
        **generate("train", 1)[0].model_dump(),
        "text": "A child of 23 kg gets cefixime 8 mg/kg per day in 2 doses. What is each dose in mg?",
        "gold": Gold(value="92 mg"),
    }
)
READ = "Weight is 23 kg and cefixime is 8 mg/kg per day in 2 doses."
DAILY, WRONG_DAILY = "Daily dose = 23 × 8 = 184 mg.", "Daily dose = 23 × 8 = 194 mg."
RIGHT, FOLLOWS = (
    "Each dose = 184 / 2 = 92 mg. The answer is 92 mg.",
    "Each dose = 194 / 2 = 97 mg. The answer is 97 mg.",
)


def test_what_it_says_of_steps():
    judge = ClinicJudge()
    assert judge.judge(CHILD, [OPENER], READ) is True
    assert judge.judge(CHILD, [OPENER, READ], DAILY) is True
    assert judge.judge(CHILD, [OPENER, READ], WRONG_DAILY) is False
    assert judge.judge(CHILD, [OPENER, READ, DAILY], RIGHT) is True
    assert judge.judge(CHILD, [OPENER, READ], "The moon is made of cheese.") is None


def test_an_error_that_is_carried_on():
    """Right given the steps before it, wrong absolutely: which of the two counts can be chosen."""
    earlier = [OPENER, READ, WRONG_DAILY]
    assert ClinicJudge().judge(CHILD, earlier, FOLLOWS) is True
    assert ClinicJudge(absolutely=True).judge(CHILD, earlier, FOLLOWS) is False


def test_the_share_of_errors_is_kept_and_errors_are_always_the_same():
    questions = [asked for asked in generate("train", 3000) if asked.domain == "dosing"]
    words = [f"Daily dose = {number} × 3 = {3 * number} mg." for number in (7, 8, 9)]
    asked_of = [(asked, body) for asked in questions for body in words]

    def opinions(judge, places=asked_of):
        return [judge.judge(asked, [OPENER], body) for asked, body in places]

    said, wrongly = opinions(ClinicJudge()), opinions(ClinicJudge(0.1))
    judged = [place for place, verdict in enumerate(said) if verdict is not None]
    errors = {place for place in judged if said[place] is not wrongly[place]}
    assert len(judged) > 500
    assert 0.06 < len(errors) / len(judged) < 0.14
    assert [verdict is None for verdict in said] == [verdict is None for verdict in wrongly]
    assert opinions(ClinicJudge(0.1), asked_of[::-1])[::-1] == wrongly
    assert opinions(ClinicJudge(0.1, seed=1)) != wrongly


def test_always_wrong_and_out_of_range():
    assert ClinicJudge(1.0).judge(CHILD, [OPENER], READ) is False
    with pytest.raises(ConfigError):
        ClinicJudge(1.5)


def test_it_sees_no_gold_and_refuses_foreign_questions():
    assert ClinicJudge().judge(OpenQuestion(**CHILD.without_gold().model_dump()), [OPENER, READ], DAILY) is True
    with pytest.raises(NotAClinicQuestion):
        ClinicJudge().judge(question(), [OPENER], READ)


def test_consensus_over_a_clinic_tree():
    """Rollouts and checker agree on reading and on the right way; a lucky slip (value > 0, step wrong) is left out."""
    grown = tree(
        step(0, 0.5, text=READ),
        step(1, 0.75, text=DAILY),
        step(1, 0.125, text=WRONG_DAILY),
        step(2, 1.0, True, text=RIGHT),
        step(3, 0.0, False, text=FOLLOWS),
        of=CHILD,
    )
    right, wrong = build_labels([grown], StepLabelConfig(label="consensus"), judge=ClinicJudge()).steps()
    assert right.labels == (None, 1.0, 1.0, 1.0)
    assert wrong.labels == (None, 1.0, None, 0.0)
