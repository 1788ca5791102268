"""Rankings out of votes: worked by hand where that is possible, and what must hold whatever the votes are."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import t as student

from meds3core.evaluation.preference import Vote, ranking


def votes(*rows: tuple[str, str, float]) -> list[Vote]:
    """Each by another person."""
    return [Vote(*row, at, at) for at, row in enumerate(rows)]


def test_two_models_by_hand():
    """Three wins to one. With θ_b = −θ_a = −t by symmetry of the imaginary player's games, the slope is
    3 − 4σ(2t) + ½ − σ(t) = 0; at its root σ(2t) is what is told.
    """
    found = ranking(votes(("a", "b", 1), ("a", "b", 1), ("b", "a", 0), ("a", "b", 0))).models
    assert [(one.name, one.wins, one.ties, one.losses) for one in found] == [("a", 3, 0, 1), ("b", 1, 0, 3)]
    low, high = 0.0, 5.0
    for _ in range(80):
        t = (low + high) / 2
        slope = 3.5 - 4 / (1 + math.exp(-2 * t)) - 1 / (1 + math.exp(-t))
        low, high = (t, high) if slope > 0 else (low, t)
    assert found[0].strength.value == pytest.approx(1 / (1 + math.exp(-2 * t)), abs=1e-9)
    assert found[0].strength.value + found[1].strength.value == pytest.approx(1)


def test_ties_are_half_a_win_for_each():
    found = ranking(votes(("a", "b", 0.5), ("b", "a", 0.5))).models
    assert [one.name for one in found] == ["a", "b"], "equal: by name"
    assert all(one.strength.value == pytest.approx(0.5) and one.ties == 2 for one in found)


def test_whoever_won_every_vote_has_an_interval_all_the_same():
    found = ranking(votes(*[("a", "b", 1.0)] * 3)).models
    assert 0.5 < found[0].strength.value < 1
    assert found[0].strength.low < 0.5 < found[0].strength.high, "three votes prove nothing"
    sure = ranking(votes(*[("a", "b", 1.0)] * 60)).models
    assert sure[0].strength.low > 0.5


def test_many_votes_of_one_person_say_less_than_as_many_people():
    rows = [("a", "b", 1.0), ("a", "b", 1.0), ("a", "b", 0.0)] * 10
    apart = ranking(votes(*rows)).models[0].strength
    people = [Vote(*row, at // 6, at) for at, row in enumerate(sorted(rows, key=lambda row: -row[2]))]
    together = ranking(people).models[0].strength
    assert together.value == pytest.approx(apart.value)
    assert together.high - together.low > 1.5 * (apart.high - apart.low), "five people, who differ"
    assert (apart.n, together.n) == (30, 5)


def test_many_questions_of_one_comparison_say_less_than_as_many_comparisons():
    rows = [("a", "b", 1.0), ("a", "b", 1.0), ("a", "b", 0.0)] * 10  # three people of the same mind
    apart, together = (
        ranking([Vote(*row, at // 10, at // size) for at, row in enumerate(rows)]).models[0].strength for size in (1, 5)
    )
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_one_voter_tells_nothing_of_others():
    found = ranking([Vote("a", "b", 1.0, "me", at) for at in range(200)])
    assert found.voters == 1 and not found.has_intervals
    assert all((one.strength.low, one.strength.high) == (0, 1) for one in found.models)
    assert 0.9 < found.models[0].strength.value < 1
    assert ranking([Vote("a", "b", 1.0, who, who) for who in ("me", "you")]).has_intervals


def loss(theta: np.ndarray, rows: list[Vote], names: list[str], weight: float = 1.0) -> float:
    """The negative log-likelihood as it is written down, with the imaginary player's games."""
    strength = dict(zip(names, theta, strict=True))
    p = np.array([expit(strength[row.first] - strength[row.second]) for row in rows])
    won = np.array([row.won for row in rows])
    imagined = 0.5 * (np.log(expit(theta)) + np.log(expit(-theta))).sum()
    return float(-weight * (won * np.log(p) + (1 - won) * np.log(1 - p)).sum() - imagined)


def preferred(theta: np.ndarray) -> np.ndarray:
    """Logits of how often each is preferred to another one."""
    against = [[expit(mine - other) for other in np.delete(theta, at)] for at, mine in enumerate(theta)]
    return logit(np.mean(against, axis=1))


def fitted(rows: list[Vote], names: list[str]) -> np.ndarray:
    """By a general optimiser."""
    return minimize(loss, np.zeros(len(names)), (rows, names), tol=1e-12, options={"gtol": 1e-9}).x


