"""A job's ProgressSink: what `meds3core` emits becomes progress, events and metrics, written by a thread of its own.

`emit` only notes; it neither waits for the database nor raises. When the job has gone on without this attempt, the
work is asked to stop.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from meds3core.progress import CancelToken, ProgressEvent
from webapp.jobs import reports
from webapp.jobs.transitions import StaleAttempt

WRITE_SECONDS = 0.5
METRIC_SECONDS = 2.0

Points = dict[str, tuple[list[int], list[float]]]


class Reporter:
    """Use as a context: leaving it writes what is still noted."""

    def __init__(self, job_id: UUID, attempt: int, cancel: CancelToken, *, unit: str = "") -> None:
        self.stale = False
        self._who = {"job_id": job_id, "attempt": attempt}
        self._cancel = cancel
        self._unit = unit
        self._lock = threading.Lock()
        self._progress: ProgressEvent | None = None
        self._first: tuple[float, int] | None = None
        self._stages: list[str] = []
        self._warnings: list[str] = []
        self._points: Points = {}
        self._metrics_written = time.monotonic()
        self._due: list[Callable[[], None]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="reporter", daemon=True)

    def __enter__(self) -> "Reporter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def emit(self, event: ProgressEvent) -> None:
        """Note an event. `warning` has a `text`; `metrics` a `step` and `values` by name; any may have a `unit`.

        `stage` has a `name`: the job's next part, whose progress begins anew. For work in an event loop, which must
        not wait for the database; others say `reports.stage_begin`.
        """
        with self._lock:
            if event.kind == "stage":
                self._stages.append(str(event.data["name"]))
                self._progress = self._first = None
            self._unit = str(event.data.get("unit", self._unit))
            if event.done is not None:
                self._progress = event
                if self._first is None:
                    self._first = (time.monotonic(), event.done)
            if event.kind == "warning":
                self._warnings.append(str(event.data.get("text", "")))
            if event.kind == "metrics":
                for name, value in event.data["values"].items():
                    steps, values = self._points.setdefault(name, ([], []))
                    steps.append(int(event.data["step"]))
                    values.append(float(value))

    def _write_on(self) -> None:
        try:
            while not self._over.wait(WRITE_SECONDS):
                self._write(last=False)
            self._write(last=True)
        finally:
            connection.close()

    def _write(self, *, last: bool) -> None:
        with self._lock:
            progress, self._progress = self._progress, None
            unit = self._unit
            # Now: the job's next part, which begins at any moment, forgets where the present one began.
            rate = self._rate(progress.done) if progress is not None and progress.done is not None else None
            stages, self._stages = self._stages, []
            warnings, self._warnings = self._warnings, []
            points: Points = {}
            if last or time.monotonic() - self._metrics_written >= METRIC_SECONDS or self._many():
                points, self._points = self._points, {}
                self._metrics_written = time.monotonic()
        self._due += [partial(reports.stage_begin, **self._who, name=name) for name in stages]
        if progress is not None and progress.done is not None:
            self._due.append(
                partial(
                    reports.progress_write,
                    **self._who,
                    done=progress.done,
                    total=progress.total,
                    unit=unit,
                    rate=rate,
                )
            )
        self._due += [partial(reports.warning_write, **self._who, text=text) for text in warnings]
        self._due += [
            partial(reports.metrics_append, **self._who, name=name, steps=steps, values=values)
            for name, (steps, values) in points.items()
        ]
        self._write_due()

    def _write_due(self) -> None:
        while self._due:
            try:
                self._due[0]()
            except StaleAttempt:
                self._due.clear()
                self.stale = True
                self._cancel.cancel()
                return
            except (OperationalError, InterfaceError):
                # It comes next time. The supervisor decides how long the job may go on without the database.
                connection.close()
                return
            except DatabaseError:
                connection.close()  # what no database takes holds nothing else up
            self._due.pop(0)

    def _many(self) -> bool:
        return any(len(steps) >= reports.METRIC_POINTS for steps, _ in self._points.values())

    def _rate(self, done: int) -> float | None:
        assert self._first is not None
        began, from_done = self._first
        seconds = time.monotonic() - began
        return (done - from_done) / seconds if seconds > 0.5 and done > from_done else None
