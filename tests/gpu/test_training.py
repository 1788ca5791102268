"""Training on a GPU: bfloat16 products over float32 weights, adapters, resuming, and memory that comes back."""

import math

import pytest
import torch

from meds3core.config.training import DpoConfig, LoraSettings, OrmConfig, PrmConfig, SftConfig
from meds3core.errors import Cancelled
from meds3core.sandbox.bundled import policy_folder
from meds3core.training.dpo import train_dpo
from meds3core.training.orm import train_orm
from meds3core.training.prm import train_prm
from meds3core.training.sft import train_sft
from tests.core.training.rewards import make_trajectories
from tests.core.training.tiny import Remembering, make_examples, make_pairs, weights
from tests.gpu.marks import NEEDS_GPU, held

pytestmark = NEEDS_GPU

QUICK = {"learning_rate": 1e-3, "epochs": 5, "batch_size": 8, "micro_batch_size": 4, "log_every": 1, "save_every": 4}
ADAPTER = LoraSettings(rank=8, alpha=16, dropout=0.1)
METHODS = {
    "sft": (SftConfig, train_sft, make_examples),
    "dpo": (DpoConfig, train_dpo, make_pairs),
    "prm": (PrmConfig, train_prm, make_trajectories),
    "orm": (OrmConfig, train_orm, make_trajectories),
}


def train(method, out, sink=None, **changes):
    config, run, data = METHODS[method]
    sink = sink or Remembering()
    settings = config.model_validate(QUICK | {"lora": None} | changes)
    return run(policy_folder(), data(16), settings, out, sink=sink, cancel=sink.cancel)


@pytest.mark.parametrize("lora", [None, ADAPTER], ids=["full", "lora"])
@pytest.mark.parametrize("method", METHODS)
def test_steps_in_bfloat16_lower_the_loss_and_give_the_memory_back(method, lora, tmp_path):
    before, sink = held(), Remembering()
    train(method, tmp_path / "model", sink, lora=lora)
    (started,) = sink.of("training-started")
    assert started.data["precision"] == "bfloat16"
    assert started.data["device"] == torch.cuda.get_device_name()
    assert all(map(math.isfinite, sink.losses))
    assert sum(sink.losses[-2:]) < sum(sink.losses[:2])
    # What is stored has the type of the start model, whatever products were computed in.
    assert {tensor.dtype for tensor in weights(tmp_path / "model").values()} == {torch.float32}
    assert held() - before < 1 << 20


@pytest.mark.parametrize("method", METHODS)
def test_a_step_in_float32_is_that_of_the_cpu(method, tmp_path, monkeypatch):
    """One step from the same start: the same loss and the same gradient's norm."""
    settings = {"max_steps": 1, "precision": "float32"}
    on_gpu, on_cpu = Remembering(), Remembering()
    train(method, tmp_path / "gpu" / "model", on_gpu, **settings)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    train(method, tmp_path / "cpu" / "model", on_cpu, **settings)
    one, other = on_gpu.of("training-step")[0].data, on_cpu.of("training-step")[0].data
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [None, ADAPTER], ids=["full", "lora"])
@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_run_ends_as_an_undisturbed_one(method, lora, precision, tmp_path):
    """As near as two undisturbed runs are to each other: sums on a GPU may be taken in any order."""
    sinks = [Remembering(), Remembering(at=("training-step", 5)), Remembering()]
    outs = [tmp_path / "whole" / "model", tmp_path / "stopped" / "model"]
    train(method, outs[0], sinks[0], lora=lora, precision=precision)
    with pytest.raises(Cancelled):
        train(method, outs[1], sinks[1], lora=lora, precision=precision)
    train(method, outs[1], sinks[2], lora=lora, precision=precision)
    done = sinks[2].events[0].done
    assert done in (5, 6)
    bound = 1e-3 if precision == "float32" else 2e-2
    assert sinks[2].losses == pytest.approx(sinks[0].losses[done:], rel=bound, abs=bound)
    one, other = weights(outs[0]), weights(outs[1])
    distance = math.sqrt(sum(float((one[name] - other[name]).square().sum()) for name in one))
    size = math.sqrt(sum(float(tensor.square().sum()) for tensor in one.values()))
    exact = all(torch.equal(one[name], other[name]) for name in one)
    print(f"\nresume {method} {'lora' if lora else 'full'} {precision}: exact {exact}, distance {distance / size:.1e}")
    assert distance <= bound * size
