"""`meds3 sample` and its sub-commands as a person meets them: real processes, the bundled policy, files on disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meds3core.decoding.answers import read_answers
from meds3core.decoding.samples import read_samples
from meds3core.sandbox.questions import generate

MEDS3 = Path(sys.executable).with_name("meds3")


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    path = tmp_path_factory.mktemp("questions") / "clinic.jsonl"
    path.write_text("".join(question.model_dump_json() + "\n" for question in generate("test", 3, 1)))
    return path


def meds3(*arguments):
    return subprocess.run(
        [str(MEDS3), "sample", *map(str, arguments)],
        capture_output=True, text=True, timeout=250, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def refused(result, words):
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr and words in result.stderr
    return True


@pytest.mark.slow
def test_draw_enlarge_and_answer_live(questions, tmp_path):
    common = ("--questions", questions, "--policy", "clinic", "--set", "max_tokens=192")
    drawn = meds3(*common, "--out", tmp_path / "set", "--n", 2)
    assert drawn.returncode == 0, drawn.stderr
    assert "6 answers to 3 questions" in drawn.stderr
    few = read_samples(tmp_path / "set")
    assert meds3(*common, "--out", tmp_path / "set", "--n", 3).returncode == 0
    many = read_samples(tmp_path / "set")
    assert [row.samples[:2] for row in many.rows] == [row.samples for row in few.rows]
    assert refused(meds3(*common, "--out", tmp_path / "set", "--n", 1), "source.n there 3, here 1")

    live = meds3("answer", "self-consistency", *common, "--set", "n=3", "--out", tmp_path / "live")
    assert live.returncode == 0, live.stderr
    assert len(read_answers(tmp_path / "live").rows) == 3 and "tokens per question" in live.stderr


def test_what_does_not_fit_together_is_refused(questions, tmp_path):
    common = ("--questions", questions, "--policy", "clinic", "--out", tmp_path / "x")
    assert refused(meds3("--out", tmp_path / "x"), "needs --questions, --policy and --out")
    assert refused(meds3(*common, "--greedy", "--n", 4), "--greedy draws one answer")
    assert refused(meds3("answer", "tree-search", *common), "needs a reward model")
    assert refused(meds3("answer", "self-consistency", *common, "--prm", tmp_path), "leave --prm out")
    assert refused(meds3("score", tmp_path / "nothing", "--prm", tmp_path, "--out", tmp_path / "x"), "cannot be read")
    assert not (tmp_path / "x").exists()
