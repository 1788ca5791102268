"""Accuracy: micro and macro by hand, no answer is not wrong but not right, substrings fool nobody."""

import pytest

from meds3core.errors import UserError
from meds3core.evaluation.accuracy import NoGold, accuracy_figures, macro_mean
from meds3core.evaluation.intervals import wilson
from meds3core.types.samples import QuestionSamples
from tests.core.evaluation.builders import choice_question, number_question, row_of

RIGHT, WRONG, SILENT = ("The answer is 4.",), ("The answer is 44.",), ("Who can tell.",)


def rows(*responses, source="toy", domain="sum", start=0):
    questions = [number_question(f"{source}-{domain}-{start + i}", source=source, domain=domain) for i in range(99)]
    return [row_of(question, *given) for question, given in zip(questions, responses, strict=False)]


def test_micro_and_macro_by_hand():
    """9 of 10 right in one source, 1 of 2 in the other: micro 10/12, macro (0.9 + 0.5)/2."""
    many = rows(*[(RIGHT,)] * 9, (WRONG,), source="large")
    few = rows((RIGHT,), (SILENT,), source="small", domain="other")
    found = accuracy_figures(many + few)
    assert found.micro == wilson(10, 12)
    assert found.macro_source.value == pytest.approx(0.7) and found.macro_domain.value == pytest.approx(0.7)
    assert found.macro_source.low < 0.7 < found.macro_source.high
    assert found.no_answer == wilson(1, 12)
    assert [(group.name, group.accuracy) for group in found.sources] == [
        ("large", wilson(9, 10)),
        ("small", wilson(1, 2)),
    ]
    assert found.tokens.value == 10 and found.samples_per_question == 1


def test_no_answer_is_counted_apart_from_wrong():
    found = accuracy_figures(rows((RIGHT,), (WRONG,), (SILENT,), (SILENT,)))
    assert (found.micro.value, found.no_answer.value) == (0.25, 0.5)


def test_several_samples_share_their_question():
    """Two questions of 4 samples: 3/4 and 1/4 right. The interval is over questions, n = 2."""
    found = accuracy_figures(rows((RIGHT, RIGHT, RIGHT, WRONG), (RIGHT, WRONG, SILENT, WRONG)))
    assert (found.micro.value, found.micro.n, found.micro.method) == (0.5, 2, "bootstrap")
    assert (found.micro.low, found.micro.high) == (0.25, 0.75)
    assert found.no_answer.value == 0.125
    assert (found.tokens.value, found.tokens_per_question.value) == (10, 40)


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("The answer is B. go", True),
        ("The answer is A. stop", False),  # the published evaluator finds a "B" or "go" in many wrong answers
        ("The answer is A, not B.", False),
        ("The answer is a beta blocker.", False),
        ("The answer is A or B.", False),
    ],
)
def test_answers_are_not_found_by_substring(response, right):
    found = accuracy_figures([row_of(choice_question(), (response,))])
    assert found.micro.value == float(right)


def test_one_group_has_no_macro_average_of_its_own():
    assert macro_mean([1.0, 0.0, 1.0], ["a"] * 3) == wilson(2, 3)


def test_macro_resamples_within_groups():
    """One group is always right, the other a coin: the macro interval comes from the coin alone."""
    found = macro_mean([1.0] * 50 + [1.0, 0.0] * 25, ["sure"] * 50 + ["coin"] * 50, resamples=4000)
    half = 1.96 * (0.25 / 50) ** 0.5 / 2
    assert (found.low, found.high) == (pytest.approx(0.75 - half, abs=0.012), pytest.approx(0.75 + half, abs=0.012))


def test_what_cannot_be_evaluated_is_refused():
    with pytest.raises(UserError, match="no question"):
        accuracy_figures([])
    open_row = QuestionSamples(
        question=number_question("q").without_gold(), samples=row_of(number_question("q"), RIGHT).samples
    )
    with pytest.raises(NoGold, match="1 of 1"):
        accuracy_figures([open_row])
    with pytest.raises(UserError, match="no samples"):
        accuracy_figures([QuestionSamples(question=number_question("q"), samples=())])
