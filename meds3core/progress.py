"""How long work reports itself, without knowing who listens (a terminal, a job row, nobody)."""

from typing import Any, Protocol

from pydantic import Field

from meds3core.types.record import Record


class ProgressEvent(Record):
    """One report. `kind` names the event, `data` holds plain JSON values only."""

    kind: str
    done: int | None = None
    total: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class ProgressSink(Protocol):
    """Takes events; must be quick and must not raise."""

    def emit(self, event: ProgressEvent) -> None:
        """Take one event."""


class NullSink:
    """A sink that forgets."""

    def emit(self, event: ProgressEvent) -> None:
        """Do nothing."""


class CancelToken:
    """Asked between units of work whether to stop. Set from a signal handler or another thread."""

    def __init__(self) -> None:
        self._cancelled = False

    def cancel(self) -> None:
        """Ask the work to stop at the next safe point."""
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to stop."""
        return self._cancelled
