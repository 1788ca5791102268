"""Sampling, scoring and answering in the terminal: a live line with rates and remaining time, or plain lines."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from meds3core.cli.progress import PLAIN_EVERY_SECONDS, duration
from meds3core.progress import ProgressEvent


class ResultsDisplay:
    """Shows work on a set of questions: questions done, tokens/s, share of right answers, failures, remaining time.

    Takes the events of `decoding.filling` and `decoding.scores`.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("questions"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=4,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("questions", total=None, figures="")
        self._started = self._said = time.monotonic()
        self._already = 0
        self.counts = {"generated_tokens": 0, "scored_tokens": 0, "samples": 0, "right": 0}
        self.failures = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def emit(self, event: ProgressEvent) -> None:
        """Take an event."""
        done, total = event.done or 0, event.total or 0
        if event.kind.endswith("-started"):
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
            self._console.print(f"{done}/{total} questions  {figures}", highlight=False)

    def figures(self, done: int, total: int) -> str:
        """The rates so far, of this call's own questions only."""
        elapsed = max(time.monotonic() - self._started, 1e-6)
        mine = max(done - self._already, 1)
        counts = self.counts
        parts = []
        if counts["generated_tokens"]:
            parts.append(f"{counts['generated_tokens'] / elapsed:.0f} tokens/s")
        if counts["scored_tokens"]:
            parts.append(f"{counts['scored_tokens'] / elapsed:.0f} scored tokens/s")
        if counts["right"]:
            parts.append(f"{100 * counts['right'] / max(counts['samples'], mine):.0f}% right")
        if self.failures:
            parts.append(f"{self.failures} failed")
        parts.append(
            f"{duration(elapsed / mine * (total - done))} left" if done < total else f"done in {duration(elapsed)}"
        )
        return "  ".join(parts)
