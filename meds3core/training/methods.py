"""Which function trains which way, and one training as a record; light until it runs."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from meds3core.config.training import TrainingConfig
from meds3core.data.labels import read_labels
from meds3core.data.read import load_questions
from meds3core.progress import CancelToken, ProgressSink
from meds3core.training.base import TrainingResult
from meds3core.types.record import Record

TRAINERS = {
    "sft": "meds3core.training.sft:train_sft",
    "dpo": "meds3core.training.dpo:train_dpo",
    "prm": "meds3core.training.prm:train_prm",
    "orm": "meds3core.training.orm:train_orm",
    "grpo": "meds3core.training.grpo:train_grpo",
}
"""Imported when used: they bring torch."""


class TrainJob(Record):
    """One training. `data`: a label set's folder; for GRPO a question file."""

    start: Path
    data: Path
    config: TrainingConfig
    out: Path


def read_data(method: str, data: Path) -> list[Any]:
    """What a method learns from, read from a label set's folder or, for GRPO, a question file.

    Raises a `UserError` for a set of another kind.
    """
    if method == "grpo":
        return list(load_questions(data).questions)
    labels = read_labels(data)
    readers: dict[str, Callable[[], Sequence[Any]]] = {
        "sft": labels.sft,
        "dpo": labels.pairs,
        "prm": labels.steps,
        "orm": labels.steps,
    }
    return list(readers[method]())


def run_job(job: TrainJob, *, sink: ProgressSink | None = None, cancel: CancelToken | None = None) -> TrainingResult:
    """Train in this process, which may be one of several that were launched together."""
    records = read_data(job.config.method, job.data)
    module, _, name = TRAINERS[job.config.method].partition(":")
    train = getattr(import_module(module), name)
    result: TrainingResult = train(job.start, records, job.config, job.out, sink=sink, cancel=cancel)
    return result
