"""The loss of reward models: hand-worked values, forests equal to flat rows, which rows a step sees."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.config.training import PrmConfig
from meds3core.encoding.trajectory import EncodedTrajectory, TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.prm.model import new_reward_model
from meds3core.prm.tree_attention import NAME
from meds3core.training.batches import plan_batches
from meds3core.training.models import load_tokenizer
from meds3core.training.reward_batches import flat_batch, plan_packs, tree_batch
from meds3core.training.reward_trainer import step_losses
from meds3core.training.rows import RewardRow, prm_rows
from tests.core.prm.tiny import write_prm
from tests.core.training.rewards import make_trainer, make_trajectories

# --- the loss ------------------------------------------------------------------------------------------------------


def test_hand_worked_step_losses():
    """Logit 0 (score 1/2) against 0.8; logit ln 3 (score 3/4) against 1.

    Cross-entropy: ln 2 and −ln ¾. Squared: 0.3² and 0.25². Huber, δ = 0.25: 0.25·(0.3 − 0.125) and ½·0.25².
    """
    logits, targets = torch.tensor([0.0, math.log(3)]), torch.tensor([0.8, 1.0])
    assert step_losses(logits, targets, "bce").tolist() == pytest.approx([math.log(2), -math.log(0.75)], abs=1e-6)
    assert step_losses(logits, targets, "mse").tolist() == pytest.approx([0.09, 0.0625], abs=1e-6)
    assert step_losses(logits, targets, "huber").tolist() == pytest.approx([0.04375, 0.03125], abs=1e-6)


class ConstantLogits(torch.nn.Module):
    """Gives the token's id as its logit."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids, **_):
        logits = input_ids[..., None].float() + 0.0 * self.unused
        return type("Output", (), {"logits": logits})()


def test_the_loss_is_the_weighted_mean_over_all_labelled_steps(tmp_path):
    """Two trajectories with 2 and 1 labelled steps: logits 0, 2 and 0; targets 0.8, 1 and 0; weights 3, 1 and 1.

    Per step ln 2, ln(1 + e^−2) = 0.12693, ln 2; so (3·ln 2 + 0.12693 + ln 2) / 5 = 0.57990. Cut into two passes, with
    the whole step's weight as divisor, the parts add up to the same; tokens between step ends are never read.
    """
    rows = [
        RewardRow(EncodedTrajectory((9, 0, 9, 2), 1, (1, 3)), (0.8, 1.0), (3.0, 1.0)),
        RewardRow(EncodedTrajectory((9, 9, 0), 1, (2,)), (0.0,), (1.0,)),
    ]
    expected = (4 * math.log(2) + math.log(1 + math.exp(-2))) / 5
    model = ConstantLogits()
    trainer = make_trainer(model, tmp_path)
    assert trainer.compute_loss(model, flat_batch(rows)).item() == pytest.approx(expected, abs=1e-6)
    assert trainer.compute_loss(model, tree_batch(rows)).item() == pytest.approx(expected, abs=1e-6)
    parts = [flat_batch(rows[:1]), flat_batch(rows[1:])]
    weight = trainer._get_num_items_in_batch(parts, torch.device("cpu"))
    total = sum(trainer.compute_loss(model, part, num_items_in_batch=weight).item() for part in parts)
    assert total == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_a_forest_gives_the_loss_and_the_gradients_of_flat_rows(kind, loss, tmp_path):
    """Relative error at most 1e-5 in float64, with shared steps that differ in label and weight."""
    rng = random.Random(3)
    folder = inspect_policy(write_prm(tmp_path / kind, kind))
    encoder = TrajectoryEncoder(load_tokenizer(folder))
    trajectories = [
        trajectory.model_copy(
            update={
                "labels": (None, *(rng.random() for _ in trajectory.bodies[1:])),
                "weights": tuple(rng.choice((0.5, 1.0, 3.0)) for _ in trajectory.bodies),
            }
        )
        for trajectory in make_trajectories(20, seed=1)
    ]
    rows = prm_rows(encoder, trajectories, 600)
    model = new_reward_model(folder, torch.float64)
    found = {}
    for layout in ("flat", "tree"):
        model.set_attn_implementation("sdpa" if layout == "flat" else NAME)
        trainer = make_trainer(model, tmp_path / layout, loss)
        model.zero_grad()
        value = trainer.compute_loss(model, flat_batch(rows) if layout == "flat" else tree_batch(rows))
        value.backward()
        found[layout] = (value.item(), {name: p.grad.clone() for name, p in model.named_parameters()})
    assert found["tree"][0] == pytest.approx(found["flat"][0], rel=1e-6)
    for name, gradient in found["flat"][1].items():
        error = (found["tree"][1][name] - gradient).norm() / gradient.norm()
        assert gradient.norm() > 0
        assert float(error) <= 1e-5, name


# --- which rows a step sees ----------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=12),
    st.integers(1, 8),
    st.sampled_from([0.5, 1.0, 2.5]),
    st.integers(0, 5),
)
@settings(max_examples=150, deadline=None)
def test_steps_are_made_of_whole_questions(sizes, batch, epochs, seed):
    rows = [
        RewardRow(EncodedTrajectory((question, 50, number), 1, (2,)), (1.0,), (1.0,))
        for question, size in enumerate(sizes)
        for number in range(size)
    ]
    config = PrmConfig(batch_size=batch, micro_batch_size=1, epochs=epochs, seed=seed)
    once, cut = plan_packs(rows, config, 1), plan_packs(rows, config, 3)
    assert once.plan.steps == len(once.packs) == plan_batches([3] * len(rows), config).steps
    assert len(cut.packs) == 3 * len(once.packs)
    seen = [0] * len(rows)
    for step, pack in enumerate(once.packs):
        assert pack
        parts = cut.packs[3 * step : 3 * step + 3]
        assert sum(parts, ()) == pack
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        for index in pack:
            seen[index] += 1
        for question, size in enumerate(sizes):
            if size <= batch:
                held = sum(rows[index].encoded.ids[0] == question for index in pack)
                assert held % size == 0
    assert max(seen) - min(seen) <= 2
    assert plan_packs(rows, config, 1) == once
