"""The same tree with fewer rollouts per node."""

from collections import Counter

import pytest

from meds3core.config.labels import StepLabelConfig
from meds3core.errors import UserError
from meds3core.labels.build import build_labels
from meds3core.labels.subsample import backup_rule, value_growth, with_fewer_rollouts
from meds3core.search.grow import grow
from meds3core.types.tree import Tree
from tests.core.labels.by_hand import step, tree
from tests.core.search.toy import make_question, make_tools, small_config


async def grown(rule: str, number: int = 1, **settings: object) -> Tree:
    """A tree that the real search grew with the toy policy."""
    return await grow(
        make_question(number), make_tools(small_config(backup=rule, max_nodes=30, min_rollouts=12, **settings))
    )


@pytest.mark.parametrize("rule", ["blend", "mean", "anchored"])
@pytest.mark.parametrize("close_rollouts", [True, False])
async def test_replaying_with_all_rollouts_gives_the_tree_itself(rule, close_rollouts):
    for number in range(6):
        whole = await grown(rule, number, close_rollouts=close_rollouts, enough_correct=None)
        again = with_fewer_rollouts(whole, 12, 0, backup=rule)
        assert again.content_hash == whole.content_hash
        assert with_fewer_rollouts(whole, 12, 0).content_hash == whole.content_hash


@pytest.mark.parametrize("rule", ["blend", "mean", "anchored"])
async def test_the_rule_is_found_from_the_values(rule):
    assert backup_rule(await grown(rule, enough_correct=None)) == rule


@pytest.mark.parametrize("rule", ["blend", "mean", "anchored"])
async def test_the_growth_of_values_is_that_of_the_search(rule):
    """Folded up to as many backups as the root has visits, at every moment that the search showed."""
    moments = []

    def look(tree):
        moments.append([(node.value, node.visits) for node in tree.nodes])

    tools = make_tools(small_config(backup=rule, max_nodes=30, min_rollouts=12, enough_correct=None))
    whole = await grow(make_question(2), tools, look)
    growth = value_growth(whole)
    moments.append([(node.value, node.visits) for node in whole.nodes])
    for moment in moments:
        values, visits = [None] * len(whole.nodes), [0] * len(whole.nodes)
        backed_up = [node for node in whole.nodes if growth[node.id]][: moment[0][1]]
        for node in backed_up:
            for each, value in zip(whole.path(node.id)[::-1], growth[node.id], strict=True):
                values[each.id] = value
                visits[each.id] += 1
        assert list(zip(values, visits, strict=True))[: len(moment)] == moment
    assert len(moments) > 3


async def test_outcomes_are_drawn_without_replacement_and_values_follow():
    whole = await grown("mean", enough_correct=None)
    fewer = with_fewer_rollouts(whole, 4, seed=1)
    assert fewer.content_hash != whole.content_hash
    changed = 0
    for before, after in zip(whole.nodes, fewer.nodes, strict=True):
        assert (after.text, after.verdict, after.visits) == (before.text, before.verdict, before.visits)
        if before.outcomes:
            assert len(after.outcomes) == 4
            assert not Counter(after.outcomes) - Counter(before.outcomes)
            assert after.rollout_value == sum(after.outcomes) / 4
        else:
            assert after.rollout_value == before.rollout_value
        changed += after.value != before.value
    assert changed > len(whole.nodes) // 4
    leaves = {node.id for node in fewer.nodes} - {node.parent for node in fewer.nodes}
    assert all(fewer.nodes[leaf].value == fewer.nodes[leaf].rollout_value for leaf in leaves)
    assert build_labels([fewer], StepLabelConfig(both_outcomes=False)).records


def test_values_worked_by_hand():
    """Rule mean: node 1's value is the mean of its children's, whose own rollouts are cut down to one each."""
    whole = tree(step(0, 0.5, outcomes=(1, 1)), step(1, 1.0, outcomes=(1, 1)), step(1, 0.0, outcomes=(0, 0)))
    fewer = with_fewer_rollouts(whole, 1, 0, backup="mean")
    assert [node.value for node in fewer.nodes] == [0.5, 0.5, 1.0, 0.0]
    assert [node.outcomes for node in fewer.nodes] == [(), (1,), (1,), (0,)]


async def test_the_draw_depends_on_seed_and_node_and_is_nested():
    whole = await grown("blend", enough_correct=None)
    four, eight = with_fewer_rollouts(whole, 4, 7), with_fewer_rollouts(whole, 8, 7)
    assert four == with_fewer_rollouts(whole, 4, 7)
    assert four != with_fewer_rollouts(whole, 4, 8)
    for small, large in zip(four.nodes, eight.nodes, strict=True):
        assert not Counter(small.outcomes) - Counter(large.outcomes)
    alone = [node.outcomes for node in four.nodes]
    assert len({outcomes for outcomes in alone if outcomes}) > 2


def test_trees_without_stored_rollouts_are_refused():
    with pytest.raises(UserError, match="node 1 has a value but no stored rollouts"):
        with_fewer_rollouts(tree(step(0, 0.5, outcomes=()), step(1, 1.0, True)), 4, 0)
    with pytest.raises(UserError, match="at least 1"):
        with_fewer_rollouts(tree(step(0, 0.5)), 0, 0)
    with pytest.raises(UserError, match="no backup rule"):
        with_fewer_rollouts(tree(step(0, 0.5), step(1, 0.123), step(1, 0.9)), 1, 0)
