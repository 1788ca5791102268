"""Preference pairs: which two continuations, of which prefix."""

from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.config.labels import PairLabelConfig
from meds3core.labels.build import build_labels
from meds3core.labels.prefix import prefix_hash
from meds3core.text.steps import OPENER
from meds3core.types.labels import PairKind
from meds3core.types.question import Question
from tests.core.labels.by_hand import question, step, tree
from tests.core.trees import factory


def pairs(grown, kind=None, **settings):
    """Kinds, nodes and margins."""
    kinds = tuple(PairKind) if kind is None else (kind,)
    found = build_labels([grown], PairLabelConfig(kinds=kinds, **settings)).pairs()
    return [(pair.chosen_node, pair.rejected_node, round(pair.margin, 9)) for pair in found]


TWO_FAMILIES = tree(
    step(0, 0.6),  # 1
    step(0, 0.3),  # 2
    step(1, 0.95),  # 3
    step(1, 0.1),  # 4
    step(2, 0.05),  # 5
    step(2, 0.5),  # 6
)


def test_level_pairs_stand_at_one_depth_under_different_parents():
    """Across parents: 3-5: 0.9, 3-6: 0.45, 6-4: 0.4, 4-5: 0.05. Within a family (3-4: 0.85) is no level pair."""
    assert pairs(TWO_FAMILIES, PairKind.LEVEL) == [(3, 5, 0.9)]
    assert pairs(TWO_FAMILIES, PairKind.LEVEL, gap=0.4) == [(3, 5, 0.9), (3, 6, 0.45)]
    assert pairs(TWO_FAMILIES, PairKind.LEVEL, gap=0.01, max_pairs=2) == [(3, 5, 0.9), (3, 6, 0.45)]


def test_a_level_pair_branches_at_the_lowest_common_ancestor():
    (pair,) = build_labels([TWO_FAMILIES], PairLabelConfig(kinds=(PairKind.LEVEL,))).pairs()
    assert pair.prefix == (OPENER,)
    assert pair.chosen == ("Thought 1.", "Thought 3.")
    assert pair.rejected == ("Thought 2.", "Thought 5.")
    assert not pair.chosen_finished and not pair.rejected_finished
    assert pair.prefix_hash == prefix_hash(pair.question, [OPENER])
    assert pair.origin.tree == TWO_FAMILIES.content_hash
    deeper = tree(step(0, 0.5), *[step(parent + 1, value) for parent, value in
                                  ((0, 0.6), (0, 0.3), (1, 0.95), (1, 0.1), (2, 0.05), (2, 0.5))])  # fmt: skip
    (pair,) = build_labels([deeper], PairLabelConfig(kinds=(PairKind.LEVEL,))).pairs()
    assert pair.prefix == (OPENER, "Thought 1.")


def test_both_parents_of_a_level_pair_need_two_children():
    only_child = tree(step(0, 0.6), step(0, 0.3), step(1, 0.95), step(1, 0.1), step(2, 0.05))
    assert pairs(only_child, PairKind.LEVEL) == []


def test_the_gap_itself_is_not_enough():
    assert pairs(TWO_FAMILIES, PairKind.LEVEL, gap=0.45) == [(3, 5, 0.9)]
    assert pairs(TWO_FAMILIES, PairKind.SIBLING, sibling_gap=0.85) == []
    right = tree(step(0, 0.75), step(1, 1.0, True), step(1, 0.0, False))
    assert pairs(right, PairKind.FINISH, gap=0.75) == []
    assert pairs(right, PairKind.FINISH, gap=0.74) == [(2, 3, 0.75)]


def test_sibling_pairs_are_the_best_and_the_worst_child():
    """Families: root 1-2: 0.3, node 1: 3-4: 0.85, node 2: 6-5: 0.45; greatest margin first."""
    assert pairs(TWO_FAMILIES, PairKind.SIBLING) == [(3, 4, 0.85), (6, 5, 0.45), (1, 2, 0.3)]
    assert pairs(TWO_FAMILIES, PairKind.SIBLING, max_pairs=1) == [(3, 4, 0.85)]
    assert pairs(TWO_FAMILIES, PairKind.SIBLING, sibling_gap=0.3) == [(3, 4, 0.85), (6, 5, 0.45)]
    three = tree(step(0, 0.2), step(0, 0.9), step(0, 0.4), step(0, 0.9), step(0, 0.2))
    assert pairs(three, PairKind.SIBLING) == [(2, 1, 0.7)]  # ties: the first of equals
    alike = tree(step(0, 0.4), step(0, 0.4))
    assert pairs(alike, PairKind.SIBLING) == []


