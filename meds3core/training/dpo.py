"""Direct preference optimisation on contrasting continuations of one prefix (METHOD.md §4), with TRL's DPOTrainer.

With Δ = β·[(log π(chosen) − log π_ref(chosen)) − (log π(rejected) − log π_ref(rejected))] the loss of a pair is
−log σ(Δ); log-probabilities are summed over the continuation, the shared prefix is not taught. At the first step π is
π_ref, so Δ = 0 and the loss is ln 2 = 0.6931 for every pair. If a step raises the chosen's log-probability by 1 and
lowers the rejected's by 1, then with β = 0.5 Δ = 1 and the loss is ln(1 + e⁻¹) = 0.3133.

The reference is the start model; its log-probabilities are computed once, before training. Token ids are those of
`encoding.trajectory`: a continuation that reaches no answer is not closed by an end-of-turn token, which TRL's own
preparation would add, so that nobody learns to stop early.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import Trainer
from trl import DPOConfig as DpoArguments
from trl import DPOTrainer

from meds3core.config.training import DpoConfig
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.errors import Cancelled, PolicyError
from meds3core.progress import CancelToken, NullSink, ProgressSink
from meds3core.training.base import EmptyTrainingSet, TrainingResult
from meds3core.training.batches import plan_batches
from meds3core.training.card import data_hash
from meds3core.training.events import TrainingPreparing, training_event
from meds3core.training.models import base_card, load_policy, load_tokenizer, lora_config, save_trained
from meds3core.training.rows import pair_rows
from meds3core.training.running import Job, Setting, is_main, processes, run_training
from meds3core.types.labels import PreferencePair

REFERENCE = "reference.safetensors"
_METRICS = {"rewards/accuracies": "accuracy", "rewards/margins": "margin", "rewards/chosen": "chosen_reward"}


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on token ids made by us; `order` is the row of the data set at each position of the run.

    `reference`: file for the start model's log-probabilities, which are computed when the trainer is made. That may
    take a third of an epoch: `sink` is told, `cancel` is asked.
    """

    def __init__(
        self,
        *,
        order: Sequence[int],
        reference: Path,
        sink: ProgressSink | None = None,
        cancel: CancelToken | None = None,
        **arguments: Any,
    ) -> None:
        self._order = order
        self._reference = reference
        self._sink = (sink or NullSink()) if is_main() else NullSink()
        self._cancel = cancel or CancelToken()
        super().__init__(**arguments)

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """The start model's log-probabilities, each pair once; kept in the working folder for a resumed run."""
        if not self._reference.exists():
            chosen, rejected = self._log_probabilities(dataset, batch_size)
            if is_main():
                temporary = self._reference.with_suffix(".tmp")
                save_file({"chosen": chosen, "rejected": rejected}, temporary)
                temporary.replace(self._reference)
            self.accelerator.wait_for_everyone()
        found = load_file(self._reference)
        return (
            dataset.add_column("ref_chosen_logps", found["chosen"].tolist())
            .add_column("ref_rejected_logps", found["rejected"].tolist())
            .select(self._order)
        )

    def _log_probabilities(self, dataset: Dataset, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = list(dataset)
        by_length = sorted(range(len(rows)), key=lambda i: -_length(rows[i]))
        mine = by_length[self.accelerator.process_index :: processes()]
        done: list[tuple[int, float, float]] = []
        for start in range(0, len(mine), batch_size):
            if self._cancel.cancelled:
                raise Cancelled("Stopped before the first step, while the reference's log-probabilities were computed.")
            some = mine[start : start + batch_size]
            batch = self._prepare_inputs(self.data_collator([rows[i] for i in some]))
            chosen, rejected = self.compute_ref_log_probs(self.model, batch)
            done.extend(zip(some, chosen.tolist(), rejected.tolist(), strict=True))
            far = min(len(rows), len(done) * processes())
            self._sink.emit(training_event(TrainingPreparing(what="reference"), far, len(rows)))
        if processes() > 1:
            done = gather_object(done)
        _, all_chosen, all_rejected = zip(*sorted(done), strict=True)
        return torch.tensor(all_chosen), torch.tensor(all_rejected)


def train_dpo(
    start: Path,
    pairs: Sequence[PreferencePair],
    config: DpoConfig,
    out: Path,
    *,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> TrainingResult:
    """Teach the policy in `start` to prefer the chosen continuations; the trained one lies in `out`.

    An interrupted call is continued by the same call. Raises `EmptyTrainingSet`, `PolicyError`, and what
    `run_training` raises.
    """
    policy = inspect_policy(start)
    tokenizer = load_tokenizer(policy)
    encoder = TrajectoryEncoder(tokenizer)
    if not encoder.end_of_turn and any(pair.chosen_finished or pair.rejected_finished for pair in pairs):
        raise PolicyError(f"{policy.path}: the tokenizer has no token that ends a turn; it could not learn to stop.")
    longest = min(config.max_length, policy.context_length)
    rows = pair_rows(encoder, pairs, longest)
    if not rows:
        raise EmptyTrainingSet(
            f"All {len(pairs)} pairs are longer than {longest} tokens: raise max_length."
            if pairs
            else "No preference pairs: no two continuations differed by more than the gap, or the label set is empty."
        )
    plan = plan_batches([2 * len(row.prompt) + len(row.chosen) + len(row.rejected) for row in rows], config)
    data = Dataset.from_dict(
        {
            "prompt_ids": [row.prompt for row in rows],
            "chosen_ids": [row.chosen for row in rows],
            "rejected_ids": [row.rejected for row in rows],
        }
    )

    def build(setting: Setting) -> Trainer:
        losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, config.sft_weight]}
        own: dict[str, Any] = {
            "max_length": None,
            "beta": config.beta,
            "precompute_ref_log_probs": True,
            **(losses if config.sft_weight else {"loss_type": ["sigmoid"]}),
        }
        return PairTrainer(
            order=plan.order,
            reference=setting.work / REFERENCE,
            sink=sink,
            cancel=cancel,
            model=load_policy(policy, setting.device.weights),
            args=setting.arguments(DpoArguments, **own),
            train_dataset=data,
            processing_class=tokenizer,
            peft_config=lora_config(config.lora),
        )

    job = Job(policy, config, data_hash(pairs), len(rows), len(pairs) - len(rows), plan, out)
    return run_training(
        job,
        build,
        lambda trainer, to: save_trained(trainer, to, policy, config.lora),
        card=base_card(policy) if config.lora and not config.lora.merge else {},
        metrics=_METRICS,
        sink=sink,
        cancel=cancel,
    )


def _length(row: dict[str, Any]) -> int:
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
