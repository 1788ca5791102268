"""A tree while it grows: the arena of `meds3core.types.tree`, mutable, with child lists and running counts."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from meds3core.text.steps import OPENER
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.tree import Move, Node, Provenance, RolloutSample, StopReason, Tree, TreeTotals


@dataclass(slots=True, eq=False)
class GrowingNode:
    """One step. Fields that `types.tree.Node` has too mean the same here."""

    id: int
    parent: int
    depth: int
    move: Move
    text: str
    path: tuple[int, ...]
    """Child indices from the root: the node's place, from which seeds derive."""
    reflections: int = 0
    """Answers stated by proper ancestors: each one was reflected upon."""
    written_number: int | None = None
    copies: int = 1
    outcomes: tuple[int, ...] = ()
    rollout_value: float | None = None
    value: float | None = None
    path_score: float = 1.0
    """Product of the simulation values along the path; what selection uses at inference."""
    visits: int = 0
    answer: str | None = None
    verdict: bool | None = None
    complete: bool = False
    depth_limited: bool = False
    truncated: bool = False
    closing: bool = False
    samples: tuple[RolloutSample, ...] = ()
    children: list[int] = field(default_factory=list)

    @property
    def is_leaf(self) -> bool:
        """Whether nothing grows from this node."""
        return not self.children


@dataclass(slots=True, eq=False)
class Cost:
    """What a tree has cost so far."""

    requests: int = 0
    rollouts: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0


class GrowingTree:
    """The arena and what is counted along the way. Budgets live here: no tree shares one with another."""

    def __init__(self, question: Question | OpenQuestion) -> None:
        self.question = question
        self.cost = Cost()
        self.nodes = [GrowingNode(id=0, parent=-1, depth=0, move=Move.ROOT, text=OPENER, path=())]
        self.searched_nodes = 0
        """Nodes that count against `max_nodes`: all but the root and the closing moves'."""
        self._answered: list[GrowingNode] = []

    @property
    def root(self) -> GrowingNode:
        """Question and step 0."""
        return self.nodes[0]

    def attach(self, parent: GrowingNode, move: Move, text: str, *, closing: bool = False) -> GrowingNode:
        """Append a child."""
        node = GrowingNode(
            id=len(self.nodes),
            parent=parent.id,
            depth=parent.depth + 1,
            move=move,
            text=text,
            path=(*parent.path, len(parent.children)),
            closing=closing,
        )
        parent.children.append(node.id)
        self.nodes.append(node)
        self.searched_nodes += not closing
        return node

    def state_answer(self, node: GrowingNode, answer: str, verdict: bool | None) -> None:
        """Note that this step states an answer. The verdict stays for ever, whatever grows below the node."""
        node.answer = answer
        node.verdict = verdict
        self._answered.append(node)

    def children(self, node: GrowingNode) -> list[GrowingNode]:
        """Children in order of creation."""
        return [self.nodes[child] for child in node.children]

    def ancestors(self, node: GrowingNode) -> Iterator[GrowingNode]:
        """Proper ancestors, from the parent up to the root."""
        while node.parent >= 0:
            node = self.nodes[node.parent]
            yield node

    def bodies(self, node: GrowingNode) -> list[str]:
        """Step bodies from step 0 to this node."""
        bodies = [node.text, *(ancestor.text for ancestor in self.ancestors(node))]
        return bodies[::-1]

    def finished_leaves(self) -> list[GrowingNode]:
        """Leaves whose last step states an answer."""
        return [node for node in self._answered if node.is_leaf]

    def correct_leaves(self) -> list[GrowingNode]:
        """Finished leaves with the right answer (none at inference, where nobody knows)."""
        return [node for node in self.finished_leaves() if node.verdict]

    def open_leaves(self) -> list[GrowingNode]:
        """Leaves without an answer that were not cut by the token limit."""
        return [node for node in self.nodes if node.is_leaf and node.answer is None and not node.truncated]

    def record(self, stop_reason: StopReason, provenance: Provenance) -> Tree:
        """The finished tree, immutable."""
        nodes = tuple(
            Node.model_construct(
                **{name: getattr(node, name) for name in _SHARED_FIELDS},
            )
            for node in self.nodes
        )
        cost = self.cost
        totals = TreeTotals(
            requests=cost.requests,
            rollouts=cost.rollouts,
            generated_tokens=cost.generated_tokens,
            prompt_tokens=cost.prompt_tokens,
        )
        return Tree(question=self.question, provenance=provenance, stop_reason=stop_reason, totals=totals, nodes=nodes)


_SHARED_FIELDS = tuple(Node.model_fields)
