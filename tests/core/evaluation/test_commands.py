"""`meds3 evaluate` and `meds3 compare` as a person meets them: real processes, the bundled policy, files on disk."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meds3core.evaluation.record import read_evaluation
from meds3core.evaluation.run import evaluate
from meds3core.sandbox.questions import generate
from tests.core.evaluation import pages
from tests.core.evaluation.builders import greedy_of

MEDS3 = Path(sys.executable).with_name("meds3")
QUICK = ("--set", "resamples=100", "--set", "p_resamples=100", "--max-tokens", "96", "--n", "3")


def write_questions(path, split, count, seed=1):
    path.write_text("".join(question.model_dump_json() + "\n" for question in generate(split, count, seed)))
    return path


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    return write_questions(tmp_path_factory.mktemp("questions") / "test.jsonl", "test", 9)


def run(*arguments):
    return subprocess.run(
        [str(MEDS3), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "COLUMNS": "160"},
    )


def refused(result, *words):
    assert result.returncode == 2, result.stderr
    assert result.stdout == "" and "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    return True


@pytest.mark.slow
def test_evaluated_interrupted_continued_and_compared(questions, tmp_path):
    """With a reward model, a validation set and probes; Ctrl-C on the way; the page and both files at the end."""
    from tests.core.prm.tiny import write_prm

    prm = write_prm(tmp_path / "prm")
    known = write_questions(tmp_path / "validation.jsonl", "train", 9)
    out = tmp_path / "out"
    command = ["evaluate", "--questions", questions, "--policy", "clinic", "--out", out, "--prm", prm]
    command += ["--validation", known, "--robustness", "--sampled-questions", "6", *QUICK]
    child = subprocess.Popen(
        [str(MEDS3), *map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 200
    while not (out / "greedy" / "samples.jsonl").exists() and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    said = child.communicate()[1]
    assert child.returncode == 130 and "the same command continues" in said and "Traceback" not in said, said
    assert not (out / "evaluation.json").exists()

    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert "chosen: " in done.stdout and "validation questions" in done.stdout
    found = read_evaluation(out).evaluation
    assert found.greedy.questions == 9 and found.scorers["prm"].thresholds.chosen_on == "9 validation questions"
    assert {each.transform for each in found.robustness} >= {"distractor", "missing-fact"}
    assert found.faithfulness is not None and (out / "report.html").stat().st_size > 50_000
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    compared = run("compare", out, out, "--out", page, "--json", figures)
    assert compared.returncode == 0, compared.stderr
    assert json.loads(figures.read_text())["greedy"]["difference"]["p"] == 1.0 and page.exists()


def test_what_cannot_be_evaluated_is_refused_before_anything_is_loaded(questions, tmp_path):
    asked = ("evaluate", "--questions", questions, "--policy", "clinic", "--out", tmp_path / "out")
    assert refused(run(*asked, "--validation", questions), "9 of 9 validation questions are test questions")
    assert refused(run(*asked, "--n", "0", "--prm", tmp_path), "need them")
    assert refused(run(*asked, "--set", "resamples=1"), "resamples")
    assert not (tmp_path / "out").exists()


def test_results_that_are_not_comparable_are_refused_with_the_reason(tmp_path):
    pages.evaluation().write(tmp_path / "a")
    rows = pages.clinic_rows(45, 1)[:30]
    evaluate(greedy_of(rows), None, config=pages.QUICK).write(tmp_path / "b")
    assert refused(run("compare", tmp_path / "a", tmp_path / "b"), "question sets differ", "--shared")
    shared = run("compare", tmp_path / "a", tmp_path / "b", "--shared")
    assert shared.returncode == 0 and "only the 30 shared questions" in shared.stdout
    assert refused(run("compare", tmp_path / "a", tmp_path / "nothing"), "no evaluation.json")
