"""SFT, DPO, PRM, ORM and GRPO as jobs: what `meds3 train` does, with curves, checkpoints and a registered model."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from meds3core.config.jobs import DpoSpec, GrpoSpec, OrmSpec, PrmSpec, SftSpec
from meds3core.progress import ProgressEvent
from meds3core.training.base import TrainingResult
from meds3core.training.checkpoints import work_folder
from meds3core.training.events import CheckpointSaved, TrainingPreparing, TrainingStarted, TrainingStep, data_of
from meds3core.training.launch import launch
from meds3core.training.methods import TrainJob, run_job
from webapp.jobs import reports
from webapp.jobs.devices import CPU
from webapp.registry.models import ModelKind
from webapp.registry.services import model_register
from workers import inputs
from workers.context import JobContext
from workers.devices import device_wait
from workers.identity import devices
from workers.keeping import kept_folder
from workers.kinds.worth import labels_beside, labels_worth
from workers.patience import patiently

Spec = SftSpec | DpoSpec | PrmSpec | OrmSpec | GrpoSpec

KINDS: Mapping[str, ModelKind] = {"prm": ModelKind.PRM, "orm": ModelKind.ORM}
"""What a method makes; all others make policies."""

CHECKPOINT = "training"


def run(context: JobContext) -> Mapping[str, Any]:
    """Train, and put the model on the shelf; the result names it."""
    spec: Spec = context.spec
    with kept_folder(context, "training") as folder:
        start = inputs.policy(spec.policy, folder)
        if isinstance(spec, GrpoSpec):
            data = inputs.questions_file(spec.questions, folder)
        else:
            data = inputs.labels_folder(spec.labels)
        more = labels_beside(context, spec, data)
        name = spec.name or context.title
        out = folder / "out" / _folder_name(name)
        job = TrainJob(
            start=start, data=more.first, config=spec.training, out=out, beside=more.beside, people=more.people
        )
        reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Training")
        device_wait(context)
        sink, at_once = TrainingSink(context, job.out), sum(one["uuid"] != CPU for one in devices())
        if at_once > 1:
            trained = launch(job, at_once, sink=sink, cancel=context.cancel)
        else:
            trained = run_job(job, sink=sink, cancel=context.cancel)
        register = partial(
            model_register,
            job_id=context.job_id,
            attempt=context.attempt,
            kind=KINDS.get(spec.kind, ModelKind.POLICY),
            name=name,
            folder=trained.model,
            base_id=inputs.registered(spec.policy).id,
            provenance=labels_worth(context, spec, trained.model, more),
        )
        model = patiently(register, context.cancel)
    return {"model": str(model.pk)} | _figures(trained)


class TrainingSink:
    """Turns a training's typed events into progress, curves and recorded checkpoints."""

    def __init__(self, context: JobContext, out: Path) -> None:
        self._context = context
        self._work = work_folder(out)

    def emit(self, event: ProgressEvent) -> None:
        """Take one event."""
        reporter = self._context.reporter
        if step := data_of(event, TrainingStep):
            values = step.metrics | {
                "loss": step.loss,
                "learning rate": step.learning_rate,
                "tokens per second": step.tokens_per_second,
                "memory": float(step.memory_bytes),
            }
            if step.grad_norm is not None:
                values["gradient norm"] = step.grad_norm
            reporter.emit(ProgressEvent(kind="metrics", data={"step": event.done or 0, "values": values}))
        if saved := data_of(event, CheckpointSaved):
            record = partial(
                reports.checkpoint_record,
                job_id=self._context.job_id,
                attempt=self._context.attempt,
                name=CHECKPOINT,
                path=self._work / saved.name,
                label=f"step {event.done or 0:,}",
                told=True,
            )
            patiently(record, self._context.cancel)
        if (started := data_of(event, TrainingStarted)) and started.left_out:
            text = f"{started.left_out:,} of {started.examples + started.left_out:,} examples are too long, left out."
            reporter.emit(ProgressEvent(kind="warning", data={"text": text}))
        unit = "examples" if data_of(event, TrainingPreparing) else "steps"
        reporter.emit(ProgressEvent(kind="progress", done=event.done, total=event.total, data={"unit": unit}))


def _figures(trained: TrainingResult) -> dict[str, Any]:
    return {
        "steps": trained.steps,
        "examples": trained.examples,
        "left_out": trained.left_out,
        "tokens": trained.tokens,
        "final_loss": trained.final_loss,
        "seconds": round(trained.seconds, 1),
    }


def _folder_name(name: str) -> str:
    """The model's name as its folder has it: an engine that finds no other name shows this one."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "model"
