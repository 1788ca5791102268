"""Step figures: worked by hand, with the positive class the error, and never read off the answers instead."""

import pytest

from meds3core.errors import UserError
from meds3core.evaluation.judging import ClinicJudge, LabelJudge, StepTruth
from meds3core.evaluation.labelled import labelled_figures, score_labelled
from meds3core.evaluation.steps import (
    FlagThresholds,
    JudgedTrajectory,
    choose_thresholds,
    judged_trajectories,
    policy_steps,
    step_figures,
)
from meds3core.prm.base import Scores
from meds3core.text.steps import OPENER
from meds3core.types.labels import LabelledTrajectory
from meds3core.types.samples import QuestionScores
from tests.core.decoding.factory import ToyModel
from tests.core.evaluation.builders import clinic_rows, informed_scores, number_question, row_of, sample_of

QUICK = {"resamples": 200}


def trajectory(question, scores, right, right_answer=False):
    """`right`: + right, - wrong, ? unknown, one sign a step."""
    known = {"+": True, "-": False, "?": None}
    truths = tuple(StepTruth(right_absolutely=known[sign], right_given_prefix=known[sign]) for sign in right)
    return JudgedTrajectory(question, tuple(scores), truths, right_answer)


HAND = [
    trajectory("a", (0.9, 0.2, 0.1), "+--"),  # first error at the second step, located
    trajectory("a", (0.4, 0.3, 0.8), "+-+"),  # flagged one step too early
    trajectory("b", (0.9, 0.8), "++", right_answer=True),  # passed
    trajectory("b", (0.9, 0.7), "++", right_answer=True),  # passed
    trajectory("b", (0.9, 0.1), "++", right_answer=True),  # flagged in vain
    trajectory("c", (0.9, 0.8), "+-", right_answer=True),  # missed
]


def test_first_error_f1_by_hand():
    """3 erroneous, one located: 1/3. 3 error-free, two passed: 2/3. Harmonic mean: 2·(1/3)(2/3)/1 = 4/9."""
    found = step_figures(HAND, "given-prefix", **QUICK).first_error
    assert (found.erroneous, found.error_free) == (3, 3)
    assert found.located.value == pytest.approx(1 / 3) and found.passed.value == pytest.approx(2 / 3)
    assert found.f1.value == pytest.approx(4 / 9)
    assert found.f1.low <= found.f1.value <= found.f1.high and found.f1.n == 3


def test_step_figures_by_hand():
    """14 steps, 4 wrong ones scored 0.2, 0.1, 0.3, 0.8; below 0.5: 0.2, 0.1, 0.4, 0.3, 0.1, of which 3 are wrong."""
    found = step_figures(HAND, "given-prefix", **QUICK)
    assert (found.steps, found.trajectories, found.questions, found.unjudged) == (14, 6, 3, 0)
    assert found.wrong.value == pytest.approx(4 / 14)
    assert (found.precision.value, found.recall.value) == (pytest.approx(3 / 5), pytest.approx(3 / 4))
    assert found.f1.value == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    # Wrong steps' error scores 0.8, 0.9, 0.7, 0.2 against the ten right ones' 0.1×5, 0.6, 0.2×2, 0.3, 0.9
    wins = (9 + 0) + (9 + 0.5) + (9 + 0) + (5 + 0.5 * 2)
    assert found.auroc.value == pytest.approx(wins / 40)


def test_the_positive_class_is_the_error():
    """A PRM that scores wrong steps low has a high AUROC; one that scores them high a low one."""
    good = [trajectory(str(i), (0.9, 0.1), "+-") for i in range(5)]
    bad = [trajectory(str(i), (0.1, 0.9), "+-") for i in range(5)]
    assert step_figures(good, "absolute", **QUICK).auroc.value == 1.0
    assert step_figures(bad, "absolute", **QUICK).auroc.value == 0.0


