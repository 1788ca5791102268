import asyncio

import pytest

from meds3core.search.answer import vote_sum
from meds3core.search.grow import grow
from meds3core.types.trajectory import finished_trajectories
from meds3core.types.tree import Move, Node, Tree
from tests.core.search.toy import make_question, make_tools, small_config


def tree_of(*leaves: tuple[str | None, float]) -> Tree:
    config = small_config(mode="inference", simulation="scorer")
    tree = asyncio.run(grow(make_question(1).without_gold(), make_tools(config)))
    nodes = [tree.nodes[0]]
    for answer, score in leaves:
        nodes.append(
            Node(id=len(nodes), parent=0, depth=1, move=Move.FINISH, text=f"leaf {len(nodes)}", answer=answer,
                 rollout_value=score, value=score)
        )  # fmt: skip
    return tree.model_copy(update={"nodes": tuple(nodes)})


def test_the_greatest_sum_wins_over_the_greatest_score():
    result = vote_sum(tree_of(("8 mg", 0.9), ("9 mg", 0.5), ("9 mg", 0.6), (None, 1.0)))
    assert (result.answer, result.best_leaf) == ("9 mg", 3)
    assert result.score == pytest.approx(1.1)


def test_ties_go_to_the_greater_best_score_then_to_the_lower_id():
    assert vote_sum(tree_of(("8 mg", 0.25), ("8 mg", 0.25), ("9 mg", 0.5))).answer == "9 mg"
    assert vote_sum(tree_of(("8 mg", 0.5), ("9 mg", 0.5))).answer == "8 mg"


def test_no_finished_leaf_no_answer():
    assert vote_sum(tree_of((None, 0.9))) is None


def test_trajectories_of_a_tree_are_its_answered_paths_and_a_wrong_answer_reflected_upon_stays_wrong():
    trees = [asyncio.run(grow(make_question(number), make_tools())) for number in range(30)]
    reflected = 0
    for tree in trees:
        ends = {trajectory.nodes[-1]: trajectory for trajectory in finished_trajectories(tree)}
        assert set(ends) == {node.id for node in tree.nodes if node.answer is not None}
        for end, trajectory in ends.items():
            assert trajectory.correct is tree.nodes[end].verdict
            assert trajectory.nodes[0] == 0
            known = [value for value in trajectory.values[1:] if value is not None]
            assert trajectory.weakest == min(known)
        for node in tree.nodes:
            if node.move is Move.REFLECT:
                reflected += 1
                assert tree.nodes[node.parent].verdict is False
                assert ends[node.parent].correct is False
    assert reflected > 3
