"""`meds3 judgements`: the same functions from the command line."""

import json

import pytest
from typer.testing import CliRunner

from meds3core.cli.judgements import app
from meds3core.data.labels import read_labels
from meds3core.judgements.files import judgement_lines, read_judgements
from tests.core.judgements.built import judged

SAID = [
    judged("good", "One."),
    judged("bad", "One.", "Two."),
    judged("good", "One.", who="bob", seconds=2.0),
    judged("bad", "One.", "Two.", who="bob"),
    judged("bad", "One.", number=2, control="bad"),
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "said.jsonl"
    path.write_text("".join(judgement_lines(SAID, "jsonl")), encoding="utf-8")
    return path


def run(*arguments):
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_figures_files_and_labels(file, tmp_path):
    said = run("agreement", file, "--out", tmp_path / "figures.json")
    assert "5 judgements of 3 steps, 2 by several people" in said
    assert json.loads((tmp_path / "figures.json").read_text())["pairs"][0]["kappa"]["value"] == 1.0
    run("convert", file, "--to", "prm800k", "--out", tmp_path / "walks.jsonl")
    assert len(list(read_judgements(tmp_path / "walks.jsonl"))) == 5
    assert "1 labelled trajectories of 5 judgements" in run(
        "labels", file, "--out", tmp_path / "set", "--set", "least=2"
    )
    assert read_labels(tmp_path / "set").steps()[0].labels == (None, 1.0, 0.0)


def test_a_row_that_is_no_judgement_is_refused_with_its_place(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"a": 1}\n')
    result = CliRunner().invoke(app, ["agreement", str(path)])
    assert "row 1" in str(result.exception)
