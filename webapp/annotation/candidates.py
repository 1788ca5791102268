"""Steps that a queue could be filled from, as columns of numbers: read without texts, a few megabytes for each 100,000.

A search has a row per step; an evaluation's answers are read from its file, one question at a time.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import connection
from django.db.models import QuerySet

from meds3core.judgements.choosing import Pool, paths_pool, steps_pool
from meds3core.judgements.flagging import STATED, FlagRules, Integers, Steps
from meds3core.judgements.items import ItemMode
from meds3core.text.prompts import REFLECTION_START
from meds3core.types.tree import Move
from webapp.accounts.models import Team
from webapp.annotation.models import StepFlag
from webapp.common.files import Store, folder_of
from webapp.evaluations.index import index_open
from webapp.evaluations.models import Evaluation
from webapp.registry.models import ModelVersion
from webapp.trees.models import NodeRow, Tree, TreeScore

MOST_TREES = 20_000
MOST_QUESTIONS = 5_000
"""Of an evaluation. Beyond either number, so many are drawn by chance, and `notes` say so."""
_BATCH = 200
_BLOCK = 8_192
"""Rows that become arrays at a time."""
GREEDY = -1
"""The number of the greedy answer among a question's samples."""

Key = tuple[int, int, int]
"""Tree and node, then -1; or question, sample and step."""
Known = Collection[tuple[UUID, str]]
"""What a queue has already, by source and place."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What there is to choose from."""

    pool: Pool
    keys: Integers
    """(N, 3) A `Key` each."""
    sources: Sequence[UUID]
    """The trees that keys count; of an evaluation, itself alone."""
    model: str = ""
    """The reward model whose scores are used; empty: none."""
    model_id: UUID | None = None
    notes: tuple[str, ...] = ()


class _Step(NamedTuple):
    question: int
    value: float | None
    drop: float | None
    rollouts: int
    score: float | None
    right: bool
    reflection: bool
    flagged: bool


@dataclass
class _Columns:
    """Rows that grow with every tree or answer, and the columns that they become: a tuple costs some 300 bytes, so that
    they are put into arrays as soon as there are some thousands."""

    mode: ItemMode
    paths: list[Integers] = field(default_factory=list)
    """Of trajectories: places of their steps."""
    ends_right: list[bool] = field(default_factory=list)
    _steps: list[_Step] = field(default_factory=list)
    _keys: list[Key] = field(default_factory=list)
    _blocks: list[list[npt.NDArray[Any]]] = field(default_factory=list)
    _key_blocks: list[Integers] = field(default_factory=list)
    _settled: int = 0

    def step(self, step: _Step, key: Key | None = None) -> int:
        """One step more, to be chosen by itself if it has a key; gives its place."""
        if len(self._steps) >= _BLOCK:
            self._settle()
        self._steps.append(step)
        if key is not None:
            self._keys.append(key)
        return self._settled + len(self._steps) - 1

    def trajectory(self, path: Sequence[int], key: Key, right: bool) -> None:
        """One trajectory more, by the places of its steps."""
        self.paths.append(np.array(path, dtype=np.int32))
        self.ends_right.append(right)
        self._keys.append(key)

    def candidates(self, rules: FlagRules, sources: Sequence[UUID], **others: Any) -> Candidates:
        """Everything, to choose from."""
        self._settle()
        found = steps_pool(Steps(**{name: self._column(at) for at, name in enumerate(_Step._fields)}), rules)
        if self.mode is not ItemMode.STEP:
            found = paths_pool(found, self.paths, np.array(self.ends_right, dtype=bool))
        return Candidates(found, np.concatenate(self._key_blocks), sources, **others)

    def _settle(self) -> None:
        cells = list(zip(*self._steps, strict=True)) or [()] * len(_Step._fields)
        names = zip(_Step._fields, cells, strict=True)
        self._blocks.append([np.array(each, dtype=_TYPES.get(name, bool)) for name, each in names])
        self._key_blocks.append(np.array(self._keys, dtype=np.int64).reshape(-1, 3))
        self._settled += len(self._steps)
        self._steps.clear()
        self._keys.clear()

    def _column(self, at: int) -> npt.NDArray[Any]:
        """One column of all steps; its blocks are let go."""
        parts = [block[at] for block in self._blocks]
        for block in self._blocks:
            block[at] = block[at][:0]
        return np.concatenate(parts)


