"""What a set of trees amounts to: the figures at the head of a report. Pure; reads each tree once.

Words: a trajectory is *finished* when its last step states an answer, so every node that states one ends a
finished trajectory, whatever grew below it. A step *drops* when its value is below that of the step before it,
counted from step 2 on (the root's value is a mean over everything).
"""

from collections import Counter
from collections.abc import Iterable

from meds3core.data.trees import Failure
from meds3core.types.record import Record
from meds3core.types.tree import Node, Tree

VALUE_BINS = 10


class TreeFigures(Record):
    """One tree in figures. `solved` and `correct` are None for a tree grown without a gold answer."""

    id: str
    source: str
    domain: str
    stop_reason: str
    nodes: int
    """All nodes but the root."""
    depth: int
    finished: int
    correct: int | None
    solved: bool | None
    drops: int
    steps_with_predecessor: int
    truncated: int
    reflections: int


class GroupFigures(Record):
    """How the questions of one source, domain or anything else fared."""

    name: str
    questions: int
    judged: int
    """Questions with a gold answer."""
    solved: int

    @property
    def solved_fraction(self) -> float | None:
        """Share of judged questions that were solved; None where none could be judged."""
        return self.solved / self.judged if self.judged else None


class ForestSummary(Record):
    """Totals over trees. Maps are in order of frequency, then of name."""

    questions: int
    judged: int
    solved: int
    failed: int
    nodes: int
    finished: int
    correct: int
    truncated: int
    reflections: int
    requests: int
    rollouts: int
    generated_tokens: int
    prompt_tokens: int
    drop_share: float | None
    """Share of the steps from step 2 on, valued like the step before them, that have a lower value than it."""
    stop_reasons: dict[str, int]
    failure_codes: dict[str, int]
    moves: dict[str, int]
    depth_histogram: tuple[int, ...]
    """Nodes per depth, from depth 1 on."""
    value_histogram: tuple[int, ...]
    """Nodes per tenth of value, the root left out; the last bin includes 1."""
    sources: tuple[GroupFigures, ...]
    domains: tuple[GroupFigures, ...]
    policies: tuple[str, ...]

    @property
    def solved_fraction(self) -> float | None:
        """Share of judged questions with at least one correct trajectory."""
        return self.solved / self.judged if self.judged else None


def states_answer(node: Node) -> bool:
    """Whether a trajectory is finished at this node."""
    return node.answer is not None or node.verdict is not None


def value_drop(tree: Tree, node: Node) -> float | None:
    """By how much this step's value lies below the one before it (negative: above); None where one has none."""
    if node.depth < 2:
        return None
    before = tree.nodes[node.parent].value
    return None if before is None or node.value is None else before - node.value


def tree_figures(tree: Tree) -> TreeFigures:
    """Reduce a tree to its figures."""
    judged = hasattr(tree.question, "gold")
    drops = [drop for node in tree.nodes if (drop := value_drop(tree, node)) is not None]
    correct = sum(node.verdict is True for node in tree.nodes)
    return TreeFigures(
        id=tree.question.id,
        source=tree.question.source,
        domain=tree.question.domain,
        stop_reason=tree.stop_reason.value,
        nodes=len(tree.nodes) - 1,
        depth=max(node.depth for node in tree.nodes),
        finished=sum(states_answer(node) for node in tree.nodes),
        correct=correct if judged else None,
        solved=correct > 0 if judged else None,
        drops=sum(drop > 0 for drop in drops),
        steps_with_predecessor=len(drops),
        truncated=sum(node.truncated for node in tree.nodes),
        reflections=sum(node.move.value == "reflect" for node in tree.nodes),
    )


class Tally:
    """Adds trees up one by one, so that a file need never be in memory as a whole."""

    def __init__(self) -> None:
        self._trees: list[TreeFigures] = []
        self._costs: Counter[str] = Counter()
        self._depths: Counter[int] = Counter()
        self._values: Counter[int] = Counter()
        self._moves: Counter[str] = Counter()
        self._policies: Counter[str] = Counter()

    def add(self, tree: Tree) -> TreeFigures:
        """Count one tree."""
        figures = tree_figures(tree)
        self._trees.append(figures)
        self._costs.update(tree.totals.model_dump())
        self._policies[tree.provenance.policy] += 1
        for node in tree.nodes[1:]:
            self._depths[node.depth] += 1
            self._moves[node.move.value] += 1
            if node.value is not None:
                self._values[min(int(node.value * VALUE_BINS), VALUE_BINS - 1)] += 1
        return figures

    def result(self, failures: Iterable[Failure] = ()) -> ForestSummary:
        """The totals so far."""
        trees = self._trees
        codes = Counter(failure.code for failure in failures)
        steps = sum(tree.steps_with_predecessor for tree in trees)
        return ForestSummary(
            questions=len(trees),
            judged=sum(tree.solved is not None for tree in trees),
            solved=sum(bool(tree.solved) for tree in trees),
            failed=codes.total(),
            nodes=sum(tree.nodes for tree in trees),
            finished=sum(tree.finished for tree in trees),
            correct=sum(tree.correct or 0 for tree in trees),
            truncated=sum(tree.truncated for tree in trees),
            reflections=sum(tree.reflections for tree in trees),
            requests=self._costs["requests"],
            rollouts=self._costs["rollouts"],
            generated_tokens=self._costs["generated_tokens"],
            prompt_tokens=self._costs["prompt_tokens"],
            drop_share=sum(tree.drops for tree in trees) / steps if steps else None,
            stop_reasons=_ranked(Counter(tree.stop_reason for tree in trees)),
            failure_codes=_ranked(codes),
            moves=_ranked(self._moves),
            depth_histogram=tuple(self._depths[depth] for depth in range(1, max(self._depths, default=0) + 1)),
            value_histogram=tuple(self._values[index] for index in range(VALUE_BINS)),
            sources=_groups(trees, "source"),
            domains=_groups(trees, "domain"),
            policies=tuple(_ranked(self._policies)),
        )


def summarise(trees: Iterable[Tree], failures: Iterable[Failure] = ()) -> ForestSummary:
    """The totals over trees and recorded failures."""
    tally = Tally()
    for tree in trees:
        tally.add(tree)
    return tally.result(failures)


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _groups(trees: list[TreeFigures], field: str) -> tuple[GroupFigures, ...]:
    names = sorted({getattr(tree, field) for tree in trees})
    groups = []
    for name in names:
        members = [tree for tree in trees if getattr(tree, field) == name]
        groups.append(
            GroupFigures(
                name=name,
                questions=len(members),
                judged=sum(tree.solved is not None for tree in members),
                solved=sum(bool(tree.solved) for tree in members),
            )
        )
    return tuple(groups)
