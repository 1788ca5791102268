"""Select, back up and stop, one rule at a time, with numbers worked by hand."""

import math

import pytest

from meds3core.config.search import SearchConfig
from meds3core.search.backup import back_up, children_mean
from meds3core.search.select import select, upper_confidence_bound
from meds3core.search.stop import may_reflect, needs_closing, settle, settle_barren, stop_reason
from meds3core.search.tree import GrowingTree
from meds3core.types.tree import Move, StopReason
from tests.core.search.toy import make_question


def grow_by_hand(*values):
    """A root with one child per value, each backed up in order."""
    tree = GrowingTree(make_question(1))
    for value in values:
        add(tree, tree.root, value)
    return tree


def add(tree, parent, value, rule="mean", answer=None, verdict=None):
    node = tree.attach(parent, Move.REASON, f"step {len(tree.nodes)}")
    if answer is not None:
        tree.state_answer(node, answer, verdict)
    node.rollout_value = value
    back_up(tree, node, rule)
    return node


def test_root_is_the_visit_weighted_mean_of_its_children():
    tree = grow_by_hand(0.5, 1.0)
    assert tree.root.value == 0.75
    add(tree, tree.nodes[1], 0.0)
    # Node 1 is now 0.0 with two visits, node 2 is 1.0 with one: (0·2 + 1·1) / 3.
    assert tree.nodes[1].value == 0.0
    assert tree.root.value == pytest.approx(1 / 3)
    assert [node.visits for node in tree.nodes] == [3, 2, 1, 1]


def test_blend_halves_towards_the_children_each_time_and_so_depends_on_the_order():
    def values_in_order(first, second):
        tree = GrowingTree(make_question(1))
        parent = add(tree, tree.root, 0.8, "blend")
        add(tree, parent, first, "blend")
        add(tree, parent, second, "blend")
        return parent.value

    # 0.8 → (0.8 + 0.2) / 2 = 0.5 → (0.5 + 0.6) / 2 = 0.55
    assert values_in_order(0.2, 1.0) == pytest.approx(0.55)
    # 0.8 → (0.8 + 1.0) / 2 = 0.9 → (0.9 + 0.6) / 2 = 0.75
    assert values_in_order(1.0, 0.2) == pytest.approx(0.75)


def test_anchored_keeps_the_rollout_value_on_the_right_whatever_the_order():
    for first, second in ((0.2, 1.0), (1.0, 0.2)):
        tree = GrowingTree(make_question(1))
        parent = add(tree, tree.root, 0.8, "anchored")
        add(tree, parent, first, "anchored")
        add(tree, parent, second, "anchored")
        assert parent.value == pytest.approx((0.8 + 0.6) / 2)
        assert tree.root.value == pytest.approx(parent.value)


def test_a_child_that_was_never_backed_up_weighs_nothing():
    tree = grow_by_hand(0.5)
    tree.attach(tree.root, Move.FINISH, "closing step without rollouts", closing=True)
    assert children_mean(tree, tree.root) == 0.5


def test_upper_confidence_bound_by_hand():
    tree = grow_by_hand(0.25, 0.5, 0.5)
    config = SearchConfig()
    assert upper_confidence_bound(tree.root, tree.nodes[1], config) == pytest.approx(0.25 + 2 * math.sqrt(math.log(3)))
    unvisited = tree.attach(tree.root, Move.REASON, "new")
    assert upper_confidence_bound(tree.root, unvisited, config) == 5.0


def test_ties_go_to_the_lowest_child_and_complete_children_are_never_entered():
    tree = grow_by_hand(0.25, 0.5, 0.5)
    assert select(tree, SearchConfig()) is tree.nodes[2]
    tree.nodes[2].complete = True
    assert select(tree, SearchConfig()) is tree.nodes[3]


def test_inference_selects_by_the_product_of_scores():
    tree = grow_by_hand(0.9, 0.6)
    tree.nodes[1].path_score, tree.nodes[2].path_score = 0.1, 0.6
    config = SearchConfig(mode="inference", simulation="scorer")
    assert select(tree, SearchConfig()) is tree.nodes[1]
    assert select(tree, config) is tree.nodes[2]


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 0.7, 0.89, 0.9, 1.0])
def test_an_answer_at_any_value_is_reflected_upon_or_complete(value):
    """Between the two thresholds the published search came back to a Finish node for ever."""
    config = SearchConfig(mode="inference", simulation="scorer")
    tree = GrowingTree(make_question(1))
    node = add(tree, tree.root, value, answer="8 mg")
    settle(tree, node, config)
    assert may_reflect(node, config) == (value < 0.5)
    assert node.complete == (value >= 0.5)
    assert tree.root.complete == node.complete


def test_reflections_are_counted_along_the_path():
    config = SearchConfig()
    tree = GrowingTree(make_question(1))
    wrong = add(tree, tree.root, 0.0, answer="9 mg", verdict=False)
    again = add(tree, wrong, 0.0, answer="10 mg", verdict=False)
    again.reflections = 1
    settle(tree, again, config)
    assert again.complete
    assert tree.root.complete
    assert not may_reflect(wrong, config), "it has been reflected upon"
    assert wrong.verdict is False, "a verdict stays for ever"


def test_stop_reasons():
    config = SearchConfig(max_nodes=3, enough_correct=2)
    tree = grow_by_hand(0.5, 0.5)
    assert stop_reason(tree, config) is None
    add(tree, tree.nodes[1], 1.0, answer="8 mg", verdict=True)
    assert stop_reason(tree, config) is StopReason.MAX_NODES
    roomy = SearchConfig(max_nodes=30, enough_correct=2)
    assert stop_reason(tree, roomy) is None
    add(tree, tree.nodes[2], 1.0, answer="8 mg", verdict=True)
    assert stop_reason(tree, roomy) is StopReason.ENOUGH_CORRECT
    tree.root.complete = True
    assert stop_reason(tree, roomy) is StopReason.COMPLETE


def test_closing_nodes_do_not_count_against_the_budget():
    tree = grow_by_hand(0.5)
    tree.attach(tree.nodes[1], Move.FINISH, "closing", closing=True)
    assert tree.searched_nodes == 1


def test_depth_completes_an_unfinished_step_and_is_recorded_as_the_reason():
    config = SearchConfig(max_depth=2)
    tree = grow_by_hand(0.5)
    deep = add(tree, tree.nodes[1], 0.5)
    settle(tree, tree.nodes[1], config)
    settle(tree, deep, config)
    assert tree.root.complete
    assert stop_reason(tree, config) is StopReason.MAX_DEPTH


def test_a_node_whose_expansion_gave_nothing_is_complete():
    tree = grow_by_hand(0.5)
    settle_barren(tree, tree.nodes[1])
    assert tree.root.complete


def test_closing_is_wanted_below_four_correct_leaves():
    tree = grow_by_hand(0.5)
    assert needs_closing(tree, SearchConfig())
    for _ in range(4):
        add(tree, tree.root, 1.0, answer="8 mg", verdict=True)
    assert not needs_closing(tree, SearchConfig())
