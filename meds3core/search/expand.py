"""Expand: what may follow a node, drawn from the policy (METHOD.md §2).

Three moves: Reason (one more step), Finish (the remaining steps and the answer), Reflect (a rejected answer thought
over). What a text turns out to be decides over what was asked for: a step that states an answer is a Finish node, a
Finish text without an answer becomes Reason nodes, one with several steps a chain.
"""

import math
from dataclasses import dataclass

from meds3core.engines.base import Completion, Request, Sampling
from meds3core.search.base import SearchTools
from meds3core.search.concurrency import gather
from meds3core.search.seeds import request_seed, uniform
from meds3core.search.stop import may_reflect
from meds3core.search.tree import GrowingNode, GrowingTree
from meds3core.text.prompts import REFLECTION_START, answer_form
from meds3core.text.steps import NEXT_STEP, header, split
from meds3core.types.question import Question
from meds3core.types.tree import Move


@dataclass(frozen=True, slots=True)
class DrawnStep:
    """One step of what the policy wrote, not yet part of the tree."""

    body: str
    number: int | None
    truncated: bool


async def expand(tree: GrowingTree, node: GrowingNode, tools: SearchTools) -> list[GrowingNode]:
    """Draw the node's moves, all at once, and attach what came of them in the order of the moves.

    Returns the new nodes by id, not yet simulated; none when the policy wrote nothing.
    """
    moves = await choose_moves(tree, node, tools)
    drawn = await gather(draw_move(tree, node, move, index, tools) for index, move in enumerate(moves))
    first_new = len(tree.nodes)
    for move, steps in zip(moves, drawn, strict=True):
        attach_chain(tree, node, move, steps)
    return state_answers(tree, first_new, tools)


async def choose_moves(tree: GrowingTree, node: GrowingNode, tools: SearchTools) -> list[Move]:
    """The moves to draw from this node.

    A rejected answer gets one Reflect; a node whose simulation already succeeds a single Finish; at the root always
    Reason. Else, with the guided prompt, each move is drawn on its own from the softmax of the two names' summed
    log-likelihoods after the planning prompt; with the plain prompt the policy simply continues.
    """
    config = tools.config
    if may_reflect(node, config):
        return [Move.REFLECT]
    if node is tree.root:
        return [Move.REASON] * config.branching
    if node.rollout_value is not None and node.rollout_value >= config.accept_at:
        return [Move.FINISH]
    if config.max_depth is not None and node.depth + 1 >= config.max_depth:
        return [Move.FINISH] * config.branching
    if not tools.prompt.plans:
        return [Move.REASON] * config.branching

    prompt = tools.prompt.plan(tree.question.text, answer_form(tree.question), tree.bodies(node))
    tree.cost.requests += 1
    reason, finish = await tools.engine.loglikelihood(prompt, ("Reason", "Finish"))
    reason_share = 1.0 / (1.0 + math.exp(min(finish - reason, 700.0)))
    draws = (
        uniform(tools.seed, tree.question.content_hash, node.path, "plan", index) for index in range(config.branching)
    )
    return [Move.REASON if draw < reason_share else Move.FINISH for draw in draws]


async def draw_move(
    tree: GrowingTree,
    node: GrowingNode,
    move: Move,
    index: int,
    tools: SearchTools,
    purpose: str | None = None,
) -> list[DrawnStep]:
    """Ask the policy for one move and cut what it wrote into steps; empty ones are left out."""
    config = tools.config
    reflect = move is Move.REFLECT
    one_step = move is Move.REASON
    prompt = tools.prompt.continuation(
        tree.question.text,
        answer_form(tree.question),
        tree.bodies(node),
        "reason" if one_step else "finish",
        reflect=reflect,
    )
    sampling = Sampling(
        max_tokens=config.step_tokens if one_step else config.rollout_tokens,
        temperature=config.step_draw.temperature,
        top_p=config.step_draw.top_p,
        stop=(NEXT_STEP,) if one_step else (),
        seed=request_seed(tools.seed, tree.question.content_hash, node.path, purpose or move.value, index),
    )
    completion = await tools.engine.generate(Request(prompt, sampling))
    count_cost(tree, completion)
    return cut_into_steps(completion, node.depth + 1, REFLECTION_START if reflect else "")


def cut_into_steps(completion: Completion, first_number: int, start: str = "") -> list[DrawnStep]:
    """The steps of a continuation that was primed with the header of step `first_number` and `start`.

    Only the last step of a completion cut by the token limit is truncated.
    """
    if not completion.text.strip():
        return []
    steps = split(header(first_number) + start + completion.text)
    drawn = [
        DrawnStep(step.body.strip(), step.number, completion.finish == "length" and position == len(steps) - 1)
        for position, step in enumerate(steps)
    ]
    return [step for step in drawn if step.body]


def attach_chain(
    tree: GrowingTree, node: GrowingNode, move: Move, steps: list[DrawnStep], *, closing: bool = False
) -> None:
    """Hang the steps below the node, one under the other; a step that a sibling already says becomes its copy.

    The first step of a Reflect move is the Reflect node; whether a step is Reason or Finish is known only when its
    answer is (`state_answers`).
    """
    parent = node
    for position, step in enumerate(steps):
        twin = next((child for child in tree.children(parent) if child.text == step.body), None)
        if twin is not None:
            twin.copies += 1
            twin.truncated = twin.truncated and step.truncated
            parent = twin
            continue
        kind = Move.REFLECT if move is Move.REFLECT and position == 0 else Move.REASON
        parent = tree.attach(parent, kind, step.body, closing=closing)
        parent.truncated = step.truncated
        if step.number is not None and step.number != parent.depth:
            parent.written_number = step.number


def state_answers(tree: GrowingTree, first_new: int, tools: SearchTools) -> list[GrowingNode]:
    """Find out which of the new nodes state an answer, and at training whether it is right."""
    question = tree.question
    verifier = tools.verifier_for(question)
    new_nodes = tree.nodes[first_new:]
    for node in new_nodes:
        parent = tree.nodes[node.parent]
        node.reflections = parent.reflections + (parent.answer is not None)
        answer = None if node.truncated else verifier.stated_answer(node.text, question)
        if answer is None:
            continue
        verdict = None
        if tools.config.mode == "training" and isinstance(question, Question):
            verdict = verifier.is_right(answer, question)
        tree.state_answer(node, answer, verdict)
        if node.move is Move.REASON:
            node.move = Move.FINISH
    return new_nodes


def count_cost(tree: GrowingTree, completion: Completion) -> None:
    """Add one request to what the tree has cost."""
    tree.cost.requests += 1
    tree.cost.generated_tokens += completion.generated_tokens
    tree.cost.prompt_tokens += completion.prompt_tokens
