"""Stages that train: one kind per method, all alike."""

from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import Field

from meds3core.config.training import TrainConfig, TrainingConfig
from meds3core.data.labels import read_labels
from meds3core.data.read import load_questions
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.evolution.store import StageRecord
from meds3core.training.base import TrainingResult
from meds3core.types.record import Record

_TRAINERS = {
    "sft": "meds3core.training.sft:train_sft",
    "dpo": "meds3core.training.dpo:train_dpo",
    "prm": "meds3core.training.prm:train_prm",
    "orm": "meds3core.training.orm:train_orm",
    "grpo": "meds3core.training.grpo:train_grpo",
}
"""Heavy, so imported when a stage runs."""


class TrainStage(Record):
    """Inputs: `start`, a model folder; `labels`, a label set, or `questions`, a file (GRPO).

    `steps_of`, another training's `stage.json`: as many optimiser steps as that one took. Makes a model folder named
    after the model.
    """

    training: TrainingConfig
    model: str = Field(
        default="model", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Its name, and its folder's"
    )


TRAIN = {
    method: StageKind(method, 1, TrainStage, f"{__name__}:run", (_TRAINERS[method].partition(":")[0],), seconds)
    for method, seconds in {"sft": 0.02, "dpo": 0.09, "prm": 0.007, "orm": 0.007, "grpo": 5.0}.items()
}
"""By method."""


def run(settings: TrainStage, job: StageJob) -> dict[str, Any]:
    """Train, or continue to."""
    config: TrainConfig = settings.training
    for path in job.paths("steps_of"):
        record = StageRecord.model_validate_json(path.read_bytes())
        config = config.model_copy(update={"max_steps": int(record.figures["steps"])})
    start, out = job.path("start"), job.folder / settings.model
    result = _train(config, start, job, out)
    figures = result.model_dump(mode="json", exclude={"model", "seconds"})
    return figures


def _train(config: Any, start: Path, job: StageJob, out: Path) -> TrainingResult:
    module, _, name = _TRAINERS[config.method].partition(":")
    train = getattr(import_module(module), name)
    examples: Any
    if config.method == "grpo":
        examples = load_questions(job.path("questions")).questions
    else:
        labels = read_labels(job.path("labels"))
        examples = {"sft": labels.sft, "dpo": labels.pairs, "prm": labels.steps, "orm": labels.steps}[config.method]()
    result: TrainingResult = train(start, examples, config, out, sink=job.sink, cancel=job.cancel)
    return result
