"""`meds3 sandbox judging`: does the loop of judging pay? Ctrl-C stops, the same command continues."""

from pathlib import Path
from typing import Annotated

import typer

from meds3core.cli.progress import duration
from meds3core.cli.running import stopped_by_signals, talking_console
from meds3core.cli.settings import with_changes
from meds3core.cli.stage_options import Processes, Threads
from meds3core.data.write import atomic_text
from meds3core.errors import ConfigError
from meds3core.evolution.processes import shared_out
from meds3core.progress import CancelToken
from meds3core.sandbox.bundled import policy_folder


def judging(
    out: Annotated[Path, typer.Option(help="Folder of the experiment; an interrupted one in it is continued.")],
    page: Annotated[Path | None, typer.Option(help="Markdown section to write; else judging.md in OUT.")] = None,
    preset: Annotated[str, typer.Option(help="full: three seeds; smoke: everything once, in a minute.")] = "full",
    seeds: Annotated[int | None, typer.Option(min=1, help="Only so many of the seeds.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, e.g. judgements=600, people.weight=4."),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the stages; else in OUT.")] = None,
    processes: Processes = None,
    threads: Threads = None,
    plan_only: Annotated[bool, typer.Option("--plan", "--dry-run", help="Only show the time that it takes.")] = False,
) -> None:
    """Judge steps chosen by priority and by chance, retrain the reward model, compare what each found out."""
    from meds3core.cli.evolution_progress import GraphDisplay
    from meds3core.sandbox.judging.config import JUDGING_PRESETS
    from meds3core.sandbox.judging.page import judging_section, verdict_words
    from meds3core.sandbox.judging.run import Judging

    console = talking_console()
    if preset not in JUDGING_PRESETS:
        raise ConfigError(f"no preset {preset!r}; there are {', '.join(JUDGING_PRESETS)}")
    config = with_changes(JUDGING_PRESETS[preset], change or [])
    config = config.model_copy(update={"seeds": config.seeds[:seeds]})
    at_once, each = shared_out(processes, threads)
    job = Judging(
        config,
        policy_folder(),
        out,
        store=store,
        parallel=at_once,
        threads=each,
    )
    console.print(f"{len(job.stages)} stages, about {duration(job.seconds_left())} with {at_once} at once")
    if plan_only:
        return
    cancel = CancelToken()
    with stopped_by_signals(cancel, insist=False), GraphDisplay(console, job.plan()) as display:
        result = job.run(display, cancel)
    place = page or out / "judging.md"
    with atomic_text(place) as file:
        file.write(judging_section(result))
    console.print(verdict_words(result))
    typer.echo(f"the section: {place}; all figures: {out / 'judging.json'}")