_TYPES: Mapping[str, Any] = {
    "question": np.int64,
    "value": np.float64,
    "drop": np.float64,
    "rollouts": np.int64,
    "score": np.float64,
}


def place_of(key: Sequence[int]) -> str:
    """A key's place in its source, as items keep it: the node, or question/sample/step."""
    return str(key[1]) if key[2] < 0 and key[1] >= 0 else "/".join(map(str, key))


# --- searches ------------------------------------------------------------------------------------------------------


def search_candidates(
    *,
    team: Team,
    job_id: UUID,
    rules: FlagRules,
    mode: ItemMode,
    stage: str | None = None,
    model_id: UUID | None = None,
    seed: int = 0,
    known: Known = (),
    most: int = MOST_TREES,
) -> Candidates:
    """Steps of a search's trees, or the trajectories that state an answer; those that are `known` left out.

    `most`: trees that are looked at.
    """
    trees = Tree.objects.filter(team=team, job=job_id)
    if stage is not None:
        trees = trees.filter(stage=stage)
    rows = list(trees.order_by("pk").values_list("pk", "question_hash"))
    drawn, notes = _drawn(len(rows), most, seed, "trees")
    rows = [rows[place] for place in drawn]
    model = _scorer(TreeScore.objects.filter(tree__team=team, tree__job=job_id), model_id)
    standing = StepFlag.objects.filter(tree__job=job_id, withdrawn=None).values_list("tree", "idx")
    marks = _Marks(set(standing), set(known))
    numbers = {text: number for number, text in enumerate(dict.fromkeys(row[1] for row in rows))}
    columns = _Columns(mode)
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        scored = TreeScore.objects.filter(tree__in=[row[0] for row in batch], model=model)
        scores = dict(scored.values_list("tree", "scores")) if model else {}
        asked = {tree_id: (start + at, numbers[text]) for at, (tree_id, text) in enumerate(batch)}
        for tree_id, nodes in _nodes_of(list(asked)):
            number, question = asked[tree_id]
            _add_tree(columns, number, tree_id, question, nodes, scores.get(tree_id, ()), marks)
    name = str(model) if model else ""
    return columns.candidates(
        rules, [row[0] for row in rows], model=name, model_id=model.pk if model else None, notes=notes
    )


@dataclass(frozen=True, slots=True)
class _Marks:
    flags: set[tuple[Any, ...]]
    known: set[tuple[UUID, str]]


_COLUMNS = ("idx", "parent_idx", "depth", "move", "value", "rollouts", "drop", "verdict", "tree_id")


def _nodes_of(trees: Sequence[UUID]) -> Iterator[tuple[UUID, list[tuple[Any, ...]]]]:
    """The nodes of each of these trees by index; cells as the database gives them."""
    rows = NodeRow.objects.filter(tree__in=trees).order_by("tree_id", "idx")
    sql, parameters = rows.values_list(*_COLUMNS).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        for tree_id, found in groupby(cursor.fetchall(), key=itemgetter(8)):
            yield UUID(str(tree_id)), list(found)


