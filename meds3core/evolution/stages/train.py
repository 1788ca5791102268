"""Stages that train: one kind per method, all alike."""

from typing import Any

from pydantic import Field

from meds3core.config.training import TrainConfig, TrainingConfig
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.evolution.store import StageRecord
from meds3core.training.methods import TRAINERS, TrainJob, run_job
from meds3core.types.record import Record


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
    method: StageKind(method, 1, TrainStage, f"{__name__}:run", (TRAINERS[method].partition(":")[0],), seconds)
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
    data = job.path("questions" if settings.training.method == "grpo" else "labels")
    wanted = TrainJob.model_validate({"start": start, "data": data, "config": config, "out": out})
    result = run_job(wanted, sink=job.sink, cancel=job.cancel)
    return result.model_dump(mode="json", exclude={"model", "seconds"})
