"""`meds3 train` as a person meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meds3core.cli.main import app
from meds3core.cli.train import Method, Preset, settings_for
from meds3core.config.labels import SftLabelConfig
from meds3core.config.training import CLINIC, PAPER
from meds3core.data.labels import write_labels
from meds3core.engines.policy import inspect_policy
from meds3core.errors import ConfigError, UserError
from meds3core.labels.base import LabelSet
from meds3core.sandbox.bundled import policy_folder
from meds3core.types.labels import LabelCounts
from tests.core.training.tiny import make_examples, same_weights, write_policy

SETTINGS = ("batch_size=4", "micro_batch_size=4", "learning_rate=1e-3", "threads=1", "log_every=1", "max_length=256")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    write_policy(folder / "policy")
    examples = tuple(make_examples(8))
    write_labels(folder / "sft", LabelSet(SftLabelConfig(), examples, LabelCounts(trees=8, questions=8, kept=8)))
    return folder


def arguments(folder, out, *more, method="sft"):
    given = ["train", method, "--start", str(folder / "policy"), "--data", str(folder / "sft"), "--out", str(out)]
    for setting in SETTINGS:
        given += ["--set", setting]
    return [*given, *more]


def test_a_policy_is_trained_and_the_end_says_what_was_done(folder, tmp_path):
    result = CliRunner().invoke(app, arguments(folder, tmp_path / "model"), catch_exceptions=False)
    assert result.exit_code == 0
    assert "8 examples, 2 steps" in result.stderr
    assert "2/2 steps  loss" in result.stderr
    assert "tokens/s" in result.stderr
    assert str(tmp_path / "model") in result.stderr
    assert inspect_policy(tmp_path / "model").prompt == "plain"
    assert make_examples(1)[0].question.text not in result.output


def test_the_preset_is_the_one_that_the_model_names(folder):
    bundled = inspect_policy(policy_folder())
    assert settings_for(Method.dpo, Preset.auto, bundled, []) == CLINIC["dpo"]
    assert settings_for(Method.sft, Preset.paper, bundled, []) == PAPER["sft"]
    assert settings_for(Method.sft, Preset.auto, inspect_policy(folder / "policy"), []) == PAPER["sft"]
    assert settings_for(Method.prm, Preset.clinic, bundled, ["loss=mse"]).loss == "mse"


def test_a_model_that_names_an_unknown_preset_is_said(tmp_path):
    start = write_policy(tmp_path / "start")
    (start / "meds3.json").write_text(json.dumps({"presets": {"train": "hospital"}}))
    with pytest.raises(ConfigError, match=r"'hospital'.*--preset"):
        settings_for(Method.sft, Preset.auto, inspect_policy(start), [])


def test_wrong_data_is_refused_before_anything_is_written(folder, tmp_path):
    for given, words in [
        (arguments(folder, tmp_path / "m", method="dpo"), "'sft'"),
        (arguments(folder, tmp_path / "m", method="grpo"), "--questions"),
        (arguments(folder, tmp_path / "m", "--questions", str(tmp_path / "q.jsonl")), "--data"),
        (arguments(folder, tmp_path / "m", "--set", "learning_speed=1"), "learning_speed"),
    ]:
        with pytest.raises(UserError, match=words):
            CliRunner().invoke(app, given, catch_exceptions=False, standalone_mode=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_continues(folder, tmp_path):
    meds3 = Path(sys.executable).with_name("meds3")
    long = ("--set", "max_steps=60")
    command = [str(meds3), *arguments(folder, tmp_path / "model", *long)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"})
    assert child.stderr is not None
    for line in child.stderr:
        if "parameters trained on" in line:
            break
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    said = child.stderr.read()
    assert child.wait(timeout=120) == 130, said
    assert "The same command continues" in said
    assert "Traceback" not in said
    again = subprocess.run(command, capture_output=True, text=True, timeout=250, env={**os.environ, "COLUMNS": "200"})
    assert again.returncode == 0, again.stderr
    assert "continued at step" in again.stderr
    CliRunner().invoke(app, arguments(folder, tmp_path / "whole", *long), catch_exceptions=False)
    assert same_weights(tmp_path / "model", tmp_path / "whole")
