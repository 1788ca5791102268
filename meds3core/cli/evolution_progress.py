"""A graph of stages in the terminal: what runs, how far it is, and when everything will be done."""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from meds3core.cli.progress import Display, duration
from meds3core.evolution.estimate import wall_time
from meds3core.evolution.graph import PlannedStage
from meds3core.progress import ProgressEvent

_WIDTH = 24


class GraphDisplay(Display):
    """One live line for each running stage and one for the whole; a line that stays for each finished one.

    Takes the events of `run_graph`. Remaining time: of a running stage from its own pace once it has one, of a waiting
    one from what was expected, both put through the schedule.
    """

    def __init__(self, console: Console, planned: Mapping[str, PlannedStage]) -> None:
        super().__init__(
            console,
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        self._planned = planned
        self._all = self._progress.add_task("all stages".ljust(_WIDTH), total=len(planned), figures="")
        self._tasks: dict[str, TaskID] = {}
        self._expected: dict[str, float] = {}
        self._parallel = 1
        self._begun: dict[str, float] = {}
        self._pace: dict[str, tuple[float, int]] = {}
        self._last: dict[str, tuple[int, int]] = {}
        self._finished = 0

    def emit(self, event: ProgressEvent) -> None:
        """Take an event."""
        match event.kind:
            case "graph-planned":
                self._plan(event)
            case "stage-started":
                self._start(event.data["stage"])
            case "stage-finished":
                self._finish(event)
            case "stage-failed":
                self._console.print(f"{event.data['stage']} failed")
            case _:
                self._advance(event)
        figures = f"about {duration(self.remaining())} left" if self._finished < len(self._planned) else ""
        self._progress.update(self._all, completed=self._finished, figures=figures)
        if self._begun:
            self._speak(self._running(figures))

    def remaining(self) -> float:
        """Seconds until everything is done."""
        return wall_time(self._planned, {name: self._left(name) for name in self._planned}, self._parallel)

    def _left(self, name: str) -> float:
        if name not in self._begun:
            return self._expected.get(name, 0.0)
        now = time.monotonic()
        if name in self._pace and name in self._last:
            (since, first), (done, total) = self._pace[name], self._last[name]
            if done > first:
                return (now - since) / (done - first) * (total - done)
        return max(0.0, self._expected.get(name, 0.0) - (now - self._begun[name]))

    def _plan(self, event: ProgressEvent) -> None:
        self._expected = {row["stage"]: row["seconds"] for row in event.data["stages"]}
        self._parallel = event.data["parallel"]
        self._finished = event.done or 0
        cached = f", {self._finished} of them done before" if self._finished else ""
        self._console.print(f"{len(self._planned)} stages{cached}; {self._parallel} at once")

    def _start(self, name: str) -> None:
        self._begun[name] = time.monotonic()
        self._tasks[name] = self._progress.add_task(name.ljust(_WIDTH), total=None, figures="")

    def _finish(self, event: ProgressEvent) -> None:
        name, data = event.data["stage"], event.data
        self._finished = event.done or self._finished
        self._expected[name] = 0.0
        self._begun.pop(name, None)
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
        kind = self._planned[name].stage.kind.name
        self._console.print(
            f"{name:{_WIDTH}} {duration(data['seconds']):>12}   {brief(kind, data['figures'])}".rstrip()
        )

    def _advance(self, event: ProgressEvent) -> None:
        name = event.data.get("stage")
        if name not in self._begun or event.done is None or not event.total:
            return
        if name not in self._pace or event.done < self._pace[name][1]:
            self._pace[name] = (time.monotonic(), event.done)
        self._last[name] = (event.done, event.total)
        self._progress.update(self._tasks[name], completed=event.done, total=event.total)

    def _running(self, figures: str) -> str:
        running = [
            f"{name} {self._last[name][0]}/{self._last[name][1]}" if name in self._last else name
            for name in self._begun
        ]
        return f"{self._finished}/{len(self._planned)} stages; {', '.join(running)}; {figures}"


def brief(kind: str, figures: Mapping[str, Any]) -> str:
    """What came out of a stage, in a few words."""
    match kind:
        case "search" | "merge":
            solved = figures["solved"] / max(figures["trees"], 1)
            size = f"{figures['nodes']} nodes, {figures['rollouts']} rollouts"
            return f"{figures['trees']} trees, {solved:.0%} solved, {size}"
        case "sample":
            return f"{figures['samples']} answers, {figures['right'] / max(figures['samples'], 1):.1%} right"
        case "labels":
            return f"{figures['kept']} records of {figures['questions']} questions"
        case "control":
            return f"{figures['kept']} trajectories, {figures['right'] / max(figures['kept'], 1):.1%} right"
        case "curriculum":
            return f"{figures['questions']} questions, {figures['fresh']} of them new"
        case "sft" | "dpo" | "prm" | "orm" | "grpo":
            return f"{figures['steps']} steps on {figures['examples']} examples, loss {figures['final_loss']:.4f}"
        case "score-trees":
            return f"{figures['nodes']} steps of {figures['trees']} trees scored"
        case "evaluate":
            known = {"greedy": "greedy", "sound": "every step right", "chosen": figures.get("strategy", "")}
            return ", ".join(f"{word} {figures[name]}" for name, word in known.items() if name in figures)
    return ""


def plan_table(planned: Mapping[str, PlannedStage], finished: set[str], expected: Mapping[str, float]) -> Table:
    """The stages, which of them are done, and how long the others will take."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "kind", "after", "time"):
        table.add_column(name, justify="right" if name == "time" else "left", overflow="fold")
    for name, entry in planned.items():
        time_left = "done" if name in finished else duration(expected[name])
        table.add_row(name, entry.stage.kind.name, ", ".join(sorted(entry.stage.parents())), time_left)
    return table
