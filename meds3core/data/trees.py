"""Reading and writing search trees: JSONL `meds3-tree/1`, one tree a line. What was written is what is read.

The forms of the published code are in `published_trees`.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meds3core.errors import UserError
from meds3core.types.record import Record
from meds3core.types.tree import TREE_FORMAT, Tree


class TreeFileError(UserError):
    """A tree file cannot be read. The message names the file, the line and the field, never a text."""

    code = "tree-file"


class Failure(Record):
    """A question whose tree could not be grown, as a search records it."""

    id: str
    code: str
    reason: str


def tree_line(tree: Tree) -> str:
    """One line of a tree file, without its line end: compact, keys in a fixed order, a node's defaults left out."""
    row = {
        "format": tree.format,
        "question": tree.question.model_dump(mode="json"),  # in full: `kind` is needed, and a resumed search compares
        "provenance": tree.provenance.model_dump(mode="json"),
        "stop_reason": tree.stop_reason.value,
        "totals": tree.totals.model_dump(mode="json"),
        "nodes": [node.model_dump(mode="json", exclude_defaults=True) for node in tree.nodes],
    }
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def write_trees(path: Path, trees: Iterable[Tree]) -> int:
    """Write a tree file and return how many trees it holds; the file appears whole or not at all."""
    return write_whole(path, (tree_line(tree) for tree in trees), "", "\n", "\n")


def read_trees(path: Path, *, on_cut: Callable[[str], None] | None = None) -> Iterator[Tree]:
    """The trees of a file, one at a time.

    A last line that was cut short (its writer was interrupted) raises like any other bad line, unless `on_cut`
    is given: it is then called with the message, and the trees before that line count.
    """
    for number, line, ended in lines_of(path):
        try:
            row = json_of(line, path, number, ended)
        except _CutShort as error:
            if on_cut is None:
                raise
            on_cut(str(error))
            return
        yield _tree(row, f"{path}, line {number}")


def read_failures(path: Path) -> Iterator[Failure]:
    """The failures that a search recorded; fields beside `id`, `code` and `reason` are left to their owner."""
    for number, line, ended in lines_of(path):
        row = json_of(line, path, number, ended)
        where = f"{path}, line {number}"
        if not isinstance(row, dict):
            raise TreeFileError(f"{where}: expected an object, found {kind_of(row)}")
        yield Failure(**{name: text_field(row, name, where) for name in ("id", "code", "reason")})


class _CutShort(TreeFileError):
    """The last line ends in the middle of a tree."""


def lines_of(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Number (from 1), content and whether a line end follows, of every line that is not blank."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if content.strip():
                    yield number, content, line.endswith(b"\n")
    except OSError as error:
        raise TreeFileError(f"{path}: cannot be read ({error.strerror})") from error


def json_of(line: bytes, path: Path, number: int, ended: bool) -> Any:
    """The value on a line; a bad last line without a line end is told apart from other bad lines."""
    where = f"{path}, line {number}"
    try:
        return strict_json(line.decode())
    except (ValueError, RecursionError) as error:
        if not ended:
            raise _CutShort(f"{where}: the last line is cut short; whatever wrote it was interrupted") from error
        if isinstance(error, UnicodeDecodeError):
            raise TreeFileError(f"{where}: not UTF-8 (byte {error.start + 1} of the line)") from error
        if isinstance(error, UnicodeEncodeError):
            raise TreeFileError(f"{where}: a text holds half a character (a lone surrogate)") from error
        if isinstance(error, json.JSONDecodeError):
            raise TreeFileError(f"{where}: not JSON ({error.msg} at character {error.pos + 1})") from error
        raise TreeFileError(f"{where}: not JSON that can be read (nested too deep, or a number too long)") from error


def strict_json(text: str) -> Any:
    """The value of a JSON text all of whose texts can be written again; raises a `ValueError`."""
    value = json.loads(text)
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _tree(row: Any, where: str) -> Tree:
    if not isinstance(row, dict):
        raise TreeFileError(f"{where}: expected a tree (an object), found {kind_of(row)}")
    if row.get("format") != TREE_FORMAT:
        hint = "; published files are read by `meds3 trees import`" if "pos" in row and "neg" in row else ""
        raise TreeFileError(f"{where}: field 'format' is not {TREE_FORMAT!r}{hint}")
    question = row.get("question")
    try:
        tree = Tree.model_validate(row)
    except ValidationError as error:
        has_gold = isinstance(question, dict) and "gold" in question
        raise TreeFileError(f"{where}: {first_problem(error, has_gold)}") from error
    _check_arena(tree, where)
    return tree


def first_problem(error: ValidationError, has_gold: bool) -> str:
    """Field and complaint of the first error that matters; values stay out of the message.

    A tree's question was tried with and without gold, and the errors of both stand in `error`, the class as the
    second part of their place; `has_gold` says which of the two was meant.
    """
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        place = problem["loc"]
        if place[0] == "question" and len(place) > 1:
            if (place[1] == "OpenQuestion") is has_gold:
                continue
            place = (place[0], *place[2:])
        complaint = "does not fit the other fields" if problem["type"] == "value_error" else problem["msg"]
        problems.append(f"field '{'.'.join(map(str, place))}': {complaint}")
    return problems[0]


def _check_arena(tree: Tree, where: str) -> None:
    """Refuse an arena in which a walk could lose itself."""
    if not tree.nodes:
        raise TreeFileError(f"{where}: field 'nodes': empty, not even a root")
    for index, node in enumerate(tree.nodes):
        field = f"{where}: field 'nodes.{index}"
        if node.id != index:
            raise TreeFileError(f"{field}.id': {node.id}, expected {index}")
        if index == 0:
            if node.parent != -1 or node.depth != 0:
                raise TreeFileError(f"{field}': the root must have parent -1 and depth 0")
        elif not 0 <= node.parent < index:
            raise TreeFileError(f"{field}.parent': {node.parent} does not come before node {index}")
        elif node.depth != tree.nodes[node.parent].depth + 1:
            raise TreeFileError(f"{field}.depth': {node.depth}, but its parent has {tree.nodes[node.parent].depth}")


def write_whole(path: Path, rows: Iterable[str], before: str, between: str, after: str) -> int:
    """Write rows to a neighbouring file and put it in place of `path`; nothing is left behind on an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    count = 0
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(before)
            for count, row in enumerate(rows, start=1):
                file.write((between if count > 1 else "") + row)
            file.write(after if count or before else "")
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return count


def text_field(row: dict[str, Any], name: str, where: str) -> str:
    """A field that must be a text."""
    value = row.get(name)
    if not isinstance(value, str):
        raise TreeFileError(f"{where}: field '{name}': expected a text, found {kind_of(value)}")
    return value


def kind_of(value: Any) -> str:
    """What a JSON value is, in words, for a message that must not show it."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")
