"""The figures at the head of a report, against a forest small enough to count by hand."""

from typing import Any

from meds3core.data.trees import Failure
from meds3core.report.summary import summarise, tree_figures
from meds3core.types.tree import Move, Node, StopReason, Tree, TreeTotals
from tests.core.trees.factory import question, tree


def _node(id: int, parent: int, depth: int, value: float | None, move: Move = Move.REASON, **more: Any) -> Node:
    return Node(id=id, parent=parent, depth=depth, move=move, text="step", value=value, **more)


def _tree(*nodes: Node, seed: int = 0) -> Tree:
    root = _node(0, -1, 0, 0.9, Move.ROOT)
    totals = TreeTotals(requests=5, rollouts=3, generated_tokens=40, prompt_tokens=100)
    return tree(seed).model_copy(update={"nodes": (root, *nodes), "totals": totals, "stop_reason": StopReason.COMPLETE})


SOLVED = _tree(
    _node(1, 0, 1, 0.5),  # lower than the root: no drop, the root is no step
    _node(2, 1, 2, 0.25),  # drops
    _node(3, 1, 2, 1.0, Move.FINISH, answer="1", verdict=True),
    _node(4, 2, 3, 0.0, Move.FINISH, answer="2", verdict=False),  # drops
    _node(5, 4, 4, 0.0, Move.REFLECT, answer="2", verdict=False),  # stays: no drop
    _node(6, 2, 3, None, truncated=True),
)
UNSOLVED = _tree(_node(1, 0, 1, 0.1), seed=1)
OPEN = tree(2, of=question(2).without_gold())


def test_one_tree() -> None:
    figures = tree_figures(SOLVED)
    assert (figures.nodes, figures.depth, figures.finished, figures.correct, figures.solved) == (6, 4, 3, 1, True)
    assert (figures.drops, figures.steps_with_predecessor) == (2, 4)
    assert (figures.truncated, figures.reflections) == (1, 1)


def test_a_tree_without_gold_is_not_judged() -> None:
    figures = tree_figures(OPEN)
    assert figures.solved is None and figures.correct is None and figures.finished > 0


def test_totals() -> None:
    failures = [Failure(id="a", code="engine", reason=""), Failure(id="b", code="context-overflow", reason="")]
    summary = summarise([SOLVED, UNSOLVED], failures)
    assert (summary.questions, summary.judged, summary.solved, summary.solved_fraction) == (2, 2, 1, 0.5)
    assert (summary.nodes, summary.rollouts, summary.requests) == (7, 6, 10)
    assert (summary.generated_tokens, summary.prompt_tokens) == (80, 200)
    assert summary.drop_share == 2 / 4
    assert summary.stop_reasons == {"complete": 2}
    assert summary.failed == 2 and summary.failure_codes == {"context-overflow": 1, "engine": 1}
    assert summary.depth_histogram == (2, 2, 2, 1)
    assert summary.value_histogram == (2, 1, 1, 0, 0, 1, 0, 0, 0, 1)
    assert [(group.name, group.solved, group.questions) for group in summary.domains] == [
        ("dosing", 1, 1),
        ("triage", 0, 1),
    ]


def test_no_trees() -> None:
    summary = summarise([])
    assert summary.solved_fraction is None and summary.drop_share is None and summary.depth_histogram == ()
