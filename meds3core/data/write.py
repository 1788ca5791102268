"""Writes question files: our JSONL and the published record. A file is complete or not there at all."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from meds3core.errors import UserError
from meds3core.types.question import Question


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """A file to write to that takes its name only when the block ends without an error.

    Raises:
        UserError: the folder is missing or cannot be written to.
    """
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    temporary = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        try:
            temporary.replace(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_questions(path: Path, questions: Iterable[Question]) -> int:
    """Write our JSONL, one question a line; returns how many."""
    count = 0
    with atomic_text(path) as file:
        for question in questions:
            file.write(question.model_dump_json() + "\n")
            count += 1
    return count


def write_published(path: Path, questions: Iterable[Question]) -> int:
    """Write a JSON array of published records (METHOD.md §7); returns how many.

    The record has no place for units, tolerances and patterns: reading it again tells the kind from the answer.
    """
    count = 0
    with atomic_text(path) as file:
        file.write("[")
        for question in questions:
            file.write(",\n" if count else "\n")
            json.dump(published_record(question), file, ensure_ascii=False)
            count += 1
        file.write("\n]\n")
    return count


def published_record(question: Question) -> dict[str, object]:
    """A question as the published files hold it."""
    gold = question.gold.value
    return {
        "id": question.id,
        "conversations": [
            {"from": "human", "value": question.text},
            {"from": "gpt", "value": f"The answer is {gold}."},
        ],
        "answer_idx": gold,
        "eval": {"answer": gold, **({"type": question.domain} if question.domain else {})},
        "dataset": question.source,
    }
