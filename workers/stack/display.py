"""The stack in the terminal: one line of services and one for each running job, or plain lines when they change."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from meds3core.cli.progress import duration
from webapp.jobs.models import Job
from workers.stack.supervision import Standing

SIGNS = {
    "RUNNING": ("●", "green"),
    "STARTING": ("◌", "yellow"),
    "STOPPING": ("◌", "yellow"),
    "BACKOFF": ("✗", "red"),
    "EXITED": ("✗", "red"),
    "FATAL": ("✗", "red"),
    "STOPPED": ("○", "bright_black"),
}
TROUBLE = {
    "BACKOFF": "has ended and is started again",
    "EXITED": "has ended",
    "FATAL": "does not start",
    "RUNNING": "runs again",
}
_BAR = 24


class StackDisplay:
    """Use as a context. With a terminal, lines stay at its bottom and are drawn again; else news are printed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._told: dict[str, str] = {}
        self._jobs: dict[str, str] = {}

    def __enter__(self) -> "StackDisplay":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(Text(line, style=style), soft_wrap=True)

    @property
    def is_live(self) -> bool:
        """Whether lines are drawn again in place."""
        return self._live is not None

    def draw(self, what: RenderableType) -> None:
        """Something that stays."""
        self._console.print(what)

    def show(self, standings: Sequence[Standing], jobs: Sequence[Job], more: Sequence[RenderableType] = ()) -> None:
        """How things are now."""
        if self._live:
            self._live.update(Group(services_line(standings), *(job_line(job) for job in jobs), *more), refresh=True)
            return
        for one in standings:
            was = self._told.get(one.name, "RUNNING")
            if one.state in TROUBLE and one.state != was:
                self._told[one.name] = one.state
                self.say(f"{one.name} {TROUBLE[one.state]}")
        present = {str(job.pk): f"{job.state} {job.stage}" for job in jobs}
        for job in jobs:
            if self._jobs.get(str(job.pk)) != present[str(job.pk)]:
                self.say(job_line(job).plain.strip())
        self._jobs = present


def services_line(standings: Sequence[Standing]) -> Text:
    """Every process with a sign of how it is."""
    line = Text()
    for one in standings:
        sign, style = SIGNS.get(one.state, ("?", "yellow"))
        line.append(f"{sign} ", style=style).append(f"{one.name}   ")
    return line


def job_line(job: Job) -> Text:
    """Kind, team, stage, how far, how fast, how long still. No title: it may be somebody's content."""
    line = Text(f"  {job.kind} of {job.team}")
    if job.stage:
        line.append(f"  {job.stage}")
    if job.total:
        line.append(f"  {bar(job.done, job.total)} {job.done:,}/{job.total:,} {job.unit}".rstrip())
        if job.rate and job.done < job.total:
            line.append(f"  {speed(job.rate)}  {duration((job.total - job.done) / job.rate)} left")
    if job.state != "running":
        line.append(f"  {job.get_state_display().lower()}", style="yellow")
    return line


def bar(done: int, total: int) -> str:
    """A bar of letters."""
    full = min(_BAR, _BAR * done // max(total, 1))
    return "━" * full + "╌" * (_BAR - full)


def speed(rate: float) -> str:
    """`3.2/s`, `14/min`."""
    return f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min"
