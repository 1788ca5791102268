"""Supervised fine-tuning on right trajectories (METHOD.md §4), with TRL's SFTTrainer.

The loss is the mean cross-entropy over the tokens of the reasoning and the end of the turn, over the whole batch:
with log-probabilities −1, −2 for the two taught tokens of one example and −6 for the one of another, it is
(1 + 2 + 6) / 3 = 3, not the mean of the examples' means (3.75). The prompt is never taught.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import Trainer
from trl import SFTConfig as SftArguments
from trl import SFTTrainer

from meds3core.config.training import SftConfig
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.errors import PolicyError
from meds3core.progress import CancelToken, ProgressSink
from meds3core.training.base import EmptyTrainingSet, TrainingResult
from meds3core.training.batches import plan_batches
from meds3core.training.card import data_hash
from meds3core.training.models import base_card, load_policy, load_tokenizer, lora_config, save_trained
from meds3core.training.rows import sft_rows
from meds3core.training.running import Job, Setting, run_training
from meds3core.types.labels import SftExample


def train_sft(
    start: Path,
    examples: Sequence[SftExample],
    config: SftConfig,
    out: Path,
    *,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> TrainingResult:
    """Teach the policy in `start` to write these trajectories; the trained one lies in `out`.

    An interrupted call is continued by the same call. Raises `EmptyTrainingSet`, `PolicyError`, and what
    `run_training` raises.
    """
    policy = inspect_policy(start)
    tokenizer = load_tokenizer(policy)
    encoder = TrajectoryEncoder(tokenizer)
    if not encoder.end_of_turn:
        raise PolicyError(f"{policy.path}: the tokenizer has no token that ends a turn; it could not learn to stop.")
    longest = min(config.max_length, policy.context_length)
    rows = sft_rows(encoder, examples, longest)
    if not rows:
        raise EmptyTrainingSet(
            f"All {len(examples)} examples are longer than {longest} tokens: raise max_length."
            if examples
            else "No SFT examples: no question was answered correctly, or the label set is empty."
        )
    plan = plan_batches([len(row.input_ids) for row in rows], config)
    data = Dataset.from_dict({"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]})

    def build(setting: Setting) -> Trainer:
        own: dict[str, Any] = {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
        trainer: Trainer = SFTTrainer(
            model=load_policy(policy, setting.device.weights),
            args=setting.arguments(SftArguments, **own),
            train_dataset=data.select(plan.order),
            processing_class=tokenizer,
            peft_config=lora_config(config.lora),
        )
        return trainer

    job = Job(policy, config, data_hash(examples), len(rows), len(examples) - len(rows), plan, out)
    return run_training(
        job,
        build,
        lambda trainer, to: save_trained(trainer, to, policy, config.lora),
        card=base_card(policy) if config.lora and not config.lora.merge else {},
        metrics={"mean_token_accuracy": "token_accuracy", "entropy": "entropy"},
        sink=sink,
        cancel=cancel,
    )
