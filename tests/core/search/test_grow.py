"""Whole trees, grown with the toy policy: golden trees, independence, invariants."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.config.search import SearchConfig
from meds3core.data.trees import tree_line
from meds3core.engines.scripted import Recording, RecordingEngine, ScriptedEngine
from meds3core.errors import ConfigError, EngineError
from meds3core.search.forest import TreeFailure, forest
from meds3core.search.grow import grow
from meds3core.types.tree import Move, StopReason, Tree
from tests.core.search.toy import likelihood, make_question, make_tools, respond, small_config

GOLDEN = Path(__file__).parents[2] / "golden"


def grow_alone(number: int, tools) -> Tree:
    return asyncio.run(grow(make_question(number), tools))


def grow_together(numbers, tools, concurrency=100, grow_one=None):
    async def run():
        questions = [make_question(number) for number in numbers]
        grow_it = grow_one or (lambda question: grow(question, tools))
        outcomes = [outcome async for outcome in forest(questions, grow_it, concurrency)]
        return {numbers[outcome.position]: outcome.result for outcome in outcomes}

    return asyncio.run(run())


# Golden trees -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "guided", "scorer"])
def test_golden_trees_replayed_all_at_once(name):
    """Unequal questions in one forest, completions from a recording: each equals its stored, solo-grown tree.

    Rewrite with `python -m tests.golden.rewrite` after a wanted change of the search, and read the difference.
    """
    stored = json.loads((GOLDEN / f"trees-{name}.json").read_text())
    recording = Recording.load(GOLDEN / f"recording-{name}.json")
    config = SearchConfig.model_validate(stored["config"])
    tools = make_tools(config, prompt=stored["prompt"], engine=ScriptedEngine.replay(recording, shuffle=3))
    numbers = [int(number) for number in stored["trees"]]
    assert len({len(tree["nodes"]) for tree in stored["trees"].values()}) > 1, "unequal trees prove independence"
    for number, tree in grow_together(numbers, tools).items():
        assert json.loads(tree_line(tree)) == stored["trees"][str(number)]


# Independence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["plain", "guided"])
def test_a_tree_is_the_same_alone_and_among_others_in_any_order_of_arrival(prompt):
    together = grow_together(list(range(40)), make_tools(prompt=prompt, shuffle=11))
    for number in range(0, 40, 5):
        alone = grow_alone(number, make_tools(prompt=prompt))
        assert tree_line(alone) == tree_line(together[number])


def test_rows_and_ids_do_not_enter_the_seeds():
    question = make_question(4)
    renamed = question.model_copy(update={"id": "another"})
    first = asyncio.run(grow(question, make_tools()))
    second = asyncio.run(grow(renamed, make_tools()))
    assert first.nodes == second.nodes


def test_another_seed_gives_another_tree():
    assert grow_alone(4, make_tools(seed=1)).nodes != grow_alone(4, make_tools(seed=2)).nodes


def test_the_node_budget_is_each_trees_own():
    config = small_config(max_nodes=10, enough_correct=None)
    trees = grow_together(list(range(60)), make_tools(config))
    assert all(
        sum(not node.closing for node in tree.nodes) - 1 >= 10
        for tree in trees.values()
        if tree.stop_reason is StopReason.MAX_NODES
    )
    assert sum(tree.stop_reason is StopReason.MAX_NODES for tree in trees.values()) > 30


# Invariants -------------------------------------------------------------------------------------------------------

configs = st.builds(
    small_config,
    max_nodes=st.integers(1, 40),
    branching=st.integers(1, 4),
    max_depth=st.one_of(st.none(), st.integers(2, 6)),
    enough_correct=st.one_of(st.none(), st.integers(1, 5)),
    accept_at=st.sampled_from([0.6, 0.9, 1.0]),
    reject_below=st.sampled_from([0.0, 0.5]),
    max_reflections=st.integers(0, 3),
    backup=st.sampled_from(["blend", "mean", "anchored"]),
    close_rollouts=st.booleans(),
    simulation=st.sampled_from(["rollouts", "scorer"]),
    keep_rollouts=st.integers(0, 2),
)


@settings(max_examples=150, deadline=None)
@given(config=configs, number=st.integers(0, 300), prompt=st.sampled_from(["plain", "guided"]))
def test_invariants_of_every_finished_tree(config, number, prompt):
    tree = grow_alone(number, make_tools(config, prompt=prompt))
    children = tree.children()
    for node in tree.nodes:
        assert node.value is None or 0.0 <= node.value <= 1.0
        assert node.parent < node.id
        below = [tree.nodes[child] for child in children[node.id]]
        own = 0 if node.id == 0 else int(_was_backed_up(tree, node))
        assert node.visits == own + sum(child.visits for child in below), "visits are conserved"
        assert len({child.text for child in below}) == len(below), "identical siblings are one node"
        if node.truncated:
            assert node.complete and node.answer is None and not below
        if node.id and config.simulation == "rollouts":
            wants_rollouts = node.answer is None and not node.truncated and (config.close_rollouts or not node.closing)
            assert len(node.outcomes) == (config.rollouts_at(node.depth) if wants_rollouts else 0)
            if node.outcomes:
                assert node.rollout_value == sum(node.outcomes) / len(node.outcomes)
        if below and all(child.complete for child in below) and not below[0].closing:
            assert node.complete
        answered_above = sum(step.answer is not None for step in tree.path(node.id)[:-1])
        if node.move is Move.REFLECT:
            assert 1 <= answered_above <= config.max_reflections
            assert node.text.startswith("But wait,")
    if config.backup != "blend":
        for node_id, value in recompute(tree, config.backup).items():
            assert tree.nodes[node_id].value == pytest.approx(value)


def _was_backed_up(tree, node):
    closing = [step for step in tree.path(node.id) if step.closing]
    return all(step.rollout_value is not None for step in closing)


def recompute(tree: Tree, rule: str) -> dict[int, float]:
    """Values from scratch, leaves first, by METHOD.md §2."""
    values: dict[int, float] = {}
    children = tree.children()
    for node in reversed(tree.nodes):
        below = [tree.nodes[child] for child in children[node.id] if tree.nodes[child].visits]
        if not below:
            if node.visits:
                values[node.id] = node.rollout_value
            continue
        mean = sum(values[child.id] * child.visits for child in below) / sum(child.visits for child in below)
        own = node.rollout_value if rule == "anchored" and node.id else None
        values[node.id] = mean if own is None else (own + mean) / 2
    return values


def test_every_stop_reason_and_move_occurs():
    trees = grow_together(list(range(120)), make_tools(small_config(max_nodes=20, max_depth=4)))
    assert {tree.stop_reason for tree in trees.values()} == set(StopReason)
    moves = {node.move for tree in trees.values() for node in tree.nodes}
    assert moves == set(Move)
    assert any(node.copies > 1 for tree in trees.values() for node in tree.nodes)
    assert any(node.written_number is not None for tree in trees.values() for node in tree.nodes)
    assert any(node.closing for tree in trees.values() for node in tree.nodes)


def test_inference_never_sees_a_gold_and_ends():
    config = small_config(mode="inference", simulation="scorer")
    tree = asyncio.run(grow(make_question(5).without_gold(), make_tools(config)))
    assert all(node.verdict is None for node in tree.nodes)
    assert any(node.answer for node in tree.nodes)
    assert not hasattr(tree.question, "gold")


def test_prm_guided_training_takes_verdicts_from_the_verifier_and_values_from_the_scorer():
    tree = grow_alone(5, make_tools(small_config(simulation="scorer")))
    answered = [node for node in tree.nodes if node.answer]
    assert {node.verdict for node in answered} <= {True, False}
    assert any(node.rollout_value not in (0.0, 1.0) for node in answered)
    assert tree.totals.rollouts == 0


def test_scorer_simulation_without_a_scorer_is_refused():
    tools = make_tools(small_config())
    with pytest.raises(ConfigError):
        type(tools)(tools.engine, tools.verifier_for, tools.prompt, small_config(simulation="scorer"), 1)


# Failure ----------------------------------------------------------------------------------------------------------


def test_a_failing_question_is_recorded_and_harms_no_other():
    def fail_for_seven(request):
        if "Patient 7 " in request.prompt.messages[-1].content:
            return EngineError("the device fell over")
        return respond(request)

    tools = make_tools(engine=ScriptedEngine(fail_for_seven, likelihood=likelihood))
    results = grow_together(list(range(12)), tools)
    assert results[7] == TreeFailure(id="toy-7", code="engine", reason="the device fell over")
    assert tree_line(results[8]) == tree_line(grow_alone(8, make_tools()))


def test_closing_the_forest_cancels_what_grows():
    async def run():
        tools = make_tools()
        outcomes = forest([make_question(n) for n in range(50)], lambda q: grow(q, tools), 10)
        async for _ in outcomes:
            break
        await outcomes.aclose()
        return tools.engine.in_flight, len(asyncio.all_tasks())

    assert asyncio.run(run()) == (0, 1)


def test_requests_of_all_trees_wait_together():
    engine = ScriptedEngine(respond, likelihood=likelihood)
    grow_together(list(range(64)), make_tools(engine=engine), concurrency=64)
    assert engine.max_in_flight > 64


def test_recording_engine_replays_the_same_trees():
    recorder = RecordingEngine(ScriptedEngine(respond, likelihood=likelihood))
    first = grow_alone(9, make_tools(engine=recorder, prompt="guided"))
    again = grow_alone(9, make_tools(engine=ScriptedEngine.replay(recorder.recording), prompt="guided"))
    assert tree_line(first) == tree_line(again)
