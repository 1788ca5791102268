"""`meds3 sample` and its sub-commands with the bundled policy and files on disk."""

import pytest
from typer.testing import CliRunner

from meds3core.cli.main import app
from meds3core.decoding.answers import read_answers
from meds3core.decoding.samples import read_samples
from meds3core.errors import UserError
from meds3core.sandbox.questions import generate


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    path = tmp_path_factory.mktemp("questions") / "clinic.jsonl"
    path.write_text("".join(question.model_dump_json() + "\n" for question in generate("test", 3, 1)))
    return path


def meds3(*arguments):
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


def refused(result, words):
    return isinstance(result.exception, UserError) and words in str(result.exception)


@pytest.mark.slow
def test_draw_enlarge_and_answer_live(questions, tmp_path):
    common = ("--questions", questions, "--policy", "clinic", "--set", "max_tokens=192")
    drawn = meds3(*common, "--out", tmp_path / "set", "--n", 2)
    assert drawn.exit_code == 0, drawn.output
    assert "6 answers to 3 questions" in drawn.output
    few = read_samples(tmp_path / "set")
    assert meds3(*common, "--out", tmp_path / "set", "--n", 3).exit_code == 0
    many = read_samples(tmp_path / "set")
    assert [row.samples[:2] for row in many.rows] == [row.samples for row in few.rows]
    assert refused(meds3(*common, "--out", tmp_path / "set", "--n", 1), "source.n there 3, here 1")

    live = meds3("answer", "self-consistency", *common, "--set", "n=3", "--out", tmp_path / "live")
    assert live.exit_code == 0, live.output
    assert len(read_answers(tmp_path / "live").rows) == 3 and "tokens per question" in live.output


def test_what_does_not_fit_together_is_refused(questions, tmp_path):
    common = ("--questions", questions, "--policy", "clinic", "--out", tmp_path / "x")
    assert refused(meds3("--out", tmp_path / "x"), "needs --questions, --policy and --out")
    assert refused(meds3(*common, "--greedy", "--n", 4), "--greedy draws one answer")
    assert refused(meds3("answer", "tree-search", *common), "needs a reward model")
    assert refused(meds3("answer", "self-consistency", *common, "--prm", tmp_path), "leave --prm out")
    assert refused(meds3("score", tmp_path / "nothing", "--prm", tmp_path, "--out", tmp_path / "x"), "cannot be read")
    assert not (tmp_path / "x").exists()
