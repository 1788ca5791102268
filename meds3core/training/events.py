"""What a training run reports, typed; light, so that a terminal or a job row can read it without torch.

Every event is a `ProgressEvent` with one of these records as its data; `done` and `total` are optimiser steps.
"""

from typing import TypeVar

from pydantic import Field

from meds3core.progress import ProgressEvent
from meds3core.types.record import Record


class TrainingPreparing(Record):
    """Kind `training-preparing`: what comes before the first step and takes long; `done` and `total` count examples.

    `what`: `reference`, the start model's log-probabilities of the pairs (DPO).
    """

    what: str


class TrainingStarted(Record):
    """Kind `training-started`; `done` is the step of the checkpoint that is continued, 0 for a fresh run."""

    method: str
    device: str
    precision: str
    processes: int
    parameters: int
    trainable: int
    examples: int
    left_out: int
    tokens: int = Field(description="That the whole run will see, padding not counted; 0: not known beforehand")


class TrainingStep(Record):
    """Kind `training-step`, every `log_every` steps, after the first, at checkpoints and after the last two.

    `loss` is the mean since the last such event. `metrics` is what the method adds: `accuracy` (share of pairs
    ordered right) and `margin` (difference of the implicit rewards) for DPO, `reward` and `length` for GRPO.
    """

    loss: float
    learning_rate: float
    grad_norm: float | None = Field(default=None, description="Before clipping")
    tokens: int = Field(description="Seen so far, padding not counted")
    tokens_per_second: float
    seconds: float = Field(description="Of training so far, earlier calls included")
    memory_bytes: int = Field(description="Peak: of the device on a GPU, of the process on a CPU")
    metrics: dict[str, float] = Field(default_factory=dict)


class CheckpointSaved(Record):
    """Kind `checkpoint`: it is whole on disk. `name` is its folder's, inside the working folder."""

    name: str


class TrainingFinished(Record):
    """Kind `training-finished`: the model folder is in place."""

    final_loss: float
    tokens: int
    seconds: float


_KINDS: dict[type[Record], str] = {
    TrainingPreparing: "training-preparing",
    TrainingStarted: "training-started",
    TrainingStep: "training-step",
    CheckpointSaved: "checkpoint",
    TrainingFinished: "training-finished",
}

Data = TypeVar("Data", bound=Record)


def training_event(data: Record, done: int, total: int) -> ProgressEvent:
    """The event that carries this record."""
    return ProgressEvent(kind=_KINDS[type(data)], done=done, total=total, data=data.model_dump(mode="json"))


def data_of(event: ProgressEvent, record: type[Data]) -> Data | None:
    """The record of an event, or None when it is of another kind."""
    return record.model_validate(event.data) if event.kind == _KINDS[record] else None
