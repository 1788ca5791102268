"""The two forms in which the published code keeps trees (METHOD.md §7), read and written.

Both hold finished root-to-leaf paths only: importing rebuilds shared prefixes and says what cannot be rebuilt.
Nothing here judges an answer: verdicts are read, never made.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from meds3core.data.trees import (
    TreeFileError,
    first_problem,
    json_of,
    kind_of,
    lines_of,
    strict_json,
    text_field,
    write_whole,
)
from meds3core.errors import UserError
from meds3core.text.steps import OPENER, split
from meds3core.types.question import AnswerFormat, ChoiceFormat, Gold, Option, Question, TextFormat, YesNoFormat
from meds3core.types.tree import Move, Node, Provenance, StopReason, Tree, TreeTotals

PublishedForm = Literal["published", "nested"]


@dataclass(frozen=True, slots=True)
class ImportedTree:
    """A tree rebuilt from a published record, and what the record could not say."""

    tree: Tree
    notes: tuple[str, ...]


def published_record(tree: Tree, form: PublishedForm = "published") -> dict[str, Any]:
    """A tree as the published code would have kept it: its finished trajectories, right ones and wrong ones.

    Every node with a verdict ends a trajectory, one with a reflection below it included (METHOD.md §2, Reflect).
    Raises `UserError` for a tree grown without a gold answer: it has no right and wrong.
    """
    if not isinstance(tree.question, Question):
        raise UserError(f"tree of question {tree.question.id!r} was grown without a gold answer: no pos and neg")
    record: dict[str, Any] = {
        "id": tree.question.id,
        "question": tree.question.text,
        "answer": tree.question.gold.value,
        "pos": [_trajectory(tree, node, form) for node in tree.nodes if node.verdict is True],
        "neg": [_trajectory(tree, node, form) for node in tree.nodes if node.verdict is False],
    }
    if form == "nested":
        record["original_dataset"] = tree.question.source or None
    return record


def _trajectory(tree: Tree, leaf: Node, form: PublishedForm) -> list[Any]:
    path = tree.path(leaf.id)
    if form == "nested":
        return [[[node.text, node.value, node.rollout_value] for node in path], leaf.value, leaf.rollout_value]
    return [{"step": node.text, "value": node.value, "rollout_value": node.rollout_value} for node in path]


def write_published(path: Path, trees: Iterable[Tree], form: PublishedForm = "published") -> int:
    """Write a published file: a JSON array, or one record a line when the name ends in `.jsonl`."""
    rows = (json.dumps(published_record(tree, form), ensure_ascii=False, allow_nan=False) for tree in trees)
    if path.suffix == ".jsonl":
        return write_whole(path, rows, "", "\n", "\n")
    return write_whole(path, rows, "[\n", ",\n", "\n]\n")


def read_published(path: Path) -> Iterator[ImportedTree]:
    """The trees of a published file of either form, array or lines. An array is read into memory as a whole."""
    head = next(lines_of(path), None)
    if head is None:
        raise TreeFileError(f"{path}: empty")
    if head[1].lstrip()[:1] != b"[":
        for number, line, ended in lines_of(path):
            yield import_record(json_of(line, path, number, ended), f"{path}, line {number}", str(number))
        return
    try:
        rows = strict_json(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        at = f" (line {error.lineno}: {error.msg})" if isinstance(error, json.JSONDecodeError) else ""
        raise TreeFileError(f"{path}: not a JSON array in UTF-8{at}") from error
    for number, row in enumerate(rows, start=1):
        yield import_record(row, f"{path}, record {number}", str(number))


@dataclass(frozen=True, slots=True)
class _Step:
    """What the published forms know of a step; equal ones under one parent are one node."""

    text: str
    value: float | None
    rollout_value: float | None


def import_record(record: Any, where: str, fallback_id: str) -> ImportedTree:
    """Rebuild a tree from one published record of either form.

    `where` goes into error messages, `fallback_id` names a record that has no id. Raises `TreeFileError`.
    """
    if not isinstance(record, dict):
        raise TreeFileError(f"{where}: expected an object with 'pos' and 'neg', found {kind_of(record)}")
    identity = record.get("id")
    question = _question(
        text_field(record, "question", where), text_field(record, "answer", where),
        fallback_id if identity is None else str(identity), str(record.get("original_dataset") or ""), where,
    )  # fmt: skip
    trajectories = []
    for side in ("pos", "neg"):
        items = record.get(side)
        if not isinstance(items, list):
            raise TreeFileError(f"{where}: field '{side}': expected a list of trajectories, found {kind_of(items)}")
        for index, item in enumerate(items):
            place = f"{where}: field '{side}.{index}"
            trajectories.append((_without_headers(_steps(item, place)), side == "pos", place))
    notes = ["dead ends, rollout counts and visits are absent from the published form; answers are as written"]
    roots = {steps[0] for steps, _, _ in trajectories}
    if len(roots) > 1:
        if len({root.text for root in roots}) > 1:
            notes.append("the trajectories do not begin with one step: a root was added")
            trajectories = [([_Step(OPENER, None, None), *steps], right, at) for steps, right, at in trajectories]
        else:
            notes.append("the first step has several values: the first one was kept")
            first = trajectories[0][0][0]
            trajectories = [([first, *steps[1:]], right, at) for steps, right, at in trajectories]
    nodes = _arena(trajectories, question, notes)
    origin = Provenance(
        policy="imported", policy_hash="", engine="unknown", prompt="unknown", prompt_hash="", config_hash="", seed=0
    )
    tree = Tree(question=question, provenance=origin, stop_reason=StopReason.COMPLETE, totals=TreeTotals(), nodes=nodes)
    return ImportedTree(tree, tuple(notes))


def _arena(trajectories: list[tuple[list[_Step], bool, str]], question: Question, notes: list[str]) -> tuple[Node, ...]:
    """Merge shared prefixes; the last step of each trajectory gets its verdict."""
    root = trajectories[0][0][0] if trajectories else _Step(OPENER, None, None)
    steps, parents = [root], [-1]
    children: dict[tuple[int, _Step], int] = {}
    verdicts: dict[int, bool] = {}
    copies: dict[int, int] = {}
    for path, right, place in trajectories:
        node = 0
        for step in path[1:]:
            below = children.get((node, step))
            if below is None:
                below = children[node, step] = len(steps)
                steps.append(step)
                parents.append(node)
            node = below
        if verdicts.setdefault(node, right) is not right:
            raise TreeFileError(f"{place}': the same trajectory stands in 'pos' and in 'neg'")
        copies[node] = copies.get(node, 0) + 1
    repeated = sum(copies.values()) - len(copies)
    if repeated:
        notes.append(f"{repeated} repeated trajectories became copies of one")
    nodes: list[Node] = []
    for index, (step, parent) in enumerate(zip(steps, parents, strict=True)):
        verdict = verdicts.get(index)
        move = Move.REASON if verdict is None else Move.FINISH
        if parent in verdicts:
            move = Move.REFLECT
        nodes.append(
            Node(
                id=index,
                parent=parent,
                depth=nodes[parent].depth + 1 if index else 0,
                move=move if index else Move.ROOT,
                text=step.text,
                copies=copies.get(index, 1),
                rollout_value=step.rollout_value,
                value=step.value,
                answer=None if verdict is None else question.gold.value if verdict else _answer_as_written(step.text),
                verdict=verdict,
                complete=True,
            )
        )
    return tuple(nodes)


def _steps(item: Any, place: str) -> list[_Step]:
    """The steps of a trajectory in either form; `place` is an open quote to which a field is added."""
    if isinstance(item, list) and len(item) == 3 and isinstance(item[0], list):
        item = [dict(zip(("step", "value", "rollout_value"), part, strict=False)) if isinstance(part, list) else part
                for part in item[0]]  # fmt: skip
    if not isinstance(item, list) or not item:
        raise TreeFileError(f"{place}': expected a list of steps, found {kind_of(item)}")
    steps = []
    for index, part in enumerate(item):
        if not isinstance(part, dict) or not isinstance(part.get("step"), str):
            raise TreeFileError(f"{place}.{index}': expected a step with text, value and rollout value")
        numbers = []
        for name in ("value", "rollout_value"):
            number = part.get(name)
            if number is not None and (not isinstance(number, int | float) or not 0 <= number <= 1):
                raise TreeFileError(f"{place}.{index}.{name}': expected a number between 0 and 1")
            numbers.append(None if number is None else float(number))
        steps.append(_Step(part["step"], *numbers))
    return steps


def _without_headers(steps: list[_Step]) -> list[_Step]:
    """Bodies alone, where every step was written with its number."""
    parts = [split(step.text)[0] for step in steps]
    if any(part.number != index for index, part in enumerate(parts)):
        return steps
    return [
        _Step(step.text[len(part.header) :], step.value, step.rollout_value)
        for step, part in zip(steps, parts, strict=True)
    ]


_OPTION = re.compile(r"^[ \t]*\(?([A-Z])[.):][ \t]*(\S.*)$", re.MULTILINE)
_ANSWER = re.compile(r"answer is:?(.+)$", re.IGNORECASE | re.MULTILINE)


def _answer_as_written(text: str) -> str | None:
    found = _ANSWER.findall(text)
    return (found[-1].strip().removesuffix(".") or None) if found else None


def _question(text: str, answer: str, identity: str, source: str, where: str) -> Question:
    """The question of a published record; its kind is read off the answer and the option lines of the text."""
    options = {letter: words.strip() for letter, words in _OPTION.findall(text)}
    form: AnswerFormat = TextFormat()
    if answer in options and len(options) >= 2:
        form = ChoiceFormat(options=tuple(Option(letter=letter, text=words) for letter, words in options.items()))
    elif answer.lower() in ("yes", "no", "maybe"):
        form, answer = YesNoFormat(maybe=True), answer.lower()
    try:
        return Question(id=identity, text=text, answer_format=form, source=source, gold=Gold(value=answer))
    except ValidationError as error:
        raise TreeFileError(f"{where}: {first_problem(error, True)}") from error
