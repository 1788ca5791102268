"""Every strategy as a pure choice: hand-worked votes, tie rules, what never wins."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.decoding.base import exact
from meds3core.decoding.strategies import OUTCOME, STRATEGIES, sample_score
from meds3core.prm.aggregate import AGGREGATORS

VOTES = [name for name in STRATEGIES if name != "greedy"]

# Six samples: "A" twice with low scores, "B" three times, "C" once with the best score; one without answer above all.
ANSWERS = ["A", "B", None, "B", "C", "A", "B"]
SCORES = [0.25, 0.25, 1.0, 0.5, 0.875, 0.5, 0.25]


def choose(name, answers=ANSWERS, scores=SCORES, subset=None):
    return STRATEGIES[name].choose(answers, scores, range(len(answers)) if subset is None else subset)


@pytest.mark.parametrize(
    ("name", "answer", "index"),
    [
        ("greedy", "A", 0),
        ("self-consistency", "B", 1),  # 3 votes against 2 and 1
        ("best-of-n", "C", 4),  # 0.875; the 1.0 has no answer
        ("orm-best-of-n", "C", 4),
        ("vote-sum", "B", 3),  # 0.25 + 0.5 + 0.25 = 1.0 against A 0.75 and C 0.875
        ("vote-mean", "C", 4),  # 0.875 against B 1/3 and A 0.375
    ],
)
def test_hand_worked_votes(name, answer, index):
    choice = choose(name)
    assert (choice.answer, choice.index) == (answer, index)
    assert choice.no_answer == (0 if name == "greedy" else 1)


def test_every_strategy_says_why():
    assert choose("self-consistency").why == "3 of 6 votes"
    assert choose("vote-sum").why == "sum 1.0000 of 3 samples, against 0.8750"
    assert choose("best-of-n").why == "score 0.8750, the best of 6"


def test_equal_sums_go_to_the_greater_best_score_then_to_the_lower_index():
    # Both sums are 0.75; B has the better best score.
    assert choose("vote-sum", ["A", "A", "B", "B"], [0.25, 0.5, 0.625, 0.125]).answer == "B"
    # Sums and best scores equal: the best sample of B stands before A's.
    assert choose("vote-sum", ["A", "B", "A", "B"], [0.25, 0.5, 0.5, 0.25]).answer == "B"
    assert choose("vote-mean", ["A", "B"], [0.5, 0.5]).answer == "A"
    assert choose("best-of-n", ["A", "B"], [0.5, 0.5]).answer == "A"


def test_sums_have_no_rounding_error():
    """0.1 + 0.2 is not 0.3 in floating point; on the grid both answers have the same sum, and B the better best."""
    scores = [exact(value) for value in (0.1, 0.2, 0.3)]
    assert choose("vote-sum", ["A", "A", "B"], scores).answer == "B"
    assert choose("vote-sum", ["B", "A", "A"], scores[::-1]).answer == "B"


def test_a_majority_ignores_scores():
    assert choose("self-consistency", ["A", "B", "B", "A"], [0.0, 1.0, 1.0, 0.0]).answer == "A"


def test_only_the_subset_counts():
    assert choose("self-consistency", subset=[5, 0, 3]).answer == "A"
    assert choose("best-of-n", subset=[1, 2]).answer == "B"


@pytest.mark.parametrize("name", VOTES)
def test_samples_without_an_answer_never_win_and_are_counted(name):
    choice = choose(name, [None, None, "A"], [1.0, 1.0, 0.0])
    assert (choice.answer, choice.index, choice.no_answer) == ("A", 2, 2)
    nothing = choose(name, [None, None], [1.0, 1.0])
    assert (nothing.answer, nothing.index, nothing.no_answer) == (None, None, 2)


class TestAggregates:
    @pytest.mark.parametrize(
        ("aggregator", "expected"),
        [("last", 0.5), ("min", 0.25), ("product", 0.125), ("mean", 0.5833333), ("geometric-mean", 0.5)],
    )
    def test_step_0_is_never_aggregated(self, aggregator, expected):
        # 1.0 * 0.25 * 0.5 = 0.125, whose third root is 0.5.
        assert sample_score((0.0, 1.0, 0.25, 0.5), aggregator) == pytest.approx(expected)

    @pytest.mark.parametrize("aggregator", sorted(AGGREGATORS))
    def test_one_step_answers_have_that_steps_score(self, aggregator):
        """The published aggregators crash on these, or give 1.0."""
        assert sample_score((0.75, 0.25), aggregator) == pytest.approx(0.25)
        assert sample_score((0.75,), aggregator) == pytest.approx(0.75), "step 0 is all there is"

    @pytest.mark.parametrize("aggregator", [*sorted(AGGREGATORS), OUTCOME])
    def test_what_did_not_fit_the_reward_model_counts_nothing(self, aggregator):
        assert sample_score((), aggregator) == 0.0

    @settings(deadline=None)
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.sampled_from(sorted(AGGREGATORS)))
    def test_a_score_stays_in_its_range(self, scores, aggregator):
        assert 0.0 <= sample_score(scores, aggregator) <= 1.0


drawn = st.lists(
    st.tuples(st.sampled_from(["A", "B", "C", None]), st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9375, 1.0])),
    min_size=1,
    max_size=9,
)


@settings(deadline=None)
@given(drawn, st.sampled_from(VOTES), st.randoms(use_true_random=False))
def test_the_order_of_samples_matters_only_for_ties(samples, name, random):
    """Distinct support decides alone; shuffled samples then give the same answer."""
    answers, scores = zip(*samples, strict=True)
    spread = [exact(score + 0.001 * 2**-place) for place, score in enumerate(scores)]  # no two sums are equal
    order = list(range(len(samples)))
    random.shuffle(order)
    before = choose(name, answers, spread)
    after = choose(name, [answers[i] for i in order], [spread[i] for i in order])
    if name == "self-consistency":
        votes = sorted((answers.count(a) for a in set(answers) - {None}), reverse=True)
        if len(votes) > 1 and votes[0] == votes[1]:
            return
    assert after.answer == before.answer


@settings(deadline=None)
@given(drawn, st.sampled_from(VOTES), st.randoms(use_true_random=False))
def test_the_order_in_which_a_subset_is_given_never_matters(samples, name, random):
    answers, scores = zip(*samples, strict=True)
    order = list(range(len(samples)))
    random.shuffle(order)
    assert choose(name, answers, scores, order) == choose(name, answers, scores)


@settings(deadline=None)
@given(drawn, st.sampled_from(VOTES))
def test_samples_without_an_answer_change_nothing(samples, name):
    answers, scores = zip(*samples, strict=True)
    some = [index for index, answer in enumerate(answers) if answer is not None]
    assert choose(name, answers, scores).answer == choose(name, answers, scores, some).answer


@settings(deadline=None)
@given(drawn, st.integers(0, 4), st.sampled_from(sorted(STRATEGIES)), st.data())
def test_settled_means_that_no_continuation_changes_the_answer(samples, rest, name, data):
    answers, scores = map(list, zip(*samples, strict=True))
    n = len(answers) + rest
    if not STRATEGIES[name].settled(answers, scores, n):
        return
    before = choose(name, answers, scores).answer
    for rival in ["A", "B", "C", "D", None]:  # the worst that can come
        assert choose(name, answers + [rival] * rest, scores + [1.0] * rest).answer == before
    for _ in range(rest):
        answers.append(data.draw(st.sampled_from(["A", "B", "C", "D", None])))
        scores.append(data.draw(st.sampled_from([0.0, 0.5, 1.0])))
    assert choose(name, answers, scores).answer == before


@settings(deadline=None)
@given(drawn, st.integers(1, 3), st.sampled_from(["self-consistency", "vote-sum"]))
def test_not_settled_means_that_some_continuation_changes_it(samples, rest, name):
    """The bound is exact: it never draws a sample that cannot matter."""
    answers, scores = map(list, zip(*samples, strict=True))
    if STRATEGIES[name].settled(answers, scores, len(answers) + rest):
        return
    before = choose(name, answers, scores).answer
    after = {choose(name, answers + [rival] * rest, scores + [1.0] * rest).answer for rival in "ABCD"}
    assert after - {before}
