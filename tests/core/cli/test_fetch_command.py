"""`meds3 questions fetch`, from a local mirror folder: the library's own loader, no network."""

import json

from meds3core.data.read import load_questions
from tests.core.cli.test_search_command import MEDS3, refused, run

ROW = {"id": "7", "question": "Which?", "options": {"A": "this", "B": "that"}, "answer_idx": "B"}


def mirror(folder, rows):
    folder.mkdir()
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def fetch(name, out, *more):
    return run(str(MEDS3), "questions", "fetch", name, "--split", "test", "--out", str(out), *more)


def test_a_mirrored_data_set_becomes_a_question_file(tmp_path):
    out = tmp_path / "out.jsonl"
    result = fetch(mirror(tmp_path / "tiny", [ROW, ROW | {"id": "8", "answer_idx": "A"}]), out)
    assert result.returncode == 0, result.stderr
    assert [question.gold.value for question in load_questions(out).questions] == ["B", "A"]


def test_bad_rows_refuse_the_whole_unless_skipped(tmp_path):
    name = mirror(tmp_path / "tiny", [ROW, ROW | {"id": "8", "answer_idx": "E"}])
    assert refused(fetch(name, tmp_path / "out.jsonl"), "row 2")
    assert not (tmp_path / "out.jsonl").exists()
    result = fetch(name, tmp_path / "out.jsonl", "--skip-bad-rows")
    assert result.returncode == 0, result.stderr
    assert "1 bad row left out" in result.stdout


def test_nothing_is_fetched_unless_the_network_is_allowed(tmp_path):
    assert refused(fetch("some/data", tmp_path / "out.jsonl"), "network is off")
