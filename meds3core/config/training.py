"""How models are trained (METHOD.md §4). Defaults are the published values; `clinic` suits the bundled tiny policy."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from meds3core.types.record import Record


class LoraSettings(Record):
    """A low-rank adapter. `merge`: written into a copy of the base at the end, so that any engine serves it."""

    rank: int = Field(default=16, ge=1, le=1024)
    alpha: int = Field(default=32, ge=1, le=4096)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    target_modules: tuple[str, ...] = Field(default=("all-linear",), description="Module names, or all-linear")
    merge: bool = True


class TrainConfig(Record):
    """What every method shares."""

    learning_rate: float = Field(default=1e-6, gt=0.0, le=1.0)
    epochs: float = Field(default=1.0, gt=0.0, le=1000.0)
    max_steps: int | None = Field(default=None, ge=1, description="Optimiser steps; None: what the epochs give")
    batch_size: int = Field(default=16, ge=1, description="Sequences per optimiser step, all devices together")
    micro_batch_size: int = Field(default=4, ge=1, description="Sequences per device and forward pass")
    max_length: int = Field(default=4096, ge=16, description="Tokens; longer examples are left out and counted")
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warm_up_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    clip_norm: float = Field(default=1.0, gt=0.0, description="Gradients are clipped to this norm")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 on a GPU that has it, float32 on a CPU"
    )
    gradient_checkpointing: bool = Field(default=False, description="Less memory, a third more time")
    lora: LoraSettings | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads of a process; with 1 a run on a CPU repeats bit for bit",
    )
    save_every: int = Field(default=200, ge=1, description="Optimiser steps between checkpoints")
    keep_checkpoints: int = Field(default=2, ge=1)
    log_every: int = Field(default=5, ge=1)

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of micro_batch_size ({self.micro_batch_size})"
            )
        return self


class SftConfig(TrainConfig):
    """Supervised fine-tuning on right trajectories."""

    method: Literal["sft"] = "sft"


class DpoConfig(TrainConfig):
    """Direct preference optimisation on contrasting continuations."""

    method: Literal["dpo"] = "dpo"
    learning_rate: float = Field(default=5e-7, gt=0.0, le=1.0)
    beta: float = Field(default=0.1, gt=0.0)
    sft_weight: float = Field(
        default=0.0, ge=0.0, description="Weight of the chosen continuation's own likelihood (RPO)"
    )


class GrpoConfig(TrainConfig):
    """Reinforcement learning from the verifier's verdicts."""

    method: Literal["grpo"] = "grpo"
    samples_per_question: int = Field(default=8, ge=2)
    temperature: float = Field(default=1.0, gt=0.0, le=5.0)
    max_new_tokens: int = Field(default=1536, ge=1)
    beta: float = Field(default=0.0, ge=0.0, description="Weight of the divergence from the starting policy")
    engine: Literal["transformers", "vllm"] = Field(
        default="transformers", description="What writes the answers; vllm: in the same process, on a GPU only"
    )


class PrmConfig(TrainConfig):
    """Process reward model: a score for every step."""

    method: Literal["prm"] = "prm"
    learning_rate: float = Field(default=5e-5, gt=0.0, le=1.0)
    epochs: float = Field(default=2.0, gt=0.0, le=1000.0)
    lora: LoraSettings | None = LoraSettings(rank=32, alpha=64)
    loss: Literal["bce", "mse", "huber"] = "bce"
    layout: Literal["flat", "tree"] = Field(
        default="tree", description="tree: trajectories of one question in one pass, shared prefixes computed once"
    )


class OrmConfig(TrainConfig):
    """Outcome reward model: one score for a finished trajectory, read at its last token."""

    method: Literal["orm"] = "orm"
    learning_rate: float = Field(default=5e-5, gt=0.0, le=1.0)
    epochs: float = Field(default=2.0, gt=0.0, le=1000.0)
    lora: LoraSettings | None = LoraSettings(rank=32, alpha=64)
    layout: Literal["flat", "tree"] = Field(
        default="tree", description="tree: trajectories of one question in one pass, shared prefixes computed once"
    )


TrainingConfig = Annotated[SftConfig | DpoConfig | GrpoConfig | PrmConfig | OrmConfig, Field(discriminator="method")]

CLINIC: dict[str, TrainConfig] = {
    "sft": SftConfig(learning_rate=5e-4, epochs=3, batch_size=16, micro_batch_size=16, max_length=1024),
    "dpo": DpoConfig(learning_rate=1e-4, batch_size=16, micro_batch_size=16, max_length=1024),
    "grpo": GrpoConfig(
        learning_rate=5e-5, batch_size=64, micro_batch_size=32, max_length=1024, max_new_tokens=192, max_steps=20
    ),
    # A tiny backbone has to learn to check arithmetic: two epochs teach it nothing.
    "prm": PrmConfig(
        learning_rate=1e-3, epochs=12, batch_size=16, micro_batch_size=16, max_length=1024, warm_up_steps=20, lora=None
    ),
    "orm": OrmConfig(
        learning_rate=1e-3, epochs=12, batch_size=16, micro_batch_size=16, max_length=1024, warm_up_steps=20, lora=None
    ),
}
"""Full fine-tuning at rates that move 1.5 million parameters."""

PAPER: dict[str, TrainConfig] = {
    "sft": SftConfig(),
    "dpo": DpoConfig(lora=LoraSettings(rank=16, alpha=32)),
    "grpo": GrpoConfig(),
    "prm": PrmConfig(),
    "orm": OrmConfig(),
}

TRAINING_PRESETS: dict[str, dict[str, TrainConfig]] = {"paper": PAPER, "clinic": CLINIC}
"""By preset, then by method. A policy's meds3.json names its preset."""
