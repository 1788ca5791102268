"""`meds3 search` as a person meets it: a real process, the bundled policy, files on disk."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate

MEDS3 = Path(sys.executable).with_name("meds3")
SMALL = ("--preset", "quick", "--set", "max_nodes=6", "--set", "rollouts=2", "--set", "min_rollouts=2")


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    path = tmp_path_factory.mktemp("questions") / "clinic.jsonl"
    path.write_text("".join(question.model_dump_json() + "\n" for question in generate("train", 40, 1)))
    return path


def command(questions, out, *more, policy="clinic"):
    return [str(MEDS3), "search", "--questions", str(questions), "--policy", str(policy), "--out", str(out), *more]


def run(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=250, env={**os.environ, "COLUMNS": "200"})


def refused(result, *words):
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    return True


@pytest.mark.slow
def test_interrupted_and_continued_by_the_same_command(questions, tmp_path):
    """Ctrl-C stops cleanly and says how to go on; a report can be made at any time."""
    small = command(questions, tmp_path / "run", *SMALL, "--concurrency", "2", "--limit", str(count := 14))
    child = subprocess.Popen(small, stderr=subprocess.PIPE, text=True)
    partial = tmp_path / "run" / "trees.partial.jsonl"
    deadline = time.monotonic() + 200
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    said = child.communicate()[1]
    assert child.returncode == 130, said
    assert "the same command continues" in said
    assert "Traceback" not in said
    done = len(partial.read_text().splitlines())
    assert 0 < done < count

    report = run(str(MEDS3), "trees", "report", str(tmp_path / "run"))
    assert report.returncode == 0, report.stderr
    assert "has not finished" in (tmp_path / "run" / "report.html").read_text()

    again = run(*small)
    assert again.returncode == 0, again.stderr
    assert f"{done} of them from an earlier call" in again.stderr
    trees = [json.loads(line) for line in (tmp_path / "run" / "trees.jsonl").read_text().splitlines()]
    wanted = [json.loads(line)["id"] for line in questions.read_text().splitlines()]
    assert [tree["question"]["id"] for tree in trees] == wanted[:count]
    assert not partial.exists()

    shown = run(str(MEDS3), "trees", "show", str(tmp_path / "run"), "--index", "1")
    assert shown.returncode == 0
    assert "break down this problem" in shown.stdout


def test_a_setting_that_does_not_exist_names_those_that_do(questions, tmp_path):
    assert refused(run(*command(questions, tmp_path / "r", "--set", "max_node=3")), "max_node", "max_nodes")
    assert not (tmp_path / "r").exists()


def test_conflicting_settings_name_both_values(questions, tmp_path):
    result = run(*command(questions, tmp_path / "r", "--set", "step_tokens=900", "--set", "rollout_tokens=100"))
    assert refused(result, "step_tokens (900)", "rollout_tokens (100)")


def test_settings_are_data_and_never_run(questions, tmp_path):
    """The published code passed configuration strings to eval()."""
    marker = tmp_path / "ran"
    result = run(
        *command(questions, tmp_path / "r", "--set", f"max_nodes=__import__('pathlib').Path('{marker}').touch()")
    )
    assert refused(result, "max_nodes")
    assert not marker.exists()


def copy_policy(target, leave_out=()):
    target.mkdir()
    for file in policy_folder().iterdir():
        if file.is_file() and file.name not in leave_out:
            (target / file.name).write_bytes(file.read_bytes())
    return target


def test_a_policy_without_weights(questions, tmp_path):
    folder = copy_policy(tmp_path / "policy", leave_out=["model.safetensors"])
    assert refused(run(*command(questions, tmp_path / "r", policy=folder)), "no weights", str(folder))
    assert not (tmp_path / "r").exists()


def test_a_policy_with_pickled_weights(questions, tmp_path):
    folder = copy_policy(tmp_path / "policy", leave_out=["model.safetensors"])
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert refused(run(*command(questions, tmp_path / "r", policy=folder)), "pickled", "safetensors")


def test_a_policy_that_brings_code(questions, tmp_path):
    folder = copy_policy(tmp_path / "policy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    assert refused(run(*command(questions, tmp_path / "r", policy=folder)), "auto_map")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("empty",)),
        (b"\xff\xfe\x00{", ("UTF-8",)),
        (b'{"id": "1", "question": "?", "options": {"A": "x", "B": "y"}, "answer_idx": "E"}\n', ("row 1",)),
        (b'{"id": "1", "question": "?", "options": {"A": "x", "B": "y"}}\n', ("row 1", "answer")),
        (b"[" * 100_000, ()),
    ],
)
def test_bad_question_files(content, words, tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_bytes(content)
    assert refused(run(*command(path, tmp_path / "r")), *words)
    assert not (tmp_path / "r").exists()


def test_a_missing_file_is_named(tmp_path):
    assert refused(run(*command(tmp_path / "nowhere.json", tmp_path / "r")), "nowhere.json")


def test_one_bad_row_refuses_the_file_unless_skipped(questions, tmp_path):
    path = tmp_path / "questions.jsonl"
    good = questions.read_text().splitlines()[:2]
    path.write_text("\n".join([good[0], '{"id": "x"}', good[1]]) + "\n")
    assert refused(run(*command(path, tmp_path / "r")), "row 2", "--skip-bad-rows")
    result = run(*command(path, tmp_path / "r", *SMALL, "--skip-bad-rows"))
    assert result.returncode == 0, result.stderr
    assert "1 bad row" in result.stderr
    assert len((tmp_path / "r" / "trees.jsonl").read_text().splitlines()) == 2