def test_reliability_by_hand():
    """0.1 twice, once rightly so; 0.8 three times, one of these steps is wrong; 0.9 five times, all right."""
    bins = {each.low: each for each in step_figures(HAND, "given-prefix", **QUICK).bins}
    assert [(bins[low].steps, bins[low].right.value) for low in (0.1, 0.8, 0.9)] == [
        (2, pytest.approx(1 / 2)),
        (3, pytest.approx(2 / 3)),
        (5, 1.0),
    ]
    assert bins[0.9].said == pytest.approx(0.9) and bins[0.9].right.low < 1.0


def test_inside_right_answers_only_those_count():
    found = step_figures(HAND, "given-prefix", "right-answers", **QUICK)
    assert (found.trajectories, found.steps) == (4, 8)
    assert found.first_error.erroneous == 1 and found.first_error.located.value == 0.0
    assert found.first_error.f1 is None  # half of the resamples of two questions lack a class


def test_unknown_steps_count_for_nothing_but_are_counted():
    rows = [
        trajectory("a", (0.1, 0.2, 0.3), "?-+"),  # where the first error is, nobody knows
        trajectory("b", (0.9, 0.1, 0.1), "+-?"),  # what follows the first error does not matter
        trajectory("c", (0.9, 0.9), "+?"),  # perhaps free of errors, perhaps not
    ]
    found = step_figures(rows, "absolute", **QUICK)
    assert (found.steps, found.unjudged) == (5, 3)
    assert (found.first_error.erroneous, found.first_error.error_free) == (1, 0)
    assert found.first_error.located.value == 1.0 and found.first_error.f1 is None


def test_nothing_to_find_is_undefined():
    found = step_figures([trajectory("a", (0.9, 0.8), "++")] * 3, "absolute", **QUICK)
    assert found.auroc is None and found.first_error.f1 is None and found.roc == ()
    assert found.first_error.passed.value == 1.0 and found.calibration_error.value == pytest.approx(0.15)
    empty = step_figures([], "absolute", **QUICK)
    assert empty.steps == 0 and empty.auroc is None and empty.f1 is None and empty.wrong is None


def test_thresholds_come_from_other_trajectories_than_the_figures():
    rows = [trajectory(str(i), (0.95, 0.7), "+-") for i in range(4)] + [trajectory("z", (0.9, 0.9), "++")] * 4
    chosen = choose_thresholds(rows)
    assert 0.7 < chosen.steps < 0.9 and 0.7 < chosen.first_error < 0.9 and chosen.chosen_on == "validation"
    found = step_figures(rows, "given-prefix", thresholds=chosen, **QUICK)
    assert found.f1.value == 1.0 and found.first_error.f1.value == 1.0
    assert step_figures(rows, "given-prefix", **QUICK).f1.value == 0.0  # 0.5 finds nothing here
    assert choose_thresholds([]).steps == 0.5
    assert choose_thresholds([trajectory("a", (0.9,), "+")]).first_error == 0.5


def test_clinic_truth_both_ways():
    """A misread weight is wrong; what rightly follows from it is wrong absolutely only."""
    from meds3core.sandbox.questions import generate

    question = next(q for q in generate("test", 200) if q.text.startswith("A ") and "once a day" in q.text)
    from meds3core.sandbox.checker import case_of

    case = case_of(question)
    weight, per_kg, drug = int(case.facts["weight"]), int(case.facts["per_kg"]), case.facts["drug"]
    bodies = (
        OPENER,
        f"Weight is {weight + 1} kg and {drug} is {per_kg} mg/kg once a day.",
        f"Dose = {weight + 1} × {per_kg} = {(weight + 1) * per_kg} mg. The answer is {(weight + 1) * per_kg} mg.",
        "Something else altogether.",
    )
    truths = ClinicJudge().judge(question, bodies)
    assert [t.right_absolutely for t in truths] == [True, False, False, None]
    assert [t.right_given_prefix for t in truths] == [True, False, True, None]
    assert ClinicJudge().judge(number_question("x"), (OPENER, "Four.")) is None


