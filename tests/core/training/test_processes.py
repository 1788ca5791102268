"""Several processes: the same losses as one, stopping and errors across the process boundary."""

import subprocess
import sys

import pytest
import torch

from meds3core.config.labels import PairLabelConfig, SftLabelConfig
from meds3core.data.labels import write_labels
from meds3core.errors import Cancelled, ConfigError
from meds3core.labels.base import LabelSet
from meds3core.progress import CancelToken, NullSink
from meds3core.training.launch import _follow, launch
from meds3core.training.methods import TrainJob, run_job
from meds3core.types.labels import LabelCounts
from tests.core.training.tiny import (
    Remembering,
    dpo_config,
    make_examples,
    make_pairs,
    sft_config,
    weights,
    write_policy,
)

LONG = 60
"""Epochs, of two steps each."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A policy and a label set of each kind."""
    folder = tmp_path_factory.mktemp("processes")
    write_policy(folder / "policy")
    counts = LabelCounts(trees=8, questions=8, kept=8)
    examples = tuple(make_examples(8))
    pairs = tuple(make_pairs(8))
    write_labels(folder / "sft", LabelSet(SftLabelConfig(), examples, counts))
    write_labels(folder / "dpo", LabelSet(PairLabelConfig(), pairs, counts))
    return folder


def job(folder, method, out, *, epochs=3, **changes):
    config = {"sft": sft_config, "dpo": dpo_config}[method](epochs=epochs, **changes)
    return TrainJob(start=folder / "policy", data=folder / method, config=config, out=out)


def same_training(first, second):
    return all(
        torch.allclose(weights(second)[name], tensor, atol=2e-4, rtol=1e-3) for name, tensor in weights(first).items()
    )


def test_two_processes_train_like_one_also_when_stopped_and_continued(folder, tmp_path):
    one, two, third = Remembering(), Remembering(at=("training-step", 3)), Remembering()
    # Long enough that the request to stop, which travels while they train on, arrives before the end.
    run_job(job(folder, "sft", tmp_path / "one", epochs=LONG), sink=one)
    together = job(folder, "sft", tmp_path / "two", epochs=LONG, micro_batch_size=2)
    with pytest.raises(Cancelled, match="continues from there"):
        launch(together, 2, sink=two, cancel=two.cancel)
    assert not (tmp_path / "two").exists()
    assert two.events[0].data["processes"] == 2
    launch(together, 2, sink=third)
    stopped_at = third.events[0].done
    assert 3 <= stopped_at < 2 * LONG
    assert two.losses[:stopped_at] + third.losses == pytest.approx(one.losses, rel=1e-3)
    assert same_training(tmp_path / "one", tmp_path / "two")


def test_two_processes_share_the_work_of_the_reference(folder, tmp_path):
    one, two = Remembering(), Remembering()
    run_job(job(folder, "dpo", tmp_path / "one"), sink=one)
    launch(job(folder, "dpo", tmp_path / "two", micro_batch_size=2), 2, sink=two)
    assert two.losses == pytest.approx(one.losses, rel=1e-3)
    assert same_training(tmp_path / "one", tmp_path / "two")


def test_what_went_wrong_is_told_and_not_that_the_others_were_stopped():
    said = [
        {"error": {"code": Cancelled.code, "message": "Stopped before the first step."}},
        {"error": {"code": ConfigError.code, "message": "The batch does not divide."}},
    ]
    script = f"import json; [print(json.dumps(line)) for line in {said!r}]"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([sys.executable, "-c", script], **pipes) as process,
        pytest.raises(ConfigError, match="does not divide"),
    ):
        _follow(process, NullSink(), CancelToken())


def test_an_error_of_a_process_arrives_as_itself(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"batch_size \(4\) must be a multiple of micro_batch_size \(4\) × processes"):
        launch(job(folder, "sft", tmp_path / "model"), 2)
