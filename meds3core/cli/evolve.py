"""`meds3 evolve`: the whole loop in one command; Ctrl-C stops, the same command continues."""

import json
from pathlib import Path
from typing import Annotated

import typer

from meds3core.cli.asking import BUNDLED, PolicyOption, named_policy
from meds3core.cli.evolution_progress import GraphDisplay, plan_table
from meds3core.cli.progress import duration
from meds3core.cli.running import stopped_by_signals, talking_console
from meds3core.cli.settings import with_changes
from meds3core.cli.stage_options import Processes, Threads
from meds3core.config.evolution import EVOLUTION_PRESETS, EvolutionConfig
from meds3core.errors import ConfigError
from meds3core.progress import CancelToken


def evolve(
    questions: Annotated[Path, typer.Option(help="Training questions: JSON, JSONL, CSV or Parquet, format detected.")],
    held_out: Annotated[Path, typer.Option(help="Questions that every model is measured on and none is trained on.")],
    out: Annotated[Path, typer.Option(help="Folder of the loop; an interrupted one in it is continued.")],
    policy: PolicyOption = BUNDLED,
    validation: Annotated[
        Path | None, typer.Option(help="Questions on which strategies and thresholds are chosen.")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Rounds of search and training; else the preset's.")
    ] = None,
    preset: Annotated[str, typer.Option(help="paper, clinic, or auto: what the policy's meds3.json names.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of search, training and sampling.")] = 0,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change a setting, e.g. search.max_nodes=32 or dpo_after=every."
        ),
    ] = None,
    processes: Processes = None,
    threads: Threads = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder of the stages, which several loops may share; else in OUT.")
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan", "--dry-run", help="Only show the stages and their time.")
    ] = False,
) -> None:
    """Search, train and measure, round after round, with a control beside it."""
    from meds3core.evolution.estimate import estimate, wall_time
    from meds3core.evolution.evolve import evolve as run
    from meds3core.evolution.graph import plan
    from meds3core.evolution.loop import EvolutionInputs, evolution_graph
    from meds3core.evolution.processes import shared_out
    from meds3core.evolution.store import read_record
    from meds3core.report.stages_page import stages_table

    console = talking_console()
    folder = named_policy(policy).path
    settings = evolution_settings(folder, preset, iterations, seed, change or [])
    inputs = EvolutionInputs(questions, folder, held_out, validation)
    at_once, each = shared_out(processes, threads)
    place = store or out / "stages"
    planned = plan(evolution_graph(settings, inputs).stages)
    finished = {name for name, one in planned.items() if read_record(place, one.folder, one.key) is not None}
    expected = estimate(planned, finished, place)
    left = duration(wall_time(planned, expected, at_once))
    if plan_only:
        console.print(plan_table(planned, finished, expected))
        console.print(f"{len(finished)} of {len(planned)} stages are done; about {left} with {at_once} at once")
        return
    console.print(f"{settings.iterations} iterations from {folder.name}; about {left}")
    cancel = CancelToken()
    with stopped_by_signals(cancel, insist=False), GraphDisplay(console, planned) as display:
        evolved = run(settings, inputs, out, store=place, parallel=at_once, threads=each, sink=display, cancel=cancel)
    console.print(stages_table(evolved.result.stages))
    for one in evolved.result.versus:
        console.print(f"{one.first} → {one.second}, greedy: {one.accuracy}")
    for name, selection in evolved.result.strategies.items():
        console.print(f"samples of {name}: {selection.chosen.label} {selection.test}")
    console.print(f"models and figures lie in {out}; the page: {evolved.page}")
    typer.echo(evolved.result.summary)


def evolution_settings(
    policy: Path, preset: str, iterations: int | None, seed: int, changes: list[str]
) -> EvolutionConfig:
    """The preset with its changes. Raises `ConfigError` for a preset that does not exist."""
    name = preset
    if preset == "auto":
        try:
            card = json.loads((policy / "meds3.json").read_text(encoding="utf-8"))
            name = str(card.get("presets", {}).get("train", "paper"))
        except (OSError, ValueError, AttributeError):
            name = "paper"
    if name not in EVOLUTION_PRESETS:
        raise ConfigError(f"no preset {name!r}; there are auto, {', '.join(EVOLUTION_PRESETS)}")
    own = {"seed": seed} | ({} if iterations is None else {"iterations": iterations})
    return with_changes(EVOLUTION_PRESETS[name].model_copy(update=own), changes)