def test_labels_are_matched_by_what_was_read_so_far():
    question = number_question("a")
    labelled = LabelledTrajectory(
        question=question.without_gold(), bodies=(OPENER, "One.", "Two.", "Three."), labels=(None, 1.0, 0.0, 1.0),
        correct=False,
    )  # fmt: skip
    judge = LabelJudge([labelled])
    same = judge.judge(question, (OPENER, "One.", "Two.", "Three.", "Four."))
    assert [t.right_given_prefix for t in same] == [True, True, False, True, None]
    assert [t.right_absolutely for t in same] == [True, True, False, False, False]
    branched = judge.judge(question, (OPENER, "One.", "Other.", "Three."))
    assert [t.right_given_prefix for t in branched] == [True, True, None, None]
    assert judge.judge(question, (OPENER, "Two.", "Three.")) is None
    assert judge.judge(number_question("b"), (OPENER, "One.")) is None


def test_clinic_samples_end_to_end():
    rows, judge = clinic_rows(60, 4), ClinicJudge()
    scores = informed_scores(rows, judge, noise=0.2)
    trajectories = judged_trajectories(rows, scores, judge)
    assert len(trajectories) == 240
    found = step_figures(trajectories, "given-prefix", **QUICK)
    assert 0.85 < found.auroc.value < 0.97 and found.auroc.low < found.auroc.value < found.auroc.high
    assert found.auroc.n == 60
    inside = step_figures(trajectories, "given-prefix", "right-answers", **QUICK)
    assert 0 < inside.steps < found.steps


def test_a_right_answer_with_a_wrong_step_is_luck_not_soundness():
    rows, judge = clinic_rows(60, 2), ClinicJudge()
    found = policy_steps(rows, judge, **QUICK)
    right = [sample.correct is True for row in rows for sample in row.samples]
    assert found.sound.value + found.right_by_luck.value == pytest.approx(sum(right) / len(right))
    assert found.steps_right.value <= found.steps_right_given_prefix.value
    perfect = policy_steps(clinic_rows(1, 1, rate_scale=0.0), judge, **QUICK)
    assert perfect.judged == 1
    assert policy_steps([row_of(number_question("q"), ("The answer is 4.",))], judge) is None


def test_scores_that_do_not_fit_are_refused():
    question = number_question("q")
    rows, judge = [row_of(question, ("The answer is 4.",))], LabelJudge([])
    with pytest.raises(UserError, match="question q"):
        judged_trajectories(rows, {}, judge)
    with pytest.raises(UserError, match="sample 0: 3 scores for 2 steps"):
        judged_trajectories(rows, {"q": QuestionScores(question_id="q", scores=((0.1, 0.2, 0.3),))}, judge)
    assert sample_of(question, "The answer is 4.").correct is True


def test_thresholds_are_stated():
    found = step_figures(HAND, "absolute", thresholds=FlagThresholds(steps=0.35, first_error=0.25), **QUICK)
    assert found.flag_below == 0.35 and found.first_error.flag_below == 0.25


def labelled(number, labels, correct=False, question=None):
    return LabelledTrajectory(
        question=(question or number_question(f"q{number}")).without_gold(),
        bodies=(OPENER, *(f"Step {place} of {number}." for place in range(len(labels)))),
        labels=(None, *labels),
        correct=correct,
    )


def test_a_labelled_set_needs_no_policy():
    """A scorer that reads the labels off the texts finds every error; what is too long is left out."""
    wrong = {"Step 1 of 0.", "Step 0 of 1."}

    class Scorer(ToyModel):
        def _score(self, item):
            values = tuple(0.1 if body in wrong else 0.9 for body in item.bodies)
            return Scores(values, len(values))

    trajectories = [
        labelled(0, (1.0, 0.0, None)),
        labelled(1, (0.2,)),
        labelled(2, (1.0, 1.0), True),
        labelled(3, (1.0,) * 5),
    ]
    scorer = Scorer(longest=5)
    judged = score_labelled(trajectories, scorer)
    assert len(judged) == 3 and [t.right_answer for t in judged] == [False, False, True]
    everything, right = labelled_figures(judged, resamples=400)
    assert (everything.steps, everything.unjudged, everything.auroc.value) == (5, 1, 1.0)
    assert (everything.first_error.located.value, everything.first_error.passed.value) == (1.0, 1.0)
    assert right.steps == 2 and right.auroc is None
    with pytest.raises(UserError, match="process reward model"):
        score_labelled(trajectories, ToyModel("orm"))
