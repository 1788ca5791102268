"""A training in the terminal: loss, rate and remaining time."""

from rich.console import Console

from meds3core.cli.progress import LineDisplay, duration
from meds3core.progress import ProgressEvent
from meds3core.training.events import TrainingStarted, TrainingStep, data_of


class TrainingDisplay(LineDisplay):
    """Shows a training: loss, what the method adds, learning rate, tokens/s, memory, remaining time."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, "steps")

    def emit(self, event: ProgressEvent) -> None:
        """Take an event of `run_training`."""
        done, total = event.done or 0, event.total or 0
        if event.kind == "training-preparing":
            self._progress.update(self._task, completed=done, total=total, figures="reference log-probabilities")
            return
        started, step = data_of(event, TrainingStarted), data_of(event, TrainingStep)
        if started is not None:
            self._begin(done, total)
            self._console.print(introduction(started, done, total))
        elif step is not None:
            self._show(done, total, self.figures(step, done, total))

    def figures(self, step: TrainingStep, done: int, total: int) -> str:
        """One line; the remaining time follows from the pace of this call alone, the final one counts all calls."""
        parts = [f"loss {step.loss:.4f}", *(f"{name} {value:.3f}" for name, value in step.metrics.items())]
        parts += [f"rate {step.learning_rate:.1e}", f"{step.tokens_per_second:.0f} tokens/s"]
        parts.append(f"{step.memory_bytes / 1e9:.1f} GB")
        parts.append(self._ending(done, total) if done < total else f"done in {duration(step.seconds)}")
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
