"""A tree of any size, in the shape of a search's, for what draws and stores large ones. The same for the same size."""

import random

from meds3core.types.question import Question
from meds3core.types.tree import Move, Node, Provenance, StopReason, Tree, TreeTotals

DEEPEST = 12
_PROVENANCE = Provenance(
    policy="clinic", policy_hash="p" * 8, engine="scripted", prompt="plain@1", prompt_hash="h", config_hash="c", seed=0
)
_WORDS = ("serum", "sodium", "is", "low", "so", "that", "dose", "falls", "because", "renal", "clearance", "halves")


def grown(question: Question, size: int, *, seed: int = 1) -> Tree:
    """`size` nodes: up to three children each, values that wander down the paths, answers, drops, reflections."""
    rng = random.Random(seed)
    nodes = [Node(id=0, parent=-1, depth=0, move=Move.ROOT, text="Let us see.", value=0.5, visits=size)]
    open_nodes, inner = [0], [0]
    while len(nodes) < size:
        place = rng.randrange(len(open_nodes))
        parent = nodes[open_nodes[place]]
        open_nodes[place] = open_nodes[-1]
        open_nodes.pop()
        for _ in range(min(rng.choice((1, 2, 3, 3, 3)), size - len(nodes))):
            node = _child(rng, len(nodes), parent)
            nodes.append(node)
            if node.verdict is None and node.depth < DEEPEST:
                inner.append(node.id)
            if node.verdict is None or (node.verdict is False and rng.random() < 0.3):
                open_nodes.append(node.id)
        if not open_nodes:  # all paths have ended: some step is tried once more
            open_nodes.append(rng.choice(inner))
    visits = [1] * size
    for node in reversed(nodes[1:]):
        visits[node.parent] += visits[node.id]
    nodes = [node.model_copy(update={"visits": count}) for node, count in zip(nodes, visits, strict=True)]
    totals = TreeTotals(requests=size, rollouts=8 * size, generated_tokens=100 * size, prompt_tokens=300 * size)
    return Tree(
        question=question, provenance=_PROVENANCE, stop_reason=StopReason.MAX_NODES, totals=totals, nodes=tuple(nodes)
    )


def _child(rng: random.Random, number: int, parent: Node) -> Node:
    text = " ".join(rng.choice(_WORDS) for _ in range(rng.randrange(8, 24))).capitalize() + "."
    depth = parent.depth + 1
    value = min(1.0, max(0.0, (parent.value or 0.5) + rng.gauss(0.0, 0.22)))
    is_reflecting = parent.verdict is False
    if is_reflecting or depth >= DEEPEST or rng.random() < 0.05 * depth:
        verdict = rng.random() < value
        move = Move.REFLECT if is_reflecting else Move.FINISH
        return Node(
            id=number, parent=parent.id, depth=depth, move=move, text=f"{text} The answer is {number % 9} mg.",
            answer=f"{number % 9} mg", verdict=verdict, complete=True, value=float(verdict),
            rollout_value=float(verdict),
        )  # fmt: skip
    outcomes = tuple(int(rng.random() < value) for _ in range(8))
    return Node(
        id=number, parent=parent.id, depth=depth, move=Move.REASON, text=text, value=value, outcomes=outcomes,
        rollout_value=sum(outcomes) / 8, copies=2 if rng.random() < 0.03 else 1, truncated=rng.random() < 0.02,
    )  # fmt: skip