def test_finish_pairs_need_a_right_path_that_never_fell_to_the_gap():
    """Right leaves 4 (minimum 0.9) and 5 (0.5); wrong leaf 6 has value 0 whatever its rollouts were."""
    grown = tree(step(0, 0.9), step(1, 0.95), step(0, 0.5), step(2, 1.0, True), step(3, 1.0, True), step(2, 0.0, False))
    assert pairs(grown, PairKind.FINISH) == [(4, 6, 0.9)]
    assert pairs(grown, PairKind.FINISH, gap=0.4) == [(4, 6, 0.9), (5, 6, 0.5)]
    pair, longer = build_labels([grown], PairLabelConfig(kinds=(PairKind.FINISH,), gap=0.4)).pairs()
    assert pair.prefix == (OPENER, "Thought 1.", "Thought 2.")
    assert (len(pair.chosen), len(pair.rejected)) == (1, 1)
    assert pair.chosen_finished and pair.rejected_finished
    assert longer.prefix == (OPENER,)
    assert longer.rejected == ("Thought 1.", "Thought 2.", "Thought 6. The answer is 8 mg.")


def test_only_a_continuation_that_states_an_answer_is_finished():
    """The published fault: mid-chain continuations closed by an end-of-turn token."""
    grown = tree(step(0, 0.5), step(1, 0.9), step(1, 0.0, False))
    (pair,) = build_labels([grown], PairLabelConfig(kinds=(PairKind.SIBLING,))).pairs()
    assert (pair.chosen_finished, pair.rejected_finished) == (False, True)


def test_an_answer_that_was_reflected_upon_is_worth_nothing_and_is_not_preferred():
    reflected = tree(
        step(0, 0.5),
        step(0, 0.5),
        step(1, 0.9, False),  # value from the reflection below
        step(1, 0.2),
        step(3, 1.0, True),
        step(2, 0.1),
        step(2, 0.1),
        step(6, 0.0),
        step(6, 0.0),
        step(3, 0.3),
    )
    assert (3, 4, 0.7) not in pairs(reflected, PairKind.SIBLING)
    assert (4, 3, 0.2) in pairs(reflected, PairKind.SIBLING)
    assert pairs(reflected, PairKind.LEVEL) == []  # 5 is good, but the way to it states a wrong answer
    assert pairs(reflected, PairKind.FINISH, gap=0.0) == []


def test_steps_cut_by_the_token_limit_are_in_no_pair():
    cut = tree(step(0, 0.6), step(0, 0.0, truncated=True), step(0, 0.4))
    assert pairs(cut, PairKind.SIBLING) == [(1, 3, 0.2)]


def test_steps_without_a_value_are_in_no_pair():
    assert pairs(tree(step(0, 0.6), step(0, None)), PairKind.SIBLING) == []


def test_a_pair_that_two_kinds_or_two_trees_find_is_kept_once():
    nodes = (step(0, 1.0, True, text="Right. The answer is 7 mg."), step(0, 0.0, False, text="Wrong."))
    one, other = tree(*nodes), tree(*nodes, policy="p2")
    label_set = build_labels([one, other], PairLabelConfig())
    assert [pair.kind for pair in label_set.pairs()] == [PairKind.FINISH]
    assert label_set.counts.dropped["pairs found before"] == 3


def test_two_trees_of_a_question_share_its_limit():
    one = tree(step(0, 0.9), step(0, 0.1))
    other = tree(step(0, 0.8), step(0, 0.1), step(1, 0.9, text="x"), step(1, 0.1, text="y"), policy="p2")
    found = build_labels([one, other], PairLabelConfig(kinds=(PairKind.SIBLING,), max_pairs=2)).pairs()
    assert [(pair.origin.policy_hash, pair.margin) for pair in found] == [("p1", 0.8), ("p2", 0.8)]
    assert len(build_labels([one, other], PairLabelConfig(kinds=(PairKind.SIBLING,), max_pairs=1)).pairs()) == 1
    apart = tree(step(0, 0.8), step(0, 0.1), of=question(2))
    assert len(build_labels([one, apart], PairLabelConfig(kinds=(PairKind.SIBLING,), max_pairs=1)).pairs()) == 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.9))
def test_what_holds_of_every_pair(seed, gap):
    grown = factory.tree(seed)
    if not isinstance(grown.question, Question):
        return
    config = PairLabelConfig(gap=gap, sibling_gap=gap / 2, max_pairs=3)
    found = build_labels([grown], config).pairs()
    assert found == build_labels([grown], config).pairs()
    for kind in PairKind:
        margins = [pair.margin for pair in found if pair.kind is kind]
        assert margins == sorted(margins, reverse=True) and len(margins) <= 3
        assert all(margin > (gap / 2 if kind is PairKind.SIBLING else gap) for margin in margins)
    for pair in found:
        chosen, rejected = grown.path(pair.chosen_node), grown.path(pair.rejected_node)
        assert tuple(node.text for node in chosen) == pair.prefix + pair.chosen
        assert tuple(node.text for node in rejected) == pair.prefix + pair.rejected
        assert pair.chosen != pair.rejected
        below = len(pair.prefix)
        assert [node.id for node in chosen[:below]] == [node.id for node in rejected[:below]]
        assert chosen[below].id != rejected[below].id
        assert pair.chosen_finished is (chosen[-1].answer is not None)
        assert pair.rejected_finished is (rejected[-1].answer is not None)
        assert not any(node.truncated for node in chosen + rejected)
    keys = [(pair.prefix + pair.chosen, pair.prefix + pair.rejected) for pair in found]
    assert len(set(keys)) == len(keys)
