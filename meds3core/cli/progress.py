"""The frame of long work in the terminal: a live line with rates and remaining time, or plain lines now and then."""

import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

from meds3core.progress import ProgressEvent

PLAIN_EVERY_SECONDS = 15.0


class Display:
    """Live lines while the display is entered; where no one watches live, its owner prints a line when one is due."""

    def __init__(self, console: Console, *columns: ProgressColumn) -> None:
        self._console = console
        self._progress = Progress(*columns, console=console, refresh_per_second=4, disable=not console.is_terminal)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def _speak(self, line: str, *, last: bool = False) -> None:
        """Print a plain line, unless it is seen live or the last one is recent; the very last one in any case."""
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._said > PLAIN_EVERY_SECONDS or last):
            self._said = now
            self._console.print(line, highlight=False)


class LineDisplay(Display):
    """One line that counts units of work."""

    def __init__(self, console: Console, units: str) -> None:
        super().__init__(
            console,
            TextColumn(units),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
        )
        self._units = units
        self._task = self._progress.add_task(units, total=None, figures="")
        self._begun = time.monotonic()
        self._already = 0

    def _begin(self, done: int, total: int) -> None:
        """Rates count from here, without what is already done."""
        self._begun, self._already = time.monotonic(), done
        self._progress.update(self._task, completed=done, total=total)

    def _show(self, done: int, total: int, figures: str) -> None:
        self._progress.update(self._task, completed=done, figures=figures)
        self._speak(f"{done}/{total} {self._units}  {figures}", last=done == total)

    def _own(self, done: int) -> int:
        """Units of this call alone; at least 1."""
        return max(done - self._already, 1)

    def _elapsed(self) -> float:
        return max(time.monotonic() - self._begun, 1e-6)

    def _ending(self, done: int, total: int) -> str:
        """The remaining time by the pace of this call alone, or how long it took."""
        elapsed = self._elapsed()
        if done < total:
            return f"{duration(elapsed / self._own(done) * (total - done))} left"
        return f"done in {duration(elapsed)}"


class SummingDisplay(LineDisplay, ABC):
    """One line for work whose events say what each unit added to the counts."""

    def __init__(self, console: Console, units: str, *counts: str) -> None:
        super().__init__(console, units)
        self.counts = dict.fromkeys(counts, 0)
        self.failures = 0

    def emit(self, event: ProgressEvent) -> None:
        """Take an event."""
        done, total = event.done or 0, event.total or 0
        if event.kind.endswith("-started"):
            self._begin(done, total)
            return
        for name in self.counts:
            self.counts[name] += int(event.data.get(name, 0))
        self.failures = int(event.data.get("failures", 0))
        failed = [f"{self.failures} failed"] if self.failures else []
        self._show(done, total, "  ".join([*self.figures(done), *failed, self._ending(done, total)]))

    @abstractmethod
    def figures(self, done: int) -> list[str]:
        """The rates so far, of this call's own units only."""


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
