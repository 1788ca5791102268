"""Moves and what becomes of the texts they draw."""

import asyncio
import math

import pytest

from meds3core.engines.base import Completion
from meds3core.engines.scripted import ScriptedEngine, ScriptedReply
from meds3core.errors import ContextOverflow
from meds3core.search.expand import attach_chain, choose_moves, cut_into_steps, expand, state_answers
from meds3core.search.forest import TreeFailure
from meds3core.search.grow import grow
from meds3core.search.simulate import whole_steps
from meds3core.search.tree import GrowingTree
from meds3core.types.tree import Move
from tests.core.search.test_grow import grow_together
from tests.core.search.toy import likelihood, make_question, make_tools, respond, small_config

GOLD = "8 mg"  # of question 1


def completion(text, finish="end"):
    return Completion(text, finish, generated_tokens=1, prompt_tokens=1)


def expanded(texts, *, parent_value=0.5, number=1, **config):
    """The tree after one expansion of a node at depth 1 whose moves wrote these texts in turn."""
    replies = iter(texts)
    engine = ScriptedEngine(lambda request: next(replies), likelihood=likelihood)
    tools = make_tools(small_config(branching=len(texts), **config), engine=engine)
    tree = GrowingTree(make_question(number))
    parent = tree.attach(tree.root, Move.REASON, "Weigh.")
    parent.rollout_value = parent.value = parent_value
    asyncio.run(expand(tree, parent, tools))
    return tree


def described(tree):
    return [(node.parent, node.move.value, node.text) for node in tree.nodes[2:]]


def test_a_step_that_states_an_answer_is_a_finish_node_whatever_the_move_was():
    tree = expanded([" Multiply.", f" The answer is {GOLD}."])
    assert described(tree) == [(1, "reason", "Multiply."), (1, "finish", f"The answer is {GOLD}.")]
    assert [node.verdict for node in tree.nodes[2:]] == [None, True]


def test_identical_siblings_become_one_node():
    tree = expanded([" Multiply.", " Multiply. ", " Divide."])
    assert [(node.text, node.copies) for node in tree.nodes[2:]] == [("Multiply.", 2), ("Divide.", 1)]


def test_an_empty_step_makes_no_node():
    assert described(expanded(["", "  \n", " Divide."])) == [(1, "reason", "Divide.")]


def test_an_accepted_node_gets_a_single_finish_and_its_text_becomes_a_chain():
    text = f" Multiply.\n\nStep 3: Check.\n\nStep 5: The answer is {GOLD}."
    tree = expanded([text, "never asked for"], parent_value=0.95)
    assert described(tree) == [
        (1, "reason", "Multiply."),
        (2, "reason", "Check."),
        (3, "finish", f"The answer is {GOLD}."),
    ]
    assert [node.depth for node in tree.nodes] == [0, 1, 2, 3, 4]
    assert [node.written_number for node in tree.nodes[2:]] == [None, None, 5]


def test_a_finish_text_without_answer_becomes_reason_nodes():
    tree = expanded([" Multiply.\n\nStep 3: Check."], parent_value=0.95)
    assert [node.move for node in tree.nodes[2:]] == [Move.REASON, Move.REASON]
    assert not tree.nodes[3].complete


def test_only_the_last_step_of_a_cut_text_is_truncated_and_it_states_nothing():
    tree = expanded([ScriptedReply(" Multiply.\n\nStep 3: The answer is 8 mg. " + "word " * 500)], parent_value=0.95)
    first, last = tree.nodes[2:]
    assert not first.truncated
    assert last.truncated and last.answer is None


def test_a_finish_chain_joins_a_sibling_with_the_same_first_step():
    tree = expanded([" Multiply.", " Multiply.\n\nStep 3: The answer is 9 mg."], max_depth=2)
    assert described(tree) == [(1, "reason", "Multiply."), (2, "finish", "The answer is 9 mg.")]
    assert tree.nodes[2].copies == 2


def test_one_short_of_the_depth_limit_only_finish_is_drawn():
    tree = GrowingTree(make_question(1))
    node = tree.attach(tree.root, Move.REASON, "Weigh.")
    moves = asyncio.run(choose_moves(tree, node, make_tools(small_config(max_depth=2), prompt="guided")))
    assert moves == [Move.FINISH] * 3


