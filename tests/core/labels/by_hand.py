"""Trees written by hand: one line per node, in order of creation."""

from meds3core.text.steps import OPENER
from meds3core.types.question import Gold, NumberFormat, OpenQuestion, Question
from meds3core.types.tree import Move, Node, Provenance, StopReason, Tree, TreeTotals


def question(number: int = 1) -> Question:
    return Question(
        id=f"q{number}",
        text=f"How many mg is dose {number}?",
        answer_format=NumberFormat(unit="mg"),
        gold=Gold(value="7 mg"),
    )


def step(
    parent: int,
    value: float | None,
    right: bool | None = None,
    *,
    text: str | None = None,
    rollout: float | None = None,
    truncated: bool = False,
    answer: str | None = None,
    outcomes: tuple[int, ...] | None = None,
) -> dict[str, object]:
    """A node: its parent and value; `right` where it states an answer. Its rollout value is its value unless given."""
    own = value if rollout is None else rollout
    if right is not None and rollout is None:
        own = float(right)
    if outcomes is None:
        outcomes = () if right is not None or own is None or truncated else (1, 0)
    if answer is None and right is not None:
        answer = "7 mg" if right else "8 mg"
    return {
        "parent": parent,
        "value": value,
        "rollout_value": own,
        "verdict": right,
        "answer": answer,
        "text": text,
        "truncated": truncated,
        "outcomes": outcomes,
    }


def tree(*steps: dict[str, object], of: OpenQuestion | None = None, seed: int = 0, policy: str = "p1") -> Tree:
    """The tree of these nodes, numbered from 1; their texts say which they are unless given."""
    nodes = [Node(id=0, parent=-1, depth=0, move=Move.ROOT, text=OPENER, value=0.5, visits=1)]
    for number, fields in enumerate(steps, start=1):
        parent = int(str(fields["parent"]))
        text = fields["text"] or (
            f"Thought {number}."
            if fields["verdict"] is None
            else f"Thought {number}. The answer is {fields['answer']}."
        )
        move = Move.REASON if fields["verdict"] is None else Move.FINISH
        if nodes[parent].verdict is not None:
            move = Move.REFLECT
        nodes.append(
            Node(**{**fields, "id": number, "depth": nodes[parent].depth + 1, "move": move, "text": text, "visits": 1})
        )
    provenance = Provenance(
        policy="tiny",
        policy_hash=policy,
        engine="scripted",
        prompt="plain@1",
        prompt_hash="t1",
        config_hash="",
        seed=seed,
    )
    return Tree(
        question=of or question(),
        provenance=provenance,
        stop_reason=StopReason.COMPLETE,
        totals=TreeTotals(),
        nodes=tuple(nodes),
    )