def curved(theta: np.ndarray, rows: list[Vote], names: list[str], weight: float) -> np.ndarray:
    """Standard errors by differences: the inverse of the loss's curvature, and how the shares turn with strengths."""
    step = 1e-4 * np.eye(len(theta))
    curvature = [
        [
            sum(one * two * loss(theta + one * a + two * b, rows, names, weight) for one in (1, -1) for two in (1, -1))
            for b in step
        ]
        for a in step
    ]
    covariance = np.linalg.inv(np.array(curvature) / (4 * 1e-8))
    slope = np.array([(preferred(theta + a) - preferred(theta - a)) / 2e-4 for a in step]).T
    return np.sqrt(np.diag(slope @ covariance @ slope.T))


@pytest.mark.parametrize("differ", [0.1, 3.0])
def test_intervals_are_those_of_an_independent_computation(differ):
    """Five people, of one mind or of many, of whom one is left out at a time; every comparison has two questions."""
    rng = np.random.default_rng(11)
    names = ["a", "b", "c"]
    rows = []
    for voter in range(5):
        taste = dict(zip(names, rng.normal([1, 0, -1], differ), strict=True))
        for number in range(int(rng.integers(4, 15))):
            first, second = map(str, rng.choice(names, 2, replace=False))
            for _ in range(2):
                won = float(rng.choice([expit(taste[first] - taste[second]) > rng.random(), 0.5], p=[0.8, 0.2]))
                rows.append(Vote(first, second, won, voter, (voter, number)))
    whole = fitted(rows, names)
    without = [preferred(fitted([row for row in rows if row.voter != out], names)) for out in range(5)]
    by_voters = student.ppf(0.975, 4) * np.sqrt(0.8 * ((without - preferred(whole)) ** 2).sum(axis=0))
    width = np.maximum(by_voters, 1.959964 * curved(whole, rows, names, weight=0.5))
    assert (width > by_voters).any() == (differ < 1), "each of the two is tried"
    found = {one.name: one.strength for one in ranking(rows).models}
    for at, name in enumerate(names):
        value, got = preferred(whole)[at], found[name]
        assert got.value == pytest.approx(expit(value), abs=1e-5)
        assert (got.low, got.high) == pytest.approx((expit(value - width[at]), expit(value + width[at])), abs=1e-4)


def test_intervals_cover_what_people_at_large_prefer():
    """Eight people, unequally busy, whose tastes differ by a standard deviation of 1.2 logits."""
    rng = np.random.default_rng(5)
    tastes = rng.normal(0.6, 1.2, 100_000)
    true, covered, naive, runs = expit(tastes).mean(), 0, 0, 300
    for _ in range(runs):
        rows = []
        for voter, taste in enumerate(rng.normal(0.6, 1.2, 8)):
            rows += [("a", "b", float(rng.random() < expit(taste)), voter) for _ in range(rng.integers(10, 60))]
        by_voter = ranking([Vote(*row, at) for at, row in enumerate(rows)]).models
        by_vote = ranking([Vote(*row[:3], at, at) for at, row in enumerate(rows)]).models
        (mine,) = (one.strength for one in by_voter if one.name == "a")
        (other,) = (one.strength for one in by_vote if one.name == "a")
        covered += mine.low <= true <= mine.high
        naive += other.low <= true <= other.high
    assert covered / runs > 0.9
    assert naive / runs < 0.75, "votes taken for independent are too sure of themselves"


def test_the_true_order_is_found_and_covered():
    rng = np.random.default_rng(3)
    true = {"a": 1.2, "b": 0.4, "c": -0.2, "d": -1.4}
    rows = []
    for _ in range(800):
        first, second = rng.choice(list(true), 2, replace=False)
        p = 1 / (1 + math.exp(true[second] - true[first]))
        rows.append((str(first), str(second), float(rng.random() < p)))
    found = ranking(votes(*rows)).models
    assert [one.name for one in found] == ["a", "b", "c", "d"]
    for one in found:
        others = [1 / (1 + math.exp(value - true[one.name])) for name, value in true.items() if name != one.name]
        assert one.strength.low < sum(others) / 3 < one.strength.high


def test_nothing_and_nonsense():
    assert ranking([]).models == ()
    with pytest.raises(ValueError, match="itself"):
        ranking(votes(("a", "a", 1.0)))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("defg"), st.sampled_from([0.0, 0.5, 1.0])),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 40),
)
def test_whatever_the_votes_are(rows, people):
    found = ranking([Vote(*row, at % people, at) for at, row in enumerate(rows)]).models
    assert {one.name for one in found} == {name for row in rows for name in row[:2]}
    assert sum(one.votes for one in found) == 2 * len(rows)
    for one in found:
        assert 0 <= one.strength.low < one.strength.value < one.strength.high <= 1
    turned = [Vote(second, first, 1 - won, at % people, at) for at, (first, second, won) in enumerate(rows)]
    for one, same in zip(found, ranking(turned).models, strict=True):
        assert (same.name, same.wins, same.losses) == (one.name, one.wins, one.losses)
        assert (same.strength.low, same.strength.high) == pytest.approx((one.strength.low, one.strength.high))