def test_at_the_root_always_reason():
    tree = GrowingTree(make_question(1))
    assert asyncio.run(choose_moves(tree, tree.root, make_tools(prompt="guided"))) == [Move.REASON] * 3


def test_a_rejected_answer_gets_one_reflect_step_and_the_wrong_verdict_stays():
    engine = ScriptedEngine(lambda request: f" the dose is per kg.\n\nStep 3: The answer is {GOLD}.")
    tools = make_tools(engine=engine)
    tree = GrowingTree(make_question(1))
    wrong = tree.attach(tree.root, Move.REASON, "The answer is 9 mg.")
    state_answers(tree, wrong.id, tools)
    wrong.rollout_value = wrong.value = 0.0
    asyncio.run(expand(tree, wrong, tools))
    assert described(tree) == [(1, "reflect", "But wait, the dose is per kg."), (2, "finish", f"The answer is {GOLD}.")]
    assert [node.reflections for node in tree.nodes] == [0, 0, 1, 1]
    assert wrong.verdict is False and tree.nodes[3].verdict is True


def test_moves_follow_the_softmax_of_summed_log_likelihoods():
    """Reason is three times as likely as Finish. The published code looked at the first token only, which was BOS."""

    def by_name(prompt, continuation):
        return {"Reason": math.log(0.3), "Finish": math.log(0.1)}[continuation]

    tools = make_tools(small_config(branching=50), prompt="guided", engine=ScriptedEngine(respond, likelihood=by_name))
    moves = []
    for number in range(40):
        tree = GrowingTree(make_question(number))
        node = tree.attach(tree.root, Move.REASON, "Weigh.")
        node.rollout_value = 0.5
        moves += asyncio.run(choose_moves(tree, node, tools))
    assert moves.count(Move.REASON) / len(moves) == pytest.approx(0.75, abs=0.03)


def test_extreme_likelihoods_do_not_overflow():
    tools = make_tools(
        prompt="guided",
        engine=ScriptedEngine(
            respond, likelihood=lambda prompt, continuation: -1e6 if continuation == "Reason" else 0.0
        ),
    )
    tree = GrowingTree(make_question(1))
    node = tree.attach(tree.root, Move.REASON, "Weigh.")
    node.rollout_value = 0.5
    assert asyncio.run(choose_moves(tree, node, tools)) == [Move.FINISH] * 3


def test_cut_into_steps():
    steps = cut_into_steps(completion(" a\n\nStep 2: b", "length"), 1)
    assert [(step.body, step.number, step.truncated) for step in steps] == [("a", 1, False), ("b", 2, True)]
    assert cut_into_steps(completion("  \n"), 1) == []
    assert cut_into_steps(completion(" no.", "end"), 2, " But wait,")[0].body == "But wait, no."


def test_a_cut_rollout_is_judged_without_its_last_step():
    assert whole_steps(completion(" a\n\nStep 2: The answer is 12", "length"), 1) == "Step 1: a"
    assert whole_steps(completion(" The answer is 12", "length"), 1) == ""
    assert whole_steps(completion(" The answer is 12.", "end"), 1) == " The answer is 12."


def test_an_answer_in_mid_chain_is_a_reflection_used():
    tools = make_tools()
    tree = GrowingTree(make_question(1))
    steps = cut_into_steps(completion(f" The answer is 9 mg.\n\nStep 2: No.\n\nStep 3: The answer is {GOLD}."), 1)
    attach_chain(tree, tree.root, Move.FINISH, steps)
    state_answers(tree, 1, tools)
    assert [node.verdict for node in tree.nodes[1:]] == [False, None, True]
    assert [node.reflections for node in tree.nodes[1:]] == [0, 1, 1]
    assert [leaf.verdict for leaf in tree.finished_leaves()] == [True]


def test_a_prompt_longer_than_the_context_is_recorded_and_the_search_goes_on():
    long = make_question(2).model_copy(update={"text": "Patient 2 weighs 5 kg " + "word " * 5000})

    async def one(question):
        return await grow(long if question.id == "toy-2" else question, make_tools())

    results = grow_together([1, 2, 3], None, grow_one=one)
    assert isinstance(results[2], TreeFailure)
    assert results[2].code == ContextOverflow.code
    assert results[1].nodes and results[3].nodes
