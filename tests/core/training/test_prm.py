"""Training of reward models: hand-worked losses, forests equal to flat rows, what is trained is what is read."""

import json
import math
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TrainingArguments

from meds3core.config.decoding import ScorerConfig
from meds3core.config.labels import StepLabelConfig
from meds3core.config.training import LoraSettings, OrmConfig, PrmConfig
from meds3core.data.labels import write_labels
from meds3core.encoding.trajectory import EncodedTrajectory, TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.errors import Cancelled, ConfigError, PolicyError
from meds3core.labels.base import LabelSet
from meds3core.prm.base import ScoreItem
from meds3core.prm.loading import load_scorer
from meds3core.prm.model import new_reward_model
from meds3core.prm.tree_attention import NAME
from meds3core.progress import CancelToken, ProgressEvent
from meds3core.text.steps import OPENER
from meds3core.training.base import EmptyTrainingSet
from meds3core.training.batches import plan_batches
from meds3core.training.launch import launch
from meds3core.training.methods import TrainJob, run_job
from meds3core.training.models import load_tokenizer
from meds3core.training.orm import train_orm
from meds3core.training.prm import prm_rows, train_prm
from meds3core.training.reward_batches import RewardRow, flat_batch, plan_packs, tree_batch
from meds3core.training.reward_trainer import RewardTrainer, step_losses
from meds3core.types.labels import LabelCounts, LabelledTrajectory
from tests.core.prm.tiny import make_question, write_policy, write_prm

CPU = ScorerConfig(device="cpu")
GOOD, BAD = "The weight fits the dose.", "Ignore the weight."


