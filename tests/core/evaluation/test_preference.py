"""Rankings out of votes: worked by hand where that is possible, and what must hold whatever the votes are."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.evaluation.preference import Vote, ranking


def votes(*rows: tuple[str, str, float]) -> list[Vote]:
    """Each in a group of its own."""
    return [Vote(first, second, won, group) for group, (first, second, won) in enumerate(rows)]


def test_two_models_by_hand():
    """Three wins to one. With θ_b = −θ_a = −t by symmetry of the imaginary player's games, the slope is
    3 − 4σ(2t) + ½ − σ(t) = 0; at its root σ(2t) is what is told.
    """
    found = ranking(votes(("a", "b", 1), ("a", "b", 1), ("b", "a", 0), ("a", "b", 0)))
    assert [(one.name, one.wins, one.ties, one.losses) for one in found] == [("a", 3, 0, 1), ("b", 1, 0, 3)]
    low, high = 0.0, 5.0
    for _ in range(80):
        t = (low + high) / 2
        slope = 3.5 - 4 / (1 + math.exp(-2 * t)) - 1 / (1 + math.exp(-t))
        low, high = (t, high) if slope > 0 else (low, t)
    assert found[0].strength.value == pytest.approx(1 / (1 + math.exp(-2 * t)), abs=1e-9)
    assert found[0].strength.value + found[1].strength.value == pytest.approx(1)


def test_ties_are_half_a_win_for_each():
    found = ranking(votes(("a", "b", 0.5), ("b", "a", 0.5)))
    assert [one.name for one in found] == ["a", "b"], "equal: by name"
    assert all(one.strength.value == pytest.approx(0.5) and one.ties == 2 for one in found)


def test_whoever_won_every_vote_has_an_interval_all_the_same():
    found = ranking(votes(*[("a", "b", 1.0)] * 3))
    assert 0.5 < found[0].strength.value < 1
    assert found[0].strength.low < 0.5 < found[0].strength.high, "three votes prove nothing"
    sure = ranking(votes(*[("a", "b", 1.0)] * 60))
    assert sure[0].strength.low > 0.5


def test_many_votes_of_one_comparison_say_less_than_as_many_comparisons():
    rows = [("a", "b", 1.0), ("a", "b", 1.0), ("a", "b", 0.0)] * 10
    apart = ranking(votes(*rows))[0].strength
    together = ranking([Vote(*row, at // 15) for at, row in enumerate(rows)])[0].strength
    assert together.value == pytest.approx(apart.value)
    assert together.high - together.low > 1.2 * (apart.high - apart.low)


def test_the_true_order_is_found_and_covered():
    rng = np.random.default_rng(3)
    true = {"a": 1.2, "b": 0.4, "c": -0.2, "d": -1.4}
    rows = []
    for _ in range(800):
        first, second = rng.choice(list(true), 2, replace=False)
        p = 1 / (1 + math.exp(true[second] - true[first]))
        rows.append((str(first), str(second), float(rng.random() < p)))
    found = ranking(votes(*rows), resamples=400)
    assert [one.name for one in found] == ["a", "b", "c", "d"]
    for one in found:
        others = [1 / (1 + math.exp(value - true[one.name])) for name, value in true.items() if name != one.name]
        assert one.strength.low < sum(others) / 3 < one.strength.high


def test_nothing_and_nonsense():
    assert ranking([]) == ()
    with pytest.raises(ValueError, match="itself"):
        ranking(votes(("a", "a", 1.0)))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("defg"), st.sampled_from([0.0, 0.5, 1.0])),
        min_size=1,
        max_size=40,
    )
)
def test_whatever_the_votes_are(rows):
    found = ranking(votes(*rows), resamples=50)
    assert {one.name for one in found} == {name for row in rows for name in row[:2]}
    assert sum(one.votes for one in found) == 2 * len(rows)
    for one in found:
        assert 0 < one.strength.low <= one.strength.value <= one.strength.high < 1
    mirrored = ranking(votes(*[(second, first, 1 - won) for first, second, won in rows]), resamples=50)
    assert [one.strength.value for one in mirrored] == pytest.approx([one.strength.value for one in found])
