"""Which steps a queue is filled with: what rules find, what an answer is worth, who gets which share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.judgements.choosing import Pool, choose, paths_pool, steps_pool
from meds3core.judgements.flagging import STATED, FlagRules, Rule, Steps, entropy, expected_information, matching

NAN = float("nan")


def steps(**columns):
    n = len(next(iter(columns.values())))
    known = {
        "question": np.arange(n), "value": np.full(n, NAN), "drop": np.full(n, NAN), "rollouts": np.zeros(n, int),
        "score": np.full(n, NAN), "right": np.zeros(n, bool), "reflection": np.zeros(n, bool),
        "flagged": np.zeros(n, bool),
    }  # fmt: skip
    return Steps(**{name: np.asarray(columns.get(name, default)) for name, default in known.items()})


def only(**shares):
    nothing = dict.fromkeys((rule.value.replace("-", "_") for rule in Rule), 0)
    return FlagRules(**nothing | {"most_per_question": 100} | shares)


def test_each_rule_finds_what_it_says():
    found = matching(
        steps(
            value=[0.9, 0.2, 0.6, NAN, 0.9], drop=[NAN, 0.6, -0.4, NAN, 0.0], score=[0.9, 0.9, NAN, 0.5, 0.1],
            right=[True, False, True, True, True], reflection=[False, False, False, True, False],
            flagged=[False, True, False, False, False],
        ),
        FlagRules(),
    )  # fmt: skip
    places = {rule: np.flatnonzero(mask).tolist() for rule, mask in found.items()}
    assert places == {
        Rule.DROP: [1],
        Rule.DISAGREEMENT: [1, 4],  # of step 1 rollouts say 0.2 - 0.6, at least 0
        Rule.BAD_IN_RIGHT: [4],
        Rule.REFLECTION: [3],
        Rule.UNCERTAIN: [3],
        Rule.FLAGGED: [1],
        Rule.RANDOM: [0, 1, 2, 3, 4],
    }


def test_nobody_is_asked_about_a_step_that_states_a_wrong_answer():
    """Its label is 0 by rule. Twenty rollouts that all failed are no rule."""
    known = steps(
        value=[0.0, 0.0, 1.0], drop=[0.8, 0.8, 0.8], rollouts=[STATED, 20, STATED], score=[0.6] * 3, right=[True] * 3,
        reflection=[True] * 3, flagged=[True] * 3,
    )  # fmt: skip
    assert known.settled.tolist() == [True, False, False]
    found = matching(known, FlagRules())
    assert {rule for rule, mask in found.items() if mask[0]} == {Rule.FLAGGED, Rule.RANDOM}
    assert found[Rule.DROP].tolist() == [False, True, True]
    assert found[Rule.DISAGREEMENT].tolist() == [False, True, False]
    worth = steps_pool(known, FlagRules()).priority
    assert worth[0] == 0.0 < worth[2] and worth[1] > 0.8


def test_an_answer_is_worth_most_where_opinions_are_unsure_or_opposed():
    """Five rollouts: label 1 becomes 6/7, label 0 becomes 1/7. With score 1: beliefs 13/14 and 4/7."""
    value, tried, first = np.array([1.0, 0.0, NAN, NAN]), np.array([5, 5, 0, 0]), np.full(4, NAN)
    found = expected_information(value, first, tried, np.array([1.0, 1.0, 0.5, NAN]))
    by_hand = entropy(np.array([13 / 14, 4 / 7, 0.5, 0.5]))
    assert found == pytest.approx(by_hand)
    assert found[0] < found[1] < found[2] == found[3] == 1.0
    assert entropy(np.array([0.0, 1.0])).tolist() == [0.0, 0.0]
    more = expected_information(np.zeros(2), np.full(2, NAN), np.array([2, 50]), np.full(2, NAN))
    assert more[0] > more[1], "many rollouts leave less to ask"


def test_after_an_error_rollouts_know_nothing_of_the_step_itself():
    """Four rollouts. All went wrong, as they did before: one half. None does any more: 1/6. Half of them still do: 1/2;
    as many as before: 3/4; more than before count like all of them."""
    value, drop = np.array([0.0, 0.0, 0.5, 0.5, 1.0]), np.array([0.0, 1.0, 0.5, 0.0, -0.5])
    found = expected_information(value, drop, np.full(5, 4), np.full(5, NAN))
    assert found == pytest.approx(entropy(np.array([1 / 2, 1 / 6, 1 / 2, 3 / 4, 5 / 6])))


def test_shares_are_kept_and_what_is_left_over_goes_round():
    n = 100
    pool = steps_pool(
        steps(drop=[0.9] * 4 + [0.0] * (n - 4), value=[0.0] * n, reflection=[False] * 50 + [True] * 50), FlagRules()
    )
    choice = choose(pool, only(drop=50, reflection=30, random=20), items=20, seed=1)
    counts = choice.counts()
    assert (len(choice.places), counts[Rule.RANDOM]) == (20, 4)
    assert counts[Rule.DROP] + sum(place < 4 for place in choice.places[:4]) == 4, "all there are, once"
    assert counts[Rule.REFLECTION] == 20 - 4 - counts[Rule.DROP]
    assert len(choose(pool, only(drop=100), items=20, seed=1).places) == 4, "nothing else has a share"
    assert choice.found[Rule.DROP] == 4


def test_the_most_telling_come_first_and_few_of_one_question():
    worth = np.array([0.1, 0.9, 0.8, 0.7, 0.2])
    found = {rule: np.full(5, rule in (Rule.DROP, Rule.RANDOM)) for rule in Rule}
    pool = Pool(np.array([0, 0, 0, 1, 1]), found, worth)
    assert choose(pool, only(drop=1), items=3, seed=0).places.tolist() == [1, 2, 3]
    assert choose(pool, only(drop=1, most_per_question=1), items=3, seed=0).places.tolist() == [1, 3]


def test_random_ones_are_drawn_from_all_and_the_seed_decides():
    pool = steps_pool(steps(value=np.linspace(0, 1, 1000)), FlagRules())
    one, again, other = (choose(pool, only(random=1), items=200, seed=seed).places for seed in (1, 1, 2))
    assert one.tolist() == again.tolist() != other.tolist()
    assert 400 < one.mean() < 600


def test_a_trajectory_is_found_by_its_steps():
    pool = steps_pool(steps(question=[3, 3, 3, 4], drop=[0.0, 0.5, 0.0, 0.0], value=[0.5] * 4), FlagRules())
    paths = paths_pool(pool, [np.array([0, 1]), np.array([0, 2]), np.array([3])], np.array([True, False, True]))
    assert paths.found[Rule.DROP].tolist() == [True, False, False]
    assert paths.question.tolist() == [3, 3, 4]
    assert paths.priority[0] == max(pool.priority[:2])
    assert len(paths_pool(pool, [], np.zeros(0, bool))) == 0


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 60),
    items=st.integers(1, 80),
    cap=st.integers(1, 5),
    shares=st.lists(st.integers(0, 5), min_size=7, max_size=7),
    seed=st.integers(0, 100),
)
def test_nothing_is_chosen_twice_nor_beyond_what_was_asked(n, items, cap, shares, seed):
    rng = np.random.default_rng(seed)
    pool = Pool(rng.integers(0, 8, n), {rule: rng.random(n) < 0.4 for rule in Rule}, rng.random(n))
    pool.found[Rule.RANDOM][:] = True
    names = [rule.value.replace("-", "_") for rule in Rule]
    rules = FlagRules(**dict(zip(names, shares, strict=True)), most_per_question=cap)
    choice = choose(pool, rules, items=items, seed=seed)
    assert len(set(choice.places.tolist())) == len(choice.places) <= items
    assert max(np.bincount(pool.question[choice.places]), default=0) <= cap
    assert all(pool.found[rule][place] for place, rule in zip(choice.places, choice.rules, strict=True))
    assert all(rules.shares[rule] > 0 for rule in choice.rules)
