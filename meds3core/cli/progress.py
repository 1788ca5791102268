"""Long work in the terminal: a live line with rates and remaining time, or plain lines where no one watches live."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from meds3core.progress import ProgressEvent

PLAIN_EVERY_SECONDS = 15.0


class SearchDisplay:
    """Shows a search: trees/min, nodes, rollouts, tokens/s, solved, failures, remaining time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("trees"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=4,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("search", total=None, figures="")
        self._started = time.monotonic()
        self._said = self._started
        self._already = 0
        self.counts = {"nodes": 0, "rollouts": 0, "generated_tokens": 0, "solved": 0}
        self.failures = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def emit(self, event: ProgressEvent) -> None:
        """Take an event of `run_search`."""
        done, total = event.done or 0, event.total or 0
        if event.kind == "search-started":
            self._already = done
            self._started = time.monotonic()
            self._progress.update(self._task, completed=done, total=total)
            return
        for name in self.counts:
            self.counts[name] += int(event.data.get(name, 0))
        self.failures = int(event.data.get("failures", 0))
        figures = self.figures(done, total)
        self._progress.update(self._task, completed=done, figures=figures)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._said > PLAIN_EVERY_SECONDS or done == total):
            self._said = now
            self._console.print(f"{done}/{total} trees  {figures}", highlight=False)

    def figures(self, done: int, total: int) -> str:
        """The rates so far, of this call's own trees only."""
        elapsed = max(time.monotonic() - self._started, 1e-6)
        grown = max(done - self._already, 1)
        counts = self.counts
        parts = [
            f"{60 * grown / elapsed:.0f} trees/min",
            f"{counts['nodes']} nodes",
            f"{counts['rollouts']} rollouts",
            f"{counts['generated_tokens'] / elapsed:.0f} tokens/s",
            f"{100 * counts['solved'] / grown:.0f}% solved",
        ]
        if self.failures:
            parts.append(f"{self.failures} failed")
        remaining = elapsed / grown * (total - done)
        parts.append(f"{duration(remaining)} left" if done < total else f"done in {duration(elapsed)}")
        return "  ".join(parts)


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
