"""A training in the terminal: a live line with loss, rate and remaining time, or plain lines where no one watches."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from meds3core.cli.progress import PLAIN_EVERY_SECONDS, duration
from meds3core.progress import ProgressEvent
from meds3core.training.events import TrainingStarted, TrainingStep, data_of


class TrainingDisplay:
    """Shows a training: loss, what the method adds, learning rate, tokens/s, memory, remaining time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("steps"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=4,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("train", total=None, figures="")
        self._first = (time.monotonic(), 0)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def emit(self, event: ProgressEvent) -> None:
        """Take an event of `run_training`."""
        done, total = event.done or 0, event.total or 0
        if event.kind == "training-preparing":
            self._progress.update(self._task, completed=done, total=total, figures="reference log-probabilities")
            return
        started, step = data_of(event, TrainingStarted), data_of(event, TrainingStep)
        if started is not None:
            self._first = (time.monotonic(), done)
            self._progress.update(self._task, completed=done, total=total)
            self._console.print(introduction(started, done, total))
        elif step is not None:
            figures = self.figures(step, done, total)
            self._progress.update(self._task, completed=done, figures=figures)
            now = time.monotonic()
            if not self._console.is_terminal and (now - self._said > PLAIN_EVERY_SECONDS or done == total):
                self._said = now
                self._console.print(f"{done}/{total} steps  {figures}", highlight=False)

    def figures(self, step: TrainingStep, done: int, total: int) -> str:
        """One line; the remaining time follows from the pace of this call alone."""
        parts = [f"loss {step.loss:.4f}", *(f"{name} {value:.3f}" for name, value in step.metrics.items())]
        parts += [f"rate {step.learning_rate:.1e}", f"{step.tokens_per_second:.0f} tokens/s"]
        parts.append(f"{step.memory_bytes / 1e9:.1f} GB")
        begun, first = self._first
        if done < total:
            remaining = (time.monotonic() - begun) / max(done - first, 1) * (total - done)
            parts.append(f"{duration(remaining)} left")
        else:
            parts.append(f"done in {duration(step.seconds)}")
        return "  ".join(parts)


def introduction(started: TrainingStarted, done: int, total: int) -> str:
    """What is about to run."""
    left = f" ({started.left_out} left out as too long)" if started.left_out else ""
    several = f" × {started.processes} processes" if started.processes > 1 else ""
    again = f", continued at step {done}" if done else ""
    return (
        f"{started.examples} examples{left}, {total} steps{again}; {started.trainable:,} of {started.parameters:,} "
        f"parameters trained on {started.device}{several}, {started.precision}"
    )
