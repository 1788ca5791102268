"""Frozen copies of chosen steps: trees and answers are opened a few at a time, and only those that were chosen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from meds3core.evaluation.record import QuestionRow, Response
from meds3core.judgements.copying import ItemCopy, item_copy, tree_item
from meds3core.judgements.flagging import Rule, expected_information
from meds3core.judgements.items import ItemMode, ItemOrigin, StepFacts
from meds3core.types.tree import Tree as TreeRecord
from webapp.annotation.candidates import GREEDY, Key, place_of
from webapp.annotation.models import StepFlag
from webapp.common.files import Store, folder_of
from webapp.evaluations.index import index_open
from webapp.trees.models import Tree, TreeScore
from webapp.trees.services import arena_read

_TREES = 20
"""Opened at a time."""
_MOST_SIBLINGS = 8


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen step: where it is, what it is worth, which rules hold of it (the first chose it)."""

    source: UUID
    key: Key
    priority: float
    rules: tuple[Rule, ...]
    job: UUID | None = None

    @property
    def place(self) -> str:
        """As items keep it."""
        return place_of(self.key)


Copies = Iterator[tuple[Pick, ItemCopy]]


def of_trees(picks: Sequence[Pick], *, mode: ItemMode, job_id: UUID | None = None) -> Copies:
    """Copies of steps of trees, with the scores of every reward model. A tree that is gone by now gives none."""
    wanted: dict[UUID, list[Pick]] = {}
    for pick in picks:
        wanted.setdefault(pick.source, []).append(pick)
    ids = list(wanted)
    for start in range(0, len(ids), _TREES):
        batch = ids[start : start + _TREES]
        scores: dict[UUID, dict[str, list[float | None]]] = {}
        for row in TreeScore.objects.filter(tree__in=batch).select_related("model").order_by("id"):
            scores.setdefault(row.tree_id, {})[str(row.model)] = row.scores
        for tree_id, owner, arena in Tree.objects.filter(pk__in=batch).values_list("pk", "job", "arena"):
            record = TreeRecord.model_validate_json(arena_read(bytes(arena)))
            for pick in wanted[tree_id]:
                origin = ItemOrigin(
                    kind="tree",
                    job=str(job_id or owner),
                    tree=str(tree_id),
                    tree_hash=record.content_hash,
                    node=pick.key[1],
                )
                yield (
                    pick,
                    tree_item(
                        record,
                        pick.key[1],
                        mode=mode,
                        scores=scores.get(tree_id),
                        rules=pick.rules,
                        origin=origin,
                    ),
                )


def of_answers(picks: Sequence[Pick], *, mode: ItemMode, evaluation_id: UUID, job_id: UUID | None = None) -> Copies:
    """Copies of steps of an evaluation's answers. Raises `EvaluationFileError`."""
    index = index_open(folder_of(Store.EVALUATIONS, evaluation_id))
    wanted: dict[int, list[Pick]] = {}
    for pick in picks:
        wanted.setdefault(pick.key[0], []).append(pick)
    for place in sorted(wanted):
        row = index.row(place)
        for pick in wanted[place]:
            answer = _answer(row, pick.key[1])
            if answer is not None:
                yield pick, _answer_copy(row, answer, pick, mode, evaluation_id, job_id)


def of_tree_flags(flags: Sequence[StepFlag]) -> Copies:
    """Copies of flagged steps of trees; the root, which states nothing to judge, is left out."""
    rows = [flag for flag in flags if flag.tree_id is not None and flag.idx > 0]
    jobs = dict(Tree.objects.filter(pk__in=[flag.tree_id for flag in rows]).values_list("pk", "job"))
    picks = [
        Pick(flag.tree_id, (0, flag.idx, -1), 0.0, (Rule.FLAGGED,), jobs[flag.tree_id])
        for flag in rows
        if flag.tree_id in jobs
    ]
    yield from _weighed(of_trees(picks, mode=ItemMode.STEP))


def of_answer_flags(flags: Sequence[StepFlag]) -> Copies:
    """Copies of flagged steps of evaluations' answers."""
    by_evaluation: dict[UUID, list[StepFlag]] = {}
    for flag in flags:
        if flag.evaluation_id is not None and flag.idx > 0:
            by_evaluation.setdefault(flag.evaluation_id, []).append(flag)
    for evaluation_id, rows in by_evaluation.items():
        job_id = rows[0].evaluation.job_id
        picks = [
            Pick(evaluation_id, (flag.place, flag.sample, flag.idx), 0.0, (Rule.FLAGGED,), job_id) for flag in rows
        ]
        yield from _weighed(of_answers(picks, mode=ItemMode.STEP, evaluation_id=evaluation_id, job_id=job_id))


def _weighed(made: Copies) -> Copies:
    """With the priority that follows from what is known of the step."""
    for pick, copy in made:
        facts = copy.kept.steps[0]
        score = next(reversed(facts.scores.values()), None)
        bits = expected_information(
            np.array([facts.value], dtype=np.float64),
            np.array([facts.drop], dtype=np.float64),
            np.array([facts.rollouts], dtype=np.int64),
            np.array([score], dtype=np.float64),
        )
        yield Pick(pick.source, pick.key, float(bits[0]), pick.rules, pick.job), copy


def _answer(row: QuestionRow, sample: int) -> Response | None:
    if sample == GREEDY:
        return row.greedy
    return row.samples[sample] if sample < len(row.samples) else None


def _answer_copy(
    row: QuestionRow, answer: Response, pick: Pick, mode: ItemMode, evaluation_id: UUID, job_id: UUID | None
) -> ItemCopy:
    place, sample, step = pick.key
    first, end = (step, step + 1) if mode is ItemMode.STEP else (1, len(answer.bodies))
    prefix = answer.bodies[:first]
    others: dict[str, StepFacts] = {}
    if mode is ItemMode.STEP:
        for each in (*((row.greedy,) if row.greedy else ()), *row.samples):
            if (
                each.bodies[:first] == prefix
                and first < len(each.bodies)
                and each.bodies[first] != answer.bodies[first]
            ):
                others.setdefault(each.bodies[first], _facts(each, first))
    siblings = list(others)[:_MOST_SIBLINGS]
    origin = ItemOrigin(
        kind="sample",
        job=str(job_id or ""),
        evaluation=str(evaluation_id),
        place=place,
        sample=sample,
        correct=answer.correct,
    )
    return item_copy(
        row.question,
        prefix,
        answer.bodies[first:end],
        mode=mode,
        siblings=siblings,
        facts=[_facts(answer, at) for at in range(first, end)],
        before=_facts(answer, first - 1) if first > 1 else None,
        siblings_facts=[others[body] for body in siblings],
        rules=pick.rules,
        origin=origin,
    )


def _facts(answer: Response, step: int) -> StepFacts:
    whole = {name: found for name, found in answer.scores.items() if len(found) == len(answer.bodies)}
    return StepFacts(
        verdict=answer.correct if step == len(answer.bodies) - 1 else None,
        scores={name: found[step] for name, found in whole.items()},
    )