def make_trajectories(count: int, seed: int = 0) -> list[LabelledTrajectory]:
    """Over five questions; a step is good or bad as its text says, and from a bad one on nothing is right."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        steps = [rng.choice((GOOD, GOOD, BAD)) for _ in range(rng.randint(1, 4))]
        right = BAD not in steps
        labels = [None, *(float(BAD not in steps[: number + 1]) for number in range(len(steps)))]
        made.append(
            LabelledTrajectory(
                question=make_question(rng.randrange(5)),
                bodies=(OPENER, *steps),
                labels=tuple(labels),
                correct=right,
            )
        )
    return made


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")


def settings_for(**changes) -> PrmConfig:
    quick = {
        "learning_rate": 3e-3,
        "epochs": 8,
        "batch_size": 8,
        "micro_batch_size": 8,
        "lora": None,
        "threads": 1,
        "max_length": 600,
    }
    return PrmConfig(**(quick | changes))


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


def make_trainer(model, tmp_path, loss="bce") -> RewardTrainer:
    arguments = TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", remove_unused_columns=False
    )
    return RewardTrainer(loss=loss, model=model, args=arguments)


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


# --- training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["flat", "tree"])
def test_a_prm_learns_which_steps_are_bad_and_is_read_as_it_was_trained(layout, policy, tmp_path):
    out = tmp_path / "prm"
    trajectories = make_trajectories(60)
    result = train_prm(policy, trajectories, settings_for(layout=layout, learning_rate=6e-3), out)
    assert result.model == out
    assert result.examples == 60
    assert result.steps == 60
    card = json.loads((out / "meds3.json").read_text())
    assert (card["role"], card["score_head"], card["prompt"]) == ("prm", "sigmoid", "plain")
    assert card["base"] == {"name": "tiny", "hash": inspect_policy(policy).hash}
    assert sorted(file.name for file in out.glob("*.bin")) == []

    scorer = load_scorer(out, CPU)
    fresh = [trajectory for trajectory in make_trajectories(200, seed=9) if trajectory not in trajectories]
    scores = scorer.score([ScoreItem(t.question, t.bodies) for t in fresh])
    pairs = [
        (label, value)
        for trajectory, found in zip(fresh, scores, strict=True)
        for label, value in zip(trajectory.labels[1:], found.values[1:], strict=True)
    ]
    assert len({label for label, _ in pairs}) == 2
    assert sum((value > 0.5) == label for label, value in pairs) > 0.9 * len(pairs)

    # One logit is trained and the same one is read: the loss of the scorer's scores is the trainer's loss.
    rows = prm_rows(TrajectoryEncoder(load_tokenizer(inspect_policy(policy))), trajectories, 600)
    model = new_reward_model(inspect_policy(out), torch.float32).eval()
    trained = float(make_trainer(model, tmp_path / "again").compute_loss(model, flat_batch(rows)).detach())
    read = scorer.score([ScoreItem(t.question, t.bodies) for t in trajectories])
    losses = [
        -(label * math.log(value) + (1 - label) * math.log(1 - value))
        for trajectory, found in zip(trajectories, read, strict=True)
        for label, value in zip(trajectory.labels[1:], found.values[1:], strict=True)
    ]
    assert sum(losses) / len(losses) == pytest.approx(trained, rel=1e-3)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_lora_moves_the_adapted_weights_and_keeps_the_rest(policy, tmp_path):
    lora = LoraSettings(rank=4, alpha=8)
    train_prm(policy, make_trajectories(40), settings_for(lora=lora, epochs=2), tmp_path / "merged")
    before, after = weights_of(policy), weights_of(tmp_path / "merged")
    moved = {name for name, tensor in after.items() if name in before and not torch.equal(tensor, before[name])}
    assert moved == {name for name in before if "_proj" in name}
    assert float(after["score.weight"].abs().max()) > 0
    assert load_scorer(tmp_path / "merged", CPU).info.kind == "prm"


def test_an_adapter_left_alone_is_scored_on_its_base_and_on_no_other(policy, tmp_path):
    lora = LoraSettings(rank=4, alpha=8, merge=False)
    config = settings_for(lora=lora, epochs=2)
    train_prm(policy, make_trajectories(40), config, tmp_path / "adapter")
    train_prm(
        policy,
        make_trajectories(40),
        config.model_copy(update={"lora": lora.model_copy(update={"merge": True})}),
        tmp_path / "merged",
    )
    items = [ScoreItem(t.question, t.bodies) for t in make_trajectories(5)]
    alone = load_scorer(tmp_path / "adapter", CPU, base=policy)
    merged = load_scorer(tmp_path / "merged", CPU)
    for one, other in zip(alone.score(items), merged.score(items), strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-5)
    with pytest.raises(PolicyError, match="base"):
        load_scorer(tmp_path / "adapter", CPU)
    with pytest.raises(PolicyError, match="another model"):
        load_scorer(tmp_path / "adapter", CPU, base=write_policy(tmp_path / "other", seed=1))


def test_an_orm_learns_whether_a_trajectory_ends_well(policy, tmp_path):
    config = OrmConfig(**settings_for(epochs=12).model_dump(exclude={"method", "loss"}))
    train_orm(policy, make_trajectories(60), config, tmp_path / "orm")
    scorer = load_scorer(tmp_path / "orm", CPU)
    assert scorer.info.kind == "orm"
    fresh = make_trajectories(40, seed=5)
    scores = [found.values for found in scorer.score([ScoreItem(t.question, t.bodies) for t in fresh])]
    assert all(len(values) == 1 for values in scores)
    right = sum((values[0] > 0.5) == t.correct for values, t in zip(scores, fresh, strict=True))
    assert right >= 36


def test_labels_weigh_and_unlabelled_steps_do_not_count(policy):
    encoder = TrajectoryEncoder(load_tokenizer(inspect_policy(policy)))
    trajectory = LabelledTrajectory(
        question=make_question(1),
        bodies=(OPENER, GOOD, BAD, GOOD),
        labels=(1.0, 0.25, None, 0.75),
        weights=(9.0, 2.0, 1.0, 1.0),
        correct=True,
    )
    (row,) = prm_rows(encoder, [trajectory], 600)
    ends = encoder.steps(trajectory.question, trajectory.bodies).ends
    assert (row.encoded.ends, row.targets, row.weights) == ((ends[1], ends[3]), (0.25, 0.75), (2.0, 1.0))


@pytest.mark.parametrize("layout", ["flat", "tree"])
def test_a_cancelled_run_continues_to_the_same_weights(layout, policy, tmp_path):
    config = settings_for(layout=layout, epochs=2, micro_batch_size=4)
    trajectories = make_trajectories(40)
    token = CancelToken()

    class StopsAtTheFourthStep:
        def emit(self, event: ProgressEvent) -> None:
            if event.kind == "training-step" and (event.done or 0) >= 4:
                token.cancel()

    with pytest.raises(Cancelled):
        train_prm(
            policy,
            trajectories,
            config.model_copy(update={"log_every": 1}),
            tmp_path / "prm",
            sink=StopsAtTheFourthStep(),
            cancel=token,
        )
    assert not (tmp_path / "prm").exists()
    train_prm(policy, trajectories, config.model_copy(update={"log_every": 1}), tmp_path / "prm")
    train_prm(policy, trajectories, config.model_copy(update={"log_every": 1}), tmp_path / "whole")
    interrupted, whole = weights_of(tmp_path / "prm"), weights_of(tmp_path / "whole")
    assert all(torch.equal(interrupted[name], whole[name]) for name in whole)


def test_recomputed_activations_and_half_precision_train_alike(policy, tmp_path):
    """Gradient checkpointing changes nothing but memory; bfloat16 products stay near."""
    trajectories = make_trajectories(20)
    for name, changes in (
        ("plain", {}),
        ("checkpointed", {"gradient_checkpointing": True}),
        ("half", {"precision": "bfloat16"}),
    ):
        train_prm(policy, trajectories, settings_for(epochs=2, **changes), tmp_path / name)
    plain = weights_of(tmp_path / "plain")
    for name, tolerance in (("checkpointed", 1e-5), ("half", 0.1)):
        for key, tensor in weights_of(tmp_path / name).items():
            torch.testing.assert_close(tensor, plain[key], atol=tolerance, rtol=tolerance)


def test_a_model_whose_attention_a_forest_cannot_follow_is_trained_on_flat_rows(tmp_path):
    start = write_prm(tmp_path / "gemma2", "gemma2", name="start")
    result = train_prm(start, make_trajectories(20), settings_for(epochs=1, layout="tree"), tmp_path / "prm")
    assert math.isfinite(result.final_loss)
    assert load_scorer(tmp_path / "prm", CPU).flat_reason


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("layout", ["flat", "tree"])
def test_two_processes_train_like_one(layout, policy, tmp_path):
    """The divisor is the weight of all processes' steps: unequal shares count by their steps, not by process."""
    records = tuple(make_trajectories(24))
    write_labels(tmp_path / "labels", LabelSet(StepLabelConfig(), records, LabelCounts(trees=24, kept=24)))
    config = settings_for(layout=layout, epochs=2, learning_rate=1e-3)
    job = TrainJob(start=policy, data=tmp_path / "labels", config=config, out=tmp_path / "one")
    run_job(job)
    halved = config.model_copy(update={"micro_batch_size": 4})
    launch(job.model_copy(update={"config": halved, "out": tmp_path / "two"}), 2)
    one, two = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-4, rtol=1e-3)


