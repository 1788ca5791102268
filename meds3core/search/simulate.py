"""Simulate: how promising is a new node? (METHOD.md §2)

By rollouts: sampled completions checked by rule; the share that ends right is the node's rollout value. Or by a
process reward model's score of the newest step. A node that states an answer needs no rollouts: its value is its
verdict (with a scorer: its score).
"""

from collections.abc import Sequence

from meds3core.config.search import DrawConfig
from meds3core.engines.base import Completion, Request, Sampling
from meds3core.errors import AppError
from meds3core.search.base import SearchTools
from meds3core.search.concurrency import gather
from meds3core.search.expand import count_cost
from meds3core.search.seeds import request_seed
from meds3core.search.tree import GrowingNode, GrowingTree
from meds3core.text.prompts import answer_form
from meds3core.text.steps import header, join, split
from meds3core.types.question import Question
from meds3core.types.tree import RolloutSample


async def simulate(tree: GrowingTree, nodes: Sequence[GrowingNode], tools: SearchTools) -> None:
    """Give every node its rollout value, all at once; a step cut by the token limit gets 0 without a trial."""
    await gather(simulate_node(tree, node, tools) for node in nodes)


async def simulate_node(tree: GrowingTree, node: GrowingNode, tools: SearchTools) -> None:
    """Set the node's `rollout_value` (in [0, 1]) and `path_score`; they never change afterwards."""
    if node.truncated:
        node.rollout_value = 0.0
    elif tools.config.simulation == "scorer":
        node.rollout_value = await score_newest_step(tree, node, tools)
    elif node.verdict is not None:
        node.rollout_value = float(node.verdict)
    else:
        await roll_out(tree, node, tools)
    parent = tree.nodes[node.parent]
    node.path_score = parent.path_score * (node.rollout_value or 0.0)


async def score_newest_step(tree: GrowingTree, node: GrowingNode, tools: SearchTools) -> float:
    """The process reward model's score of the node's own step, given the steps before it."""
    if tools.scorer is None:
        raise AppError("simulation by scorer without a scorer")
    scores = await tools.scorer.score(tree.question, tree.bodies(node))
    return scores[-1]


async def roll_out(tree: GrowingTree, node: GrowingNode, tools: SearchTools) -> None:
    """Sample completions from the node and check each; no answer counts as wrong."""
    question = tree.question
    if not isinstance(question, Question):
        raise AppError("rollouts need a question with a gold answer")
    draw = rollout_draw(tools)
    prompt = tools.prompt.continuation(question.text, answer_form(question), tree.bodies(node), "finish")
    requests = [
        Request(
            prompt,
            Sampling(
                max_tokens=tools.config.rollout_tokens,
                temperature=draw.temperature,
                top_p=draw.top_p,
                seed=request_seed(tools.seed, question.content_hash, node.path, "rollout", index),
            ),
        )
        for index in range(tools.config.rollouts_at(node.depth))
    ]
    completions = await gather(tools.engine.generate(request) for request in requests)
    verifier = tools.verifier_for(question)
    outcomes = []
    samples = []
    kept = {True: 0, False: 0}
    for completion in completions:
        count_cost(tree, completion)
        answer = verifier.stated_answer(whole_steps(completion, node.depth + 1), question)
        correct = verifier.is_right(answer, question) if answer is not None else None
        outcomes.append(int(correct is True))
        if kept[correct is True] < tools.config.keep_rollouts:
            kept[correct is True] += 1
            samples.append(RolloutSample(text=completion.text.strip(), answer=answer, correct=correct))
    tree.cost.rollouts += len(completions)
    node.outcomes = tuple(outcomes)
    node.samples = tuple(samples)
    node.rollout_value = sum(outcomes) / len(outcomes)


def rollout_draw(tools: SearchTools) -> DrawConfig:
    """Temperature 0.6 with the prompted base model, 1.0 afterwards, unless the configuration says otherwise."""
    if tools.config.rollout_draw is not None:
        return tools.config.rollout_draw
    return DrawConfig(temperature=0.6 if tools.prompt.plans else 1.0, top_p=0.9)


def whole_steps(completion: Completion, first_number: int) -> str:
    """The completion without a last step that the token limit cut: half a number is not an answer."""
    if completion.finish != "length":
        return completion.text
    return join(split(header(first_number) + completion.text)[:-1])
