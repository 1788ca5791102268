"""Stopped, killed, out of disk: the same call continues and ends with the weights of an undisturbed run."""

import multiprocessing
import random
import resource
import time
from pathlib import Path

import pytest

from meds3core.engines.policy import inspect_policy
from meds3core.errors import Cancelled, ConfigError
from meds3core.progress import CancelToken
from meds3core.training.base import StorageError
from meds3core.training.checkpoints import SEAL, newest, work_folder
from meds3core.training.dpo import train_dpo
from meds3core.training.sft import train_sft
from tests.core.training.tiny import (
    Remembering,
    dpo_config,
    make_examples,
    make_pairs,
    same_weights,
    sft_config,
    write_policy,
)

LORA = {"rank": 4, "alpha": 8, "dropout": 0.1}
"""With dropout, so that random numbers matter too."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")


def sft(policy, out, sink=None, **changes):
    sink = sink or Remembering()
    config = sft_config(save_every=3, epochs=5, **changes)
    return train_sft(policy, make_examples(8), config, out, sink=sink, cancel=sink.cancel)


@pytest.fixture(scope="module")
def undisturbed(policy, tmp_path_factory):
    """Ten steps."""
    out = tmp_path_factory.mktemp("undisturbed") / "model"
    sink = Remembering()
    sft(policy, out, sink)
    return out, sink


@pytest.mark.parametrize("at", [1, 5])
def test_cancelling_saves_and_the_same_call_continues(policy, undisturbed, tmp_path, at):
    out = tmp_path / "model"
    first, second = Remembering(at=("training-step", at - 1) if at > 1 else ("training-started", 0)), Remembering()
    with pytest.raises(Cancelled, match=rf"step {at} of 10") if at > 1 else pytest.raises(Cancelled, match="step 1 of"):
        sft(policy, out, first)
    assert not out.exists()
    assert newest(work_folder(out), clean=False).step == at
    assert first.of("checkpoint")[-1].done == at
    sft(policy, out, second)
    assert second.events[0].done == at
    assert same_weights(out, undisturbed[0])
    # The card too: a model's hash must not tell whether its training was interrupted.
    assert inspect_policy(out).hash == inspect_policy(undisturbed[0]).hash
    assert second.losses == undisturbed[1].losses[at:]


def test_what_is_recorded_does_not_tell_where_a_run_was_stopped(policy, tmp_path):
    """Losses are logged as means over several steps; a stop after the ninth step falls amid them."""

    class AfterSomeSteps(CancelToken):
        asked = 0

        @property
        def cancelled(self):
            """Asked before the first step and after each."""
            self.asked += 1
            return self.asked == 10

    config = sft_config(save_every=100, log_every=4, epochs=5)
    whole = train_sft(policy, make_examples(8), config, tmp_path / "whole" / "model")
    with pytest.raises(Cancelled, match="step 9 of 10"):
        train_sft(policy, make_examples(8), config, tmp_path / "model", cancel=AfterSomeSteps())
    again = train_sft(policy, make_examples(8), config, tmp_path / "model")
    assert again.final_loss == whole.final_loss
    assert inspect_policy(tmp_path / "model").hash == inspect_policy(tmp_path / "whole" / "model").hash


def test_a_run_cancelled_before_its_first_step_leaves_nothing_half_done(policy, tmp_path):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        train_sft(policy, make_examples(8), sft_config(), tmp_path / "model", cancel=cancel)
    assert not (tmp_path / "model").exists()


def test_an_adapter_with_dropout_resumes_exactly(policy, tmp_path):
    sft(policy, tmp_path / "whole" / "model", lora=LORA)
    sink = Remembering(at=("training-step", 4))
    with pytest.raises(Cancelled):
        sft(policy, tmp_path / "model", sink, lora=LORA)
    sft(policy, tmp_path / "model", lora=LORA)
    assert same_weights(tmp_path / "whole" / "model", tmp_path / "model")


def test_dpo_resumes_exactly(policy, tmp_path):
    config = dpo_config(save_every=3, epochs=3)
    train_dpo(policy, make_pairs(8), config, tmp_path / "whole" / "model")
    sink = Remembering(at=("training-step", 3))
    with pytest.raises(Cancelled):
        train_dpo(policy, make_pairs(8), config, tmp_path / "model", sink=sink, cancel=sink.cancel)
    train_dpo(policy, make_pairs(8), config, tmp_path / "model")
    assert same_weights(tmp_path / "whole" / "model", tmp_path / "model")


def test_a_checkpoint_cut_off_by_a_kill_is_passed_over(policy, undisturbed, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(Cancelled):
        sft(policy, out, Remembering(at=("training-step", 6)))
    last = newest(work_folder(out), clean=False).path
    (last / SEAL).unlink()
    (last / "optimizer.pt").write_bytes((last / "optimizer.pt").read_bytes()[:100])
    sink = Remembering()
    sft(policy, out, sink)
    assert sink.events[0].done == 6
    assert same_weights(out, undisturbed[0])


def test_other_settings_do_not_continue_an_interrupted_run(policy, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(Cancelled):
        sft(policy, out, Remembering(at=("training-step", 2)))
    with pytest.raises(ConfigError, match=r"config\.learning_rate there 0\.005, here 0\.001"):
        sft(policy, out, learning_rate=1e-3)


@pytest.mark.parametrize("at", ["checkpoint", "model folder"])
def test_a_full_disk_is_said_and_the_last_checkpoint_stays(policy, undisturbed, tmp_path, at):
    """A limit on file sizes stands in for the full disk: the next large file fails half-way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))

    moment = ("checkpoint", 3) if at == "checkpoint" else ("checkpoint", 10)
    out = tmp_path / "model"
    try:
        with pytest.raises(StorageError, match=f"the {at}.*could not be written.*step {moment[1]} is whole"):
            sft(policy, out, Remembering(at=moment, then=fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not out.exists()
    assert sorted(path.name for path in work_folder(out).glob("*-*"))[-1] != "checkpoint-6"
    sink = Remembering()
    sft(policy, out, sink)
    assert sink.events[0].done == moment[1]
    assert same_weights(out, undisturbed[0])


# --- killed --------------------------------------------------------------------------------------------------------


def train(policy: str, out: str, started=None) -> None:
    class Started(Remembering):
        def emit(self, event):
            if started is not None:
                started.set()
            super().emit(event)

    sft(Path(policy), Path(out), Started())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_random_moments_the_weights_are_those_of_an_undisturbed_run(policy, undisturbed, tmp_path):
    """The children come from a fork server that has torch and TRL imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["meds3core.training.sft", __name__])
    out = tmp_path / "model"

    def start():
        started = context.Event()
        child = context.Process(target=train, args=(str(policy), str(out), started))
        child.start()
        while not started.wait(0.5):
            assert child.is_alive(), "the training died before it began"
        return child

    rng = random.Random(1)
    kills = 0
    for _ in range(10):
        if out.exists():
            break
        child = start()
        time.sleep(rng.uniform(0.0, 0.5))
        child.kill()
        child.join()
        kills += child.exitcode != 0
    train(str(policy), str(out))
    assert kills >= 3
    assert same_weights(out, undisturbed[0])
    assert inspect_policy(out).hash == inspect_policy(undisturbed[0]).hash
