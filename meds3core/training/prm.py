"""The process reward model (METHOD.md §4): the policy's backbone with a head that scores every step.

The loss falls on the one logit at the last token of each labelled step, step 0 never: cross-entropy on the soft target
(default), squared or Huber error of its sigmoid. What is trained is what is read at inference: ids come from the same
encoder, the score is the sigmoid of the same logit.

Example: one trajectory whose steps have logits 0 and ln 3 (scores 1/2 and 3/4) and labels 0.8 and 1 costs
(ln 2 + ln 4/3) / 2 = 0.490; if the first step weighs 3, (3·ln 2 + ln 4/3) / 4 = 0.592.
"""

from collections.abc import Sequence
from pathlib import Path

from meds3core.config.training import PrmConfig
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.progress import CancelToken, ProgressSink
from meds3core.training.base import EmptyTrainingSet, TrainingResult
from meds3core.training.card import data_hash
from meds3core.training.models import load_tokenizer
from meds3core.training.reward_batches import refuse_one_sided
from meds3core.training.reward_trainer import train_reward_model
from meds3core.training.rows import prm_rows, used_steps
from meds3core.types.labels import LabelledTrajectory


def train_prm(
    start: Path,
    trajectories: Sequence[LabelledTrajectory],
    config: PrmConfig,
    out: Path,
    *,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> TrainingResult:
    """Train a process reward model from the policy in `start`; its folder is `out`.

    An interrupted call is continued by the same call. Raises `EmptyTrainingSet`, `PolicyError`, and what
    `run_training` raises.
    """
    policy = inspect_policy(start)
    encoder = TrajectoryEncoder(load_tokenizer(policy))
    labelled = [trajectory for trajectory in trajectories if used_steps(trajectory)]
    if not labelled:
        raise EmptyTrainingSet(
            f"None of the {len(trajectories)} trajectories has a labelled step besides step 0: build step labels first."
        )
    refuse_one_sided(labelled)
    longest = min(config.max_length, policy.context_length)
    rows = prm_rows(encoder, labelled, longest)
    if not rows:
        raise EmptyTrainingSet(f"All {len(labelled)} trajectories are longer than {longest} tokens: raise max_length.")
    return train_reward_model(
        policy,
        rows,
        config,
        out,
        loss=config.loss,
        data=data_hash(trajectories),
        left_out=len(labelled) - len(rows),
        sink=sink,
        cancel=cancel,
    )
