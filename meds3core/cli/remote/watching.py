"""A job of a server in the terminal: what happens to it as lines, how far it is as one live line."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from meds3core.cli.progress import Display, duration
from meds3core.cli.remote.server import Server, Unreachable

WAIT_SECONDS = 25
PAUSES = (1.0, 2.0, 5.0, 10.0)
"""Between tries while the server does not answer; the last one for ever."""


class JobDisplay(Display):
    """The state of one job, from its rows and events."""

    def __init__(self, console: Console, title: str) -> None:
        super().__init__(
            console,
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeElapsedColumn(),
        )
        self._title = title
        self._task = self._progress.add_task(title, total=None, figures="")

    def show(self, job: dict[str, Any]) -> None:
        """How far it is."""
        stage = f" · {job['stage']}" if job["stage"] else ""
        figures = figures_of(job)
        self._progress.update(
            self._task,
            description=f"{self._title}{stage}",
            completed=job["done"],
            total=job["total"],
            figures=figures,
        )
        if job["total"] is not None:
            self._speak(f"{job['done']}/{job['total']} {job['unit']}{stage}  {figures}".rstrip())

    def tell(self, event: dict[str, Any]) -> None:
        """Something happened."""
        if event["text"] and event["kind"] != "progress":
            self._console.print(f"{event['at'][11:19]}  {event['text']}")

    def say(self, text: str) -> None:
        """A word of our own."""
        self._console.print(text, style="yellow")


def figures_of(job: dict[str, Any]) -> str:
    """Rate and remaining time, as far as they are known."""
    if job["state"] != "running":
        return str(job["state"])
    if not job["rate"]:
        return ""
    rate = f"{job['rate']:.3g} {job['unit']}/s".replace(" /", "/")
    if not job["total"] or job["total"] <= job["done"]:
        return rate
    return f"{rate}  {duration((job['total'] - job['done']) / job['rate'])} left"


def watch(server: Server, console: Console, path: str) -> dict[str, Any]:
    """Until the job has ended or is paused; gives it then. A server that goes away is waited for."""
    job: dict[str, Any] = server.get(path)
    after, misses = 0, 0
    with JobDisplay(console, job["title"]) as display:
        while True:
            try:
                job = server.get(path)
                display.show(job)
                page = server.get(f"{path}/events", patient=True, after=after, wait=_wait(job, after))
            except Unreachable as error:
                if misses == 0:
                    display.say(f"{error} The job goes on; trying again.")
                time.sleep(PAUSES[min(misses, len(PAUSES) - 1)])
                misses += 1
                continue
            misses = 0
            for event in page["items"]:
                display.tell(event)
            after = page["seq"]
            if page["next"] is None and _is_over(job) and after >= job["seq"]:
                return job


def _is_over(job: dict[str, Any]) -> bool:
    return bool(job["ended_for_good"]) or job["state"] == "paused"


def _wait(job: dict[str, Any], after: int) -> int:
    return 0 if _is_over(job) or after < job["seq"] else WAIT_SECONDS
