"""Which function trains which way, and one training as a record; light until it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from meds3core.config.labels import PeopleConfig
from meds3core.config.training import TrainingConfig
from meds3core.data.labels import read_card, read_labels
from meds3core.data.read import load_questions
from meds3core.errors import ConfigError
from meds3core.labels.people import Combined, PeopleSet, combine_labels, latest_labels, split_people
from meds3core.progress import CancelToken, ProgressSink
from meds3core.training.base import TrainingResult
from meds3core.types.labels import LabelledTrajectory
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
    """One training. `data`: a label set's folder, and `beside` those of more (prm alone); for GRPO a question file."""

    start: Path
    data: Path
    beside: tuple[Path, ...] = ()
    people: PeopleConfig = PeopleConfig()
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


@dataclass(frozen=True, slots=True)
class StepData:
    """What a process reward model learns from, and what of people's labels it must not see."""

    records: tuple[LabelledTrajectory, ...]
    held_out: tuple[LabelledTrajectory, ...]
    combined: Combined | None
    """None: rollouts or people alone."""
    people: tuple[LabelledTrajectory, ...] = ()
    """People's labels among what is learnt from."""
    by_chance: frozenset[str] = frozenset()
    """Names of judged steps that chance chose."""


def read_step_data(folders: Sequence[Path], people: PeopleConfig) -> StepData:
    """Several sets of step labels as one: rollouts' and people's (`meds3core.labels.people`); older ones come first.

    A share of what people judged is held out only where there is something else beside it: a set by people alone is
    learnt from whole. Raises a `UserError` for a set of another kind.
    """
    sets = [(read_card(folder), read_labels(folder)) for folder in folders]
    rollouts = [record for _, each in sets if not each.by_people for record in each.steps()]
    said = latest_labels(
        [PeopleSet(tuple(each.steps()), card.queues, each.config) for card, each in sets if each.by_people]
    )
    by_chance = frozenset[str]().union(*(each.by_chance for _, each in sets))
    if not said:
        return StepData(tuple(rollouts), (), None)
    split = split_people(said, people.held_out if rollouts else 0.0)
    combined = combine_labels(rollouts, split.training, people)
    return StepData(combined.trajectories, split.held_out, combined, split.training, by_chance)


def records_of(job: TrainJob) -> list[Any]:
    """What a training learns from."""
    if not job.beside:
        return read_data(job.config.method, job.data)
    if job.config.method != "prm":
        raise ConfigError(f"{job.config.method} learns from one label set; only prm learns from several together")
    return list(read_step_data((job.data, *job.beside), job.people).records)


def run_job(job: TrainJob, *, sink: ProgressSink | None = None, cancel: CancelToken | None = None) -> TrainingResult:
    """Train in this process, which may be one of several that were launched together."""
    records = records_of(job)
    module, _, name = TRAINERS[job.config.method].partition(":")
    train = getattr(import_module(module), name)
    result: TrainingResult = train(job.start, records, job.config, job.out, sink=sink, cancel=cancel)
    return result
