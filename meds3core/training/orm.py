"""The outcome reward model: one score for a finished trajectory, read at its last token (METHOD.md §4).

The same backbone, head and trainer as the process reward model's; the target is whether the answer is right, the loss
binary cross-entropy. Example: logits 0 and ln 3 for a right and a wrong trajectory cost (ln 2 + ln 4) / 2 = 1.040.
"""

from collections.abc import Sequence
from pathlib import Path

from meds3core.config.training import OrmConfig
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.progress import CancelToken, ProgressSink
from meds3core.training.base import EmptyTrainingSet, TrainingResult
from meds3core.training.card import data_hash
from meds3core.training.models import load_tokenizer
from meds3core.training.reward_batches import refuse_one_sided
from meds3core.training.reward_trainer import train_reward_model
from meds3core.training.rows import orm_rows
from meds3core.types.labels import LabelledTrajectory


def train_orm(
    start: Path,
    trajectories: Sequence[LabelledTrajectory],
    config: OrmConfig,
    out: Path,
    *,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> TrainingResult:
    """Train an outcome reward model from the policy in `start`; its folder is `out`. Step labels are not looked at, nor
    are trajectories whose end is not known.

    An interrupted call is continued by the same call. Raises `EmptyTrainingSet`, `PolicyError`, and what
    `run_training` raises.
    """
    policy = inspect_policy(start)
    encoder = TrajectoryEncoder(load_tokenizer(policy))
    given, trajectories = trajectories, [each for each in trajectories if each.correct is not None]
    if not trajectories:
        raise EmptyTrainingSet(
            "No trajectories to learn from: the label set is empty, or nobody knows whether its trajectories end well."
        )
    refuse_one_sided(trajectories)
    longest = min(config.max_length, policy.context_length)
    rows = orm_rows(encoder, trajectories, longest)
    if not rows:
        raise EmptyTrainingSet(
            f"All {len(trajectories)} trajectories are longer than {longest} tokens: raise max_length."
        )
    return train_reward_model(
        policy,
        rows,
        config,
        out,
        loss="bce",
        data=data_hash(given),
        left_out=len(trajectories) - len(rows),
        sink=sink,
        cancel=cancel,
    )
