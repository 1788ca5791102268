"""Curriculum sampling, duplicates and overlap, and the three commands as a user runs them."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from meds3core.cli import main
from meds3core.data.curriculum import CurriculumSettings, sample_curriculum
from meds3core.data.overlap import OverlapSettings, QuestionIndex, find_duplicates, find_overlap
from meds3core.data.read import load_questions
from meds3core.data.seen import SeenRows
from meds3core.data.write import write_questions
from meds3core.types.question import Gold, Question, YesNoFormat


def question(name: str, source: str = "S", text: str | None = None) -> Question:
    form = YesNoFormat(maybe=True)
    return Question(id=name, text=text or f"Is {name} so?", answer_format=form, gold=Gold(value="yes"), source=source)


def pool(**sizes: int) -> list[Question]:
    return [question(f"{source}{number}", source) for source, size in sizes.items() for number in range(size)]


def rates(questions: list[Question]) -> dict[str, float]:
    return {item.id: (number % 9) / 8 for number, item in enumerate(questions)}


def test_quotas_are_filled_by_source_and_band() -> None:
    questions = pool(X=200, Y=200)
    drawn = sample_curriculum(questions, rates(questions), CurriculumSettings(count=80))
    assert len(drawn.questions) == 80 and not drawn.shortfalls
    assert set(drawn.chosen.values()) == {10} and len(drawn.chosen) == 8
    assert drawn.solved_dropped > 0 and all(item.difficulty for item in drawn.questions)


def test_shortfalls_are_reported_and_filled_from_elsewhere() -> None:
    questions = pool(X=100)
    easy = dict.fromkeys((item.id for item in questions), 0.9)
    drawn = sample_curriculum(questions, easy, CurriculumSettings(count=40))
    assert len(drawn.questions) == 40
    assert [(short.band, short.wanted, short.found) for short in drawn.shortfalls] == [
        ("0.25–0.5", 10, 0),
        ("0.5–0.75", 10, 0),
        ("0.75–1", 10, 0),
    ]
    drawn = sample_curriculum(questions, {}, CurriculumSettings(count=500))
    assert len(drawn.questions) == drawn.unmeasured == 100
    assert drawn.shortfalls[-1].wanted == 500


def test_a_small_source_leaves_its_part_to_the_others() -> None:
    drawn = sample_curriculum(pool(X=3, Y=50, Z=50), {}, CurriculumSettings(count=43))
    assert drawn.chosen == {"X unmeasured": 3, "Y unmeasured": 20, "Z unmeasured": 20}
    drawn = sample_curriculum(pool(X=3, Y=50), {}, CurriculumSettings(per_source=10))
    assert drawn.chosen == {"X unmeasured": 3, "Y unmeasured": 10}


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 60), st.integers(0, 5))
def test_the_sample_depends_on_seed_and_content_only(source: random.Random, count: int, seed: int) -> None:
    questions = pool(X=30, Y=20)
    settings = CurriculumSettings(count=count, seed=seed)
    measured = rates(questions)
    shuffled = source.sample(questions, len(questions))
    first, second = (sample_curriculum(order, measured, settings) for order in (questions, shuffled))
    assert first == second
    assert len({item.id for item in first.questions}) == len(first.questions) <= count
    assert all(measured[item.id] < 1 for item in first.questions)


@pytest.mark.parametrize("bands", [(0.0, 1.5, 1.0), (0.0,), (0.2, 1.0), (0.0, 0.5)])
def test_bands_that_make_no_sense(bands: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        CurriculumSettings(bands=bands)


LONG = "A 45-year-old man comes in with chest pain that spreads to his left arm and began two hours ago at rest today."


def test_duplicates_and_overlap() -> None:
    questions = [
        question("1", text=LONG),
        question("2", text=LONG),
        question("3", text=LONG.upper().replace(",", "")),
        question("4", text=LONG + " He smokes and drinks. Which test is next?"),
        question("5", text="A wholly different question about the treatment of gout in pregnancy?"),
    ]
    report = find_duplicates(questions)
    assert [(found.id, found.other, found.kind) for found in report.overlaps] == [
        ("2", "1", "exact"),
        ("3", "1", "normalised"),
        ("4", "1", "n-gram"),
    ]
    index = QuestionIndex(OverlapSettings(n=8))
    index.add(questions[0])
    report = find_overlap(questions[3:], index)
    assert report.checked == 2 and report.ids == {"4"} and report.by_kind["n-gram"] == 1


def test_a_shared_instruction_is_no_overlap() -> None:
    instruction = "In this task you will be given a sentence and the name of a drug and you are to find its dose. "
    names = ["heparin", "digoxin", "insulin", "warfarin", "morphine", "lithium"]
    questions = [question(name, text=f"{instruction}{name.title()} was given to {name[:2]} men.") for name in names]
    assert not find_duplicates(questions).overlaps


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=4000))
def test_seen_rows_is_a_dictionary(numbers: list[int]) -> None:
    seen, expected = SeenRows(), {}
    for row, number in enumerate(numbers, start=1):
        assert seen.first_row(str(number), row) == expected.get(number)
        expected.setdefault(number, row)
    assert len(seen) == len(expected)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["meds3", *map(str, arguments)])
    try:
        main.main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def test_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "questions.jsonl"
    write_questions(path, [*pool(X=3), question("again", text="Is X1 so?")])
    assert run(monkeypatch, "questions", "check", path, "--benchmark", path) == 0
    shown = capsys.readouterr().out
    assert "yes-no: 4" in shown and "duplicate: again ~ X1 (exact)" in shown and "overlap: X0" in shown
    path.write_text(path.read_text() + '{"id": 1}\nno json\n')
    assert run(monkeypatch, "questions", "check", path) == 2
    captured = capsys.readouterr()
    assert "row 5: no known shape" in captured.err and "row 6: not valid JSON" in captured.err
    assert "yes-no: 4" in captured.out


def test_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    questions = pool(X=40, Y=40)
    first, second, out, measured = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "out.jsonl", "rates.jsonl"))
    write_questions(first, questions[:40])
    write_questions(second, questions[40:])
    measured.write_text("".join(json.dumps({"id": k, "pass_rate": v}) + "\n" for k, v in rates(questions).items()))
    command = ("questions", "sample", first, second, "--count", 20, "--seed", 3, "--pass-rates", measured, "--out", out)
    assert run(monkeypatch, *command) == 0
    drawn = load_questions(out).questions
    content = out.read_bytes()
    assert len(drawn) == 20 and {item.source for item in drawn} == {"X", "Y"}
    assert run(monkeypatch, *command) == 0 and out.read_bytes() == content
    assert run(monkeypatch, *command, "--exclude", second) == 0
    assert {item.source for item in load_questions(out).questions} == {"X"}
    measured.write_text('{"id": "X1", "pass_rate": 1.5}\n{"id": "X2"}\n')
    out.unlink()
    capsys.readouterr()
    assert run(monkeypatch, *command) == 2 and not out.exists()
    assert "row 1, pass_rate: must lie between 0 and 1" in capsys.readouterr().err
    assert run(monkeypatch, *command[:-2], "--out", out, "--bands", "0,x") == 2


def test_files_with_the_same_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.jsonl"
    for name in ("a", "b"):
        write_questions(tmp_path / f"{name}.jsonl", [question(str(number), name) for number in range(3)])
    files = (tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert run(monkeypatch, "questions", "sample", *files, "--count", 6, "--out", out) == 0
    assert {item.id for item in load_questions(out).questions} == {f"{name}/{n}" for name in "ab" for n in range(3)}


def test_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    questions, responses, out = (tmp_path / name for name in ("q.jsonl", "r.jsonl", "out.jsonl"))
    write_questions(questions, [question("1"), question("2"), question("3"), question("4")])
    lines = [("1", "The answer is yes."), (2, "The answer is no."), ("3", "Hard to say."), ("1", "No.")]
    responses.write_text("".join(json.dumps({"id": name, "response": text}) + "\n" for name, text in lines))
    command = ("verify", "--questions", questions, "--responses", responses, "--out", out)
    assert run(monkeypatch, *command) == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"id": "1", "correct": True, "answer": "yes"},
        {"id": "2", "correct": False, "answer": "no"},
        {"id": "3", "correct": None, "answer": None},
        {"id": "1", "correct": False, "answer": "no"},
    ]
    shown = capsys.readouterr().out
    assert "right              1" in shown and "no answer          1" in shown and "without a response: 1" in shown
    out.unlink()
    responses.write_text(responses.read_text() + '{"id": "9", "response": "x"}\n{"id": "2"}\n[]\n{"id": 2.5}\n{\n')
    assert run(monkeypatch, *command) == 2 and not out.exists()
    captured = capsys.readouterr().err
    for message in (
        "row 5, id: no question",
        "row 6, response: missing",
        "row 7: expected an object",
        "row 8, id",
        "row 9:",
    ):
        assert message in captured
    assert run(monkeypatch, *command, "--skip-bad-rows") == 0 and len(out.read_text().splitlines()) == 4
    assert list(tmp_path.glob("*.part")) == list(tmp_path.glob(".*")) == []