def _add_tree(
    columns: _Columns,
    number: int,
    tree_id: UUID,
    question: int,
    nodes: Sequence[tuple[Any, ...]],
    scores: Sequence[float | None],
    marks: _Marks,
) -> None:
    reached = [bool(row[7]) for row in nodes]
    for idx in range(len(nodes) - 1, 0, -1):  # a child's index is greater than its parent's
        if reached[idx]:
            reached[nodes[idx][1]] = True
    places = [-1] * len(nodes)
    for idx, parent, depth, move, value, rollouts, drop, verdict, _ in nodes[1:]:
        by_step = columns.mode is ItemMode.STEP
        if by_step and (tree_id, str(idx)) in marks.known:
            continue
        states = None if verdict is None else float(verdict)
        worth = value if states is None else states  # a stated answer is what it is, whatever was found below it
        known = depth >= 2 and value is not None and nodes[parent][4] is not None
        step = _Step(
            question=question,
            value=worth,
            drop=nodes[parent][4] - worth if known else drop,
            rollouts=rollouts if states is None else STATED,
            score=scores[idx] if idx < len(scores) else None,
            right=reached[idx],
            reflection=move == Move.REFLECT.value,
            flagged=(tree_id, idx) in marks.flags,
        )
        places[idx] = columns.step(step, (number, idx, -1) if by_step else None)
        if by_step:
            continue
        if states is not None and (tree_id, str(idx)) not in marks.known:
            path, at = [], idx
            while at > 0:
                path.append(places[at])
                at = nodes[at][1]
            columns.trajectory(path[::-1], (number, idx, -1), bool(verdict))


# --- evaluations ---------------------------------------------------------------------------------------------------


def evaluation_candidates(
    *,
    evaluation: Evaluation,
    rules: FlagRules,
    mode: ItemMode,
    model: str = "",
    seed: int = 0,
    known: Known = (),
    most: int = MOST_QUESTIONS,
) -> Candidates:
    """Steps of an evaluation's answers, or whole answers; the same words are there once. `most`: questions looked at.

    Answers have no rollouts: the rules that need them find nothing. Raises `EvaluationFileError`.
    """
    index = index_open(folder_of(Store.EVALUATIONS, evaluation.pk))
    drawn, notes = _drawn(len(index), most, seed, "questions")
    standing = StepFlag.objects.filter(evaluation=evaluation, withdrawn=None).values_list("place", "sample", "idx")
    marks = _Marks(set(standing), set(known))
    columns = _Columns(mode)
    for place in drawn:
        row, said = index.row(place), set[tuple[str, ...]]()
        answers = [(GREEDY, row.greedy)] if row.greedy is not None else []
        for sample, given in [*answers, *enumerate(row.samples)]:
            by_step = {name: found for name, found in given.scores.items() if len(found) == len(given.bodies)}
            model = model or next(iter(sorted(by_step)), "")
            scores = by_step.get(model, ())
            path: list[int] = []
            for step in range(1, len(given.bodies)):
                words = given.bodies[: step + 1]
                is_new = words not in said
                said.add(words)
                key = (place, sample, step)
                if mode is ItemMode.STEP and (not is_new or (evaluation.pk, place_of(key)) in marks.known):
                    continue
                score = scores[step] if scores else None
                reflects = given.bodies[step].startswith(REFLECTION_START.strip())
                stated = given.correct is False and step == len(given.bodies) - 1
                found = _Step(
                    question=place,
                    value=0.0 if stated else None,  # a wrong answer is what it is, as in a tree
                    drop=None,
                    rollouts=STATED if stated else 0,
                    score=score,
                    right=given.correct is True,
                    reflection=reflects,
                    flagged=key in marks.flags,
                )
                path.append(columns.step(found, key if mode is ItemMode.STEP else None))
            key = (place, sample, 0)
            if mode is ItemMode.TRAJECTORY and path and is_new and (evaluation.pk, place_of(key)) not in marks.known:
                columns.trajectory(path, key, given.correct is True)
    return columns.candidates(rules, [evaluation.pk], model=model, notes=notes)


# --- both ----------------------------------------------------------------------------------------------------------


def _drawn(count: int, most: int, seed: int, noun: str) -> tuple[list[int], tuple[str, ...]]:
    if count <= most:
        return list(range(count)), ()
    places = np.random.default_rng(seed).choice(count, most, replace=False)
    return sorted(places.tolist()), (f"Of {count:,} {noun}, {most:,} drawn by chance are looked at.",)


def _scorer(rows: QuerySet[TreeScore], model_id: UUID | None) -> ModelVersion | None:
    """The reward model that was asked for, or the one that scored last."""
    if model_id is not None:
        rows = rows.filter(model=model_id)
    newest = rows.select_related("model").order_by("-id").first()
    return newest.model if newest else None