# --- what cannot be learnt from ------------------------------------------------------------------------------------


def test_sets_that_teach_nothing_are_refused(policy, tmp_path):
    made = make_trajectories(20)
    wrong = [trajectory for trajectory in made if not trajectory.correct]
    blank = [t.model_copy(update={"labels": (None,) * len(t.bodies)}) for t in made]
    config = settings_for()
    with pytest.raises(EmptyTrainingSet, match="step labels"):
        train_prm(policy, [], config, tmp_path / "prm")
    with pytest.raises(EmptyTrainingSet, match="step labels"):
        train_prm(policy, blank, config, tmp_path / "prm")
    with pytest.raises(EmptyTrainingSet, match="are wrong"):
        train_prm(policy, wrong, config, tmp_path / "prm")
    with pytest.raises(EmptyTrainingSet, match="max_length"):
        train_prm(policy, made, settings_for(max_length=16), tmp_path / "prm")
    orm = OrmConfig(lora=None)
    with pytest.raises(EmptyTrainingSet, match="empty"):
        train_orm(policy, [], orm, tmp_path / "orm")
    with pytest.raises(EmptyTrainingSet, match="are wrong"):
        train_orm(policy, wrong, orm, tmp_path / "orm")
    assert list(tmp_path.iterdir()) == []


def test_longer_trajectories_are_left_out_and_counted(policy, tmp_path):
    made = make_trajectories(30)
    long = made[0].model_copy(update={"bodies": (*made[0].bodies[:-1], "long " * 300)})
    result = train_prm(policy, [*made, long], settings_for(epochs=1), tmp_path / "prm")
    assert (result.examples, result.left_out) == (30, 1)


def test_a_reward_model_is_no_policy_to_overwrite(policy, tmp_path):
    """A folder that holds something else is never written over."""
    (tmp_path / "prm").mkdir()
    (tmp_path / "prm" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="something else"):
        train_prm(policy, make_trajectories(20), settings_for(), tmp_path / "prm")
    assert (tmp_path / "prm" / "notes.txt").read_text() == "mine"
