"""The one trainer of process and outcome reward models: transformers' own, with our loss on the one logit.

TRL removed its trainer of process reward models in 1.14. This one changes two things of `transformers.Trainer`: how the
loss is computed, and by what it is divided.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from peft import get_peft_model
from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss, mse_loss
from torch.utils.data import Dataset
from transformers import PreTrainedModel, Trainer, TrainingArguments

from meds3core.config.training import LoraSettings, OrmConfig, PrmConfig
from meds3core.encoding.trajectory import PROMPT
from meds3core.engines.policy import PolicyFolder
from meds3core.prm.model import backbone, head, new_reward_model
from meds3core.prm.passes import has_windows, why_no_forest
from meds3core.prm.tree_attention import NAME
from meds3core.progress import CancelToken, ProgressSink
from meds3core.training.base import TrainingResult
from meds3core.training.batches import accumulation, plan_batches
from meds3core.training.models import base_card, lora_config, save_trained
from meds3core.training.reward_batches import Batch, flat_batch, plan_packs, silent, tree_batch
from meds3core.training.rows import RewardRow
from meds3core.training.running import Job, Setting, processes, run_training

Loss = Literal["bce", "mse", "huber"]

HUBER_DELTA = 0.25
"""Where the Huber loss turns from square to straight; errors of scores never exceed 1."""


def step_losses(logits: torch.Tensor, targets: torch.Tensor, loss: Loss) -> torch.Tensor:
    """Loss of each step, [steps], from the one logit and a target in [0, 1].

    With logit 0 the score is 1/2. Against a target of 0.8: cross-entropy −0.8·ln ½ − 0.2·ln ½ = ln 2 = 0.693; squared
    error 0.3² = 0.09; Huber (δ = 0.25) δ·(0.3 − δ/2) = 0.04375.
    """
    match loss:
        case "bce":
            return binary_cross_entropy_with_logits(logits, targets, reduction="none")
        case "mse":
            return mse_loss(torch.sigmoid(logits), targets, reduction="none")
        case "huber":
            return huber_loss(torch.sigmoid(logits), targets, reduction="none", delta=HUBER_DELTA)


class RewardTrainer(Trainer):
    """The loss of an optimiser step is the weighted mean over all its labelled steps, however they are batched."""

    def __init__(self, *, loss: Loss, **options: Any) -> None:
        super().__init__(**options)
        self._loss = loss
        self.loss_is_scaled_for_ga = True

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Weighted sum of the steps' losses, divided by the weight of the whole optimiser step."""
        inputs = dict(inputs)
        places, targets, weights = (inputs.pop(name) for name in ("places", "targets", "weights"))
        outputs = model(**inputs, use_cache=False)
        logits = outputs.logits.flatten(0, 1)[places, 0].to(torch.promote_types(outputs.logits.dtype, torch.float32))
        total = (step_losses(logits, targets.to(logits.dtype), self._loss) * weights).sum()
        divisor = weights.sum() if num_items_in_batch is None else num_items_in_batch
        # Gradients are averaged over the processes, and the divisor is that of all of them.
        loss = total / divisor * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> torch.Tensor | int | None:
        weight = torch.stack([batch["weights"].sum() for batch in batch_samples]).sum().to(device)
        if self.args.world_size > 1:
            weight = self.accelerator.gather(weight).sum()
        return weight.clamp(min=torch.finfo(weight.dtype).tiny)


class _Packs(Dataset[list[RewardRow]]):
    """One item per forward pass."""

    def __init__(self, rows: Sequence[RewardRow], packs: Sequence[Sequence[int]]) -> None:
        self._rows = rows
        self._packs = packs

    def __len__(self) -> int:
        return len(self._packs)

    def __getitem__(self, index: int) -> list[RewardRow]:
        rows = [self._rows[row] for row in self._packs[index]]
        return rows or [silent(self._rows[0])]


def train_reward_model(
    policy: PolicyFolder,
    rows: Sequence[RewardRow],
    config: PrmConfig | OrmConfig,
    out: Path,
    *,
    loss: Loss,
    data: str,
    left_out: int,
    sink: ProgressSink | None,
    cancel: CancelToken | None,
) -> TrainingResult:
    """Train a reward model of the kind `config.method` on these rows and leave its folder at `out`."""
    passes = accumulation(config, processes()) * processes()
    if config.layout == "tree":
        packed = plan_packs(rows, config, passes)
        packs, plan = packed.packs, packed.plan
    else:
        plan = plan_batches([len(row.encoded.ids) for row in rows], config)
        cuts = range(0, len(plan.order), config.micro_batch_size)
        packs = tuple(plan.order[first : first + config.micro_batch_size] for first in cuts)

    def build(setting: Setting) -> Trainer:
        model = new_reward_model(policy, setting.device.weights)
        head(model).to(torch.float32)  # a new head learns from nothing, at rates that move no bfloat16 weight
        tree = config.layout == "tree" and why_no_forest(model) is None
        if tree:
            model.set_attn_implementation(NAME)
        windows = has_windows(model)
        arguments = setting.arguments(TrainingArguments, remove_unused_columns=False)
        arguments.per_device_train_batch_size = 1  # a pack is a whole forward pass
        return RewardTrainer(
            loss=loss,
            model=_adapted(model, config.lora),
            args=arguments,
            train_dataset=_Packs(rows, packs),
            data_collator=lambda items: tree_batch(items[0], windows=windows) if tree else flat_batch(items[0]),
        )

    card = {"role": config.method, "score_head": "sigmoid", "prompt_hash": PROMPT.hash, **base_card(policy)}
    return run_training(
        Job(policy, config, data, len(rows), left_out, plan, out),
        build,
        lambda trainer, to: save_trained(trainer, to, policy, config.lora, head=True),
        card=card,
        sink=sink,
        cancel=cancel,
    )


def _adapted(model: PreTrainedModel, lora: LoraSettings | None) -> torch.nn.Module:
    settings = lora_config(lora, "TOKEN_CLS", ("score",))
    if settings is None:
        return model
    if settings.target_modules == "all-linear":
        # peft would count the head among them, which is trained as a whole.
        names = (name for name, part in backbone(model).named_modules() if isinstance(part, torch.nn.Linear))
        settings.target_modules = {name.rpartition(".")[2] for name in names}
    adapted: torch.nn.Module = get_peft_model(model, settings)
    return adapted
