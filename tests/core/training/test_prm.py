"""Training of reward models: what is trained is what is read, resumed equals uninterrupted, what is refused."""

import json
import math

import pytest
import torch

from meds3core.config.labels import StepLabelConfig
from meds3core.config.training import LoraSettings, OrmConfig
from meds3core.data.labels import write_labels
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.errors import Cancelled, ConfigError, PolicyError
from meds3core.labels.base import LabelSet
from meds3core.prm.base import ScoreItem
from meds3core.prm.loading import load_scorer
from meds3core.prm.model import new_reward_model
from meds3core.progress import CancelToken, ProgressEvent
from meds3core.text.steps import OPENER
from meds3core.training.base import EmptyTrainingSet
from meds3core.training.launch import launch
from meds3core.training.methods import TrainJob, run_job
from meds3core.training.models import load_tokenizer
from meds3core.training.orm import train_orm
from meds3core.training.prm import train_prm
from meds3core.training.reward_batches import flat_batch
from meds3core.training.rows import prm_rows
from meds3core.types.labels import LabelCounts, LabelledTrajectory
from tests.core.prm.tiny import make_question, write_policy, write_prm
from tests.core.training.rewards import BAD, CPU, GOOD, make_trainer, make_trajectories, settings_for
from tests.core.training.tiny import weights


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")


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


def test_lora_moves_the_adapted_weights_and_keeps_the_rest(policy, tmp_path):
    lora = LoraSettings(rank=4, alpha=8)
    train_prm(policy, make_trajectories(40), settings_for(lora=lora, epochs=2), tmp_path / "merged")
    before, after = weights(policy), weights(tmp_path / "merged")
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
    interrupted, whole = weights(tmp_path / "prm"), weights(tmp_path / "whole")
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
    plain = weights(tmp_path / "plain")
    for name, tolerance in (("checkpointed", 1e-5), ("half", 0.1)):
        for key, tensor in weights(tmp_path / name).items():
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
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
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
