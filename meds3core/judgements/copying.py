"""Frozen copies of steps for people to judge: what is shown, what is kept back, and the two hashes that name them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meds3core.judgements.flagging import Rule
from meds3core.judgements.items import ItemKept, ItemMode, ItemOrigin, ItemShown, StepFacts
from meds3core.labels.prefix import prefix_hashes
from meds3core.types.question import ChoiceFormat, OpenQuestion, Option, Question
from meds3core.types.tree import Node, Tree

MOST_SIBLINGS = 8

Scores = Mapping[str, Sequence[float | None]]
"""By name of the reward model: one per node of a tree, or per step of an answer."""


@dataclass(frozen=True, slots=True)
class ItemCopy:
    """An item before it is in a queue."""

    shown: ItemShown
    kept: ItemKept
    prefix_hash: str
    """Of the question and the steps before (`meds3core.labels.prefix`)."""
    step_hash: str
    """Of the same with all steps to be judged."""


def tree_item(
    tree: Tree,
    node: int,
    *,
    mode: ItemMode = ItemMode.STEP,
    scores: Scores | None = None,
    rules: Sequence[Rule] = (),
    origin: ItemOrigin | None = None,
) -> ItemCopy:
    """The step at a node, or the trajectory that ends there. Raises `ValueError` for the root."""
    path = tree.path(node)
    if len(path) < 2:
        raise ValueError("the root states no step to judge")
    first = len(path) - 1 if mode is ItemMode.STEP else 1
    before, judged = path[:first], path[first:]
    others = []
    if mode is ItemMode.STEP:
        others = [each for each in tree.nodes if each.parent == judged[0].parent and each.id != node][:MOST_SIBLINGS]
    made = origin or ItemOrigin(kind="tree", tree_hash=tree.content_hash, node=node)
    made = made.model_copy(
        update={
            "policy": made.policy or tree.provenance.policy,
            "policy_hash": tree.provenance.policy_hash,
            "prompt_hash": tree.provenance.prompt_hash,
            "correct": _reached(tree, node),
        }
    )
    known = scores or {}
    return item_copy(
        tree.question,
        [each.text for each in before],
        [each.text for each in judged],
        mode=mode,
        siblings=[each.text for each in others],
        facts=[_facts(tree, each, known) for each in judged],
        before=_facts(tree, before[-1], known) if first > 1 else None,
        siblings_facts=[_facts(tree, each, known) for each in others],
        rules=rules,
        origin=made,
    )


def item_copy(
    question: Question | OpenQuestion,
    prefix: Sequence[str],
    steps: Sequence[str],
    *,
    mode: ItemMode = ItemMode.STEP,
    siblings: Sequence[str] = (),
    facts: Sequence[StepFacts] = (),
    before: StepFacts | None = None,
    siblings_facts: Sequence[StepFacts] = (),
    rules: Sequence[Rule] = (),
    origin: ItemOrigin | None = None,
) -> ItemCopy:
    """An item of a question, the bodies of the steps before (step 0 first) and those to be judged."""
    gold = question.gold.value if isinstance(question, Question) else ""
    hashes = list(prefix_hashes(question, [*prefix, *steps]))
    shown = ItemShown(
        mode=mode,
        question=question.text,
        options=unspoken_options(question),
        gold=gold,
        source=question.source,
        domain=question.domain,
        prefix=tuple(prefix),
        steps=tuple(steps),
        siblings=tuple(siblings),
    )
    kept = ItemKept(
        question=question,
        steps=tuple(facts) or tuple(StepFacts() for _ in steps),
        before=before,
        siblings=tuple(siblings_facts),
        rules=tuple(rules),
        origin=origin or ItemOrigin(),
    )
    return ItemCopy(shown, kept, hashes[len(prefix) - 1], hashes[-1])


def unspoken_options(question: OpenQuestion) -> tuple[Option, ...]:
    """The options of a choice, unless the question's text spells them out."""
    form = question.answer_format
    if not isinstance(form, ChoiceFormat) or all(option.text in question.text for option in form.options):
        return ()
    return form.options


def _facts(tree: Tree, node: Node, scores: Scores) -> StepFacts:
    parent = tree.nodes[node.parent] if node.parent >= 0 else None
    known = node.depth >= 2 and parent is not None and parent.value is not None and node.value is not None
    given = {name: row[node.id] for name, row in scores.items() if node.id < len(row)}
    return StepFacts(
        value=node.value,
        drop=parent.value - node.value if known else None,  # type: ignore[union-attr, operator]
        right=sum(node.outcomes),
        rollouts=len(node.outcomes),
        verdict=node.verdict,
        scores={name: score for name, score in given.items() if score is not None},
        node=node.id,
    )


def _reached(tree: Tree, node: int) -> bool | None:
    """Whether a right answer was reached at the node or below it; None: no answer was judged there."""
    below, judged = {node}, False
    for each in tree.nodes[node:]:  # a child's id is greater than its parent's
        if each.id == node or each.parent in below:
            below.add(each.id)
            if each.verdict:
                return True
            judged = judged or each.verdict is False
    return False if judged else None
