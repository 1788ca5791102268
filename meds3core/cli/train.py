"""`meds3 train`: policies and reward models from label sets; Ctrl-C saves and stops, the same command continues."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from meds3core.cli.asking import BUNDLED, named_policy
from meds3core.cli.running import stopped_by_signals, talking_console
from meds3core.cli.settings import with_changes
from meds3core.cli.training_progress import TrainingDisplay
from meds3core.config.labels import PeopleConfig
from meds3core.config.training import TRAINING_PRESETS, TrainConfig
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import Cancelled, ConfigError
from meds3core.progress import CancelToken
from meds3core.training.base import TrainingResult
from meds3core.training.launch import launch
from meds3core.training.methods import TrainJob, run_job


class Method(StrEnum):
    """What can be trained, and how."""

    sft = "sft"
    dpo = "dpo"
    prm = "prm"
    orm = "orm"
    grpo = "grpo"


class Preset(StrEnum):
    """Presets of the training settings; auto: the one that the start model names, else paper."""

    auto = "auto"
    paper = "paper"
    clinic = "clinic"


def train(
    method: Annotated[
        Method,
        typer.Argument(
            help="sft: imitate right trajectories; dpo: prefer one continuation to another; prm, orm: reward models; "
            "grpo: reinforce right answers."
        ),
    ],
    start: Annotated[str, typer.Option(help=f"Folder of the model to start from, or '{BUNDLED}' for the bundled one.")],
    out: Annotated[Path, typer.Option(help="Model folder to make; an interrupted run into it is continued.")],
    data: Annotated[Path | None, typer.Option(help="Label set (meds3 labels build); not for grpo.")] = None,
    questions: Annotated[Path | None, typer.Option(help="Question file, for grpo.")] = None,
    preset: Annotated[Preset, typer.Option(help="paper: the published values; auto: what the model names.")] = (
        Preset.auto
    ),
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, e.g. learning_rate=1e-5")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="One more label set to learn from together, of rollouts or of people (prm); again for more."),
    ] = None,
    people: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="How people's labels count beside rollouts', e.g. weight=8"),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that train together, each on its own GPU.")] = 1,
) -> None:
    """Train a policy or a reward model. Beside `out`, `<out>.work` keeps checkpoints until it is finished."""
    console = talking_console()
    wanted, other = (questions, data) if method is Method.grpo else (data, questions)
    if wanted is None or other is not None:
        raise ConfigError(f"{method.value} learns from {'--questions' if method is Method.grpo else '--data'} alone")
    folder = named_policy(start)
    config = settings_for(method, preset, folder, change or [])
    together = with_changes(PeopleConfig(held_out=0.0), people or [])
    more = {"beside": beside or (), "people": together.model_dump()}
    job = TrainJob.model_validate(
        {"start": folder.path, "data": wanted, "config": config.model_dump(), "out": out, **more}
    )
    console.print(f"{method.value} of {folder.name} into {out}; loading takes some seconds")
    display, cancel = TrainingDisplay(console), CancelToken()
    try:
        with stopped_by_signals(cancel), display:
            if processes > 1:
                result = launch(job, processes, sink=display, cancel=cancel)
            else:
                result = run_job(job, sink=display, cancel=cancel)
    except Cancelled as stop:
        console.print(str(stop))
        raise typer.Exit(stop.exit_code) from None
    _say(console, result)


def settings_for(method: Method, preset: Preset, start: PolicyFolder, changes: list[str]) -> TrainConfig:
    """The settings of a preset with `NAME=VALUE` changes; `auto` reads the preset's name from the model's card."""
    name = preset.value
    if preset is Preset.auto:
        card = start.path / "meds3.json"
        presets = json.loads(card.read_text(encoding="utf-8")).get("presets", {}) if card.exists() else {}
        name = str(presets.get("train", Preset.paper.value))
        if name not in TRAINING_PRESETS:
            raise ConfigError(f"{card} names the training preset {name!r}, which does not exist: give --preset")
    return with_changes(TRAINING_PRESETS[name][method.value], changes)


def _say(console: Console, result: TrainingResult) -> None:
    left = f", {result.left_out} left out as too long" if result.left_out else ""
    console.print(
        f"{result.steps} steps over {result.examples} examples{left}; {result.tokens:,} tokens; "
        f"final loss {result.final_loss:.4f}\nmodel in {result.model}"
    )
