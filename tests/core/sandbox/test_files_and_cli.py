"""`meds3 sandbox`: whole files or none, errors that name the row."""

import json

import pytest
from typer.testing import CliRunner

from meds3core.cli.sandbox import app
from meds3core.errors import QuestionFileError
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.files import read_questions, write_lines
from meds3core.sandbox.questions import case_of, generate
from meds3core.sandbox.writing import write
from meds3core.text.steps import render_trajectory

run = CliRunner().invoke


def test_policy_prints_its_folder():
    assert run(app, ["policy"]).output.strip() == str(policy_folder())


def test_questions_are_written_and_read_back(tmp_path):
    out = tmp_path / "new" / "test.jsonl"
    result = run(app, ["questions", "--split", "test", "--count", "30", "--seed", "4", "--out", str(out)])
    assert result.exit_code == 0 and read_questions(out) == generate("test", 30, 4)
    assert [path.name for path in out.parent.iterdir()] == ["test.jsonl"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    out = tmp_path / "q.jsonl"
    out.write_text("old")

    def failing():
        yield generate("train", 1)[0]
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        write_lines(out, failing())
    assert out.read_text() == "old" and list(tmp_path.iterdir()) == [out]


def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(QuestionFileError):
        write_lines(tmp_path / "file" / "q.jsonl", generate("train", 1))


def test_check_writes_verdicts_and_a_summary(tmp_path):
    questions = generate("test", 9, 0)
    write_lines(tmp_path / "q.jsonl", questions)
    rows = [{"id": q.id, "response": render_trajectory(write(case_of(q)).bodies)} for q in questions]
    rows[0]["response"] = "Step 0: no idea"
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = ["--questions", str(tmp_path / "q.jsonl"), "--responses", str(tmp_path / "r.jsonl")]
    printed = run(app, ["check", *files])
    assert printed.exit_code == 0 and "9 responses, 8 with the right answer" in printed.output
    assert "not judged" in printed.output
    written = run(app, ["check", *files, "--out", str(tmp_path / "v.jsonl")])
    verdicts = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert written.exit_code == 0 and len(verdicts) == 9
    assert verdicts[0]["steps"] == [{"right_absolutely": False, "right_given_prefix": False, "error": "unknown-style"}]
    assert all(step["right_absolutely"] for row in verdicts[1:] for step in row["steps"])


@pytest.mark.parametrize(
    ("questions", "responses", "words"),
    [
        ("{}\n", "", "row 1, id"),
        ("", '{"id": "x"}\n', "row 1, response"),
        ("", '{"id": "x", "response": ""}\n', "has the id 'x'"),
    ],
)
def test_bad_files_are_named_with_their_rows(tmp_path, questions, responses, words):
    (tmp_path / "q.jsonl").write_text(questions)
    (tmp_path / "r.jsonl").write_text(responses)
    result = run(app, ["check", "--questions", str(tmp_path / "q.jsonl"), "--responses", str(tmp_path / "r.jsonl")])
    assert isinstance(result.exception, QuestionFileError) and words in str(result.exception)
