"""Writing question files: what is written reads as it was, and a write that fails leaves nothing."""

from pathlib import Path

import pytest

from meds3core.data.read import load_questions
from meds3core.data.write import write_published, write_questions
from meds3core.errors import UserError
from tests.core.questions.files import published, write
from tests.core.verify import questions as q


def test_own_format_round_trip(tmp_path: Path) -> None:
    questions = [
        q.MEDICINES,
        q.number("3 mg", "mg", 0.1),
        q.yes_no("maybe"),
        q.free("x", "y"),
        q.several("a", "b"),
        q.pattern("a+"),
    ]
    questions = [item.model_copy(update={"id": str(number)}) for number, item in enumerate(questions)]
    path = tmp_path / "own.jsonl"
    assert write_questions(path, questions) == 6
    assert list(load_questions(path).questions) == questions


def test_published_round_trip(tmp_path: Path) -> None:
    first = load_questions(write(tmp_path, published(1), published("a", answer="A"))).questions
    path = tmp_path / "published.json"
    write_published(path, first)
    again = load_questions(path).questions
    assert [(item.id, item.text, item.gold, item.answer_format, item.source) for item in again] == [
        (item.id, item.text, item.gold, item.answer_format, item.source) for item in first
    ]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> object:
        yield q.MEDICINES
        raise RuntimeError

    path = tmp_path / "out.jsonl"
    path.write_text("before")
    with pytest.raises(RuntimeError):
        write_questions(path, broken())  # type: ignore[arg-type]
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(UserError):
        write_questions(tmp_path / "absent" / "out.jsonl", [])
