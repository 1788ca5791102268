"""What every training method takes and gives."""

from pathlib import Path

from pydantic import Field

from meds3core.errors import AppError, UserError
from meds3core.types.record import Record


class EmptyTrainingSet(UserError):
    """Nothing is left to train on; the message says why and which setting to change."""

    code = "empty-training-set"


class TrainingDiverged(AppError):
    """The loss became NaN or infinite; nothing was written over the last good checkpoint."""

    code = "training-diverged"


class StorageError(AppError):
    """A checkpoint or the model folder could not be written; the last whole checkpoint is untouched."""

    code = "storage"


class TrainingResult(Record):
    """A finished run. `model` is a whole model folder (adapters merged unless asked otherwise)."""

    model: Path
    steps: int
    examples: int
    left_out: int = Field(default=0, description="Examples longer than max_length")
    tokens: int = Field(description="Seen in all epochs, padding not counted")
    seconds: float
    final_loss: float = Field(description="Of the last step's batch; the curve stands in training.jsonl")
