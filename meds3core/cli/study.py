"""`meds3 sandbox study`: the figures of docs/results.md; Ctrl-C stops, the same command continues."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from meds3core.cli.progress import duration
from meds3core.cli.running import stopped_by_signals, talking_console
from meds3core.cli.settings import with_changes
from meds3core.cli.stage_options import Processes, Threads
from meds3core.errors import ConfigError
from meds3core.evolution.processes import shared_out
from meds3core.progress import CancelToken, ProgressSink
from meds3core.sandbox.bundled import policy_folder


def study(
    out: Annotated[Path, typer.Option(help="Folder of the study; an interrupted one in it is continued.")],
    page: Annotated[
        Path | None, typer.Option(help="The page; its figures go beside it. Else results.md in OUT.")
    ] = None,
    preset: Annotated[str, typer.Option(help="full: the protocol; smoke: everything once, in a minute.")] = "full",
    seeds: Annotated[int | None, typer.Option(min=1, help="Only so many of the seeds.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, e.g. grid_questions=1000."),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the stages; else in OUT.")] = None,
    processes: Processes = None,
    threads: Threads = None,
    plan_only: Annotated[bool, typer.Option("--plan", "--dry-run", help="Only show the parts and their time.")] = False,
) -> None:
    """Measure the whole loop on the clinic, over several seeds, and write the page of results."""
    from meds3core.cli.evolution_progress import GraphDisplay
    from meds3core.sandbox.study.config import STUDY_PRESETS
    from meds3core.sandbox.study.run import PartPlan, Places, Study

    console = talking_console()
    if preset not in STUDY_PRESETS:
        raise ConfigError(f"no preset {preset!r}; there are {', '.join(STUDY_PRESETS)}")
    config = with_changes(STUDY_PRESETS[preset], change or [])
    config = config.model_copy(update={"seeds": config.seeds[:seeds]})
    at_once, each = shared_out(processes, threads)
    places = Places(out=out, store=store or out / "stages", page=page or out / "results.md")
    job = Study(config, policy_folder(), places, parallel=at_once, threads=each)
    costs = job.costs()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("part", "stages", "time", "processor time"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for cost in costs:
        table.add_row(cost.title, str(cost.stages), duration(cost.wall), duration(cost.work))
    console.print(table)
    console.print(f"about {duration(sum(cost.wall for cost in costs))} with {at_once} at once")
    if plan_only:
        return

    @contextmanager
    def show(part: PartPlan) -> Iterator[ProgressSink]:
        console.print(f"{part.title} (about {duration(part.left)} left for the whole study)")
        with GraphDisplay(console, part.planned) as display:
            yield display

    cancel = CancelToken()
    with stopped_by_signals(cancel, insist=False):
        job.run(show, cancel)
    typer.echo(f"the page: {places.page}; with charts: {out / 'results.html'}")
