"""Runs a graph of stages: several processes at once, nothing done twice, nothing left running."""

import json
import os
import selectors
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meds3core.errors import AppError, Cancelled, UserError
from meds3core.evolution.estimate import estimate, longest_remaining
from meds3core.evolution.graph import External, Input, PlannedStage, Stage, plan
from meds3core.evolution.processes import Nursery, StageProcess, gpu_present, start_process
from meds3core.evolution.stage import DONE, FAILED, StageSpec
from meds3core.evolution.store import LOG, SPEC, finished_folder, read_record, work_folder
from meds3core.progress import CancelToken, NullSink, ProgressEvent, ProgressSink
from meds3core.types.record import Record

GRACE_SECONDS = 30.0
_LOOK_SECONDS = 0.05
_MOMENT_SECONDS, _MOMENT_SHARE = 10.0, 0.1


class StageResult(Record):
    """A finished stage. `seconds`: of the attempt that finished it, in whichever run that was."""

    name: str
    kind: str
    key: str
    folder: Path
    cached: bool
    seconds: float
    processor_seconds: float
    figures: dict[str, Any]


class StageRefused(UserError):
    """A stage found something that the user can mend; `code` is that error's."""


class StageFailed(AppError):
    """A stage failed; the message names it, its log and the reason."""

    code = "stage-failed"


@dataclass
class _Running:
    stage: PlannedStage
    process: StageProcess
    pipe: int
    log: Path
    buffer: bytes = b""
    failure: dict[str, Any] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)


def run_graph(
    stages: Sequence[Stage],
    store: Path,
    *,
    parallel: int = 1,
    threads: int = 1,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, StageResult]:
    """Run what is not done yet and return every stage's result by name.

    Up to `parallel` stages run at once, each in a process of its own with `threads` threads; of the stages that are
    ready, the one with the longest chain of work behind it goes first. Results do not depend on either number.
    Events of a stage reach `sink` with its name as `data["stage"]`.

    Raises `StageRefused` (user) or `StageFailed` after stopping the others, `Cancelled` when asked to stop, and what
    `plan` raises. Whatever happened, the same call continues.
    """
    return _Run(stages, store, parallel, threads, sink or NullSink(), cancel or CancelToken()).run()


class _Run:
    def __init__(
        self,
        stages: Sequence[Stage],
        store: Path,
        parallel: int,
        threads: int,
        sink: ProgressSink,
        cancel: CancelToken,
    ) -> None:
        self.store = store.absolute()
        self.planned = plan(stages)
        self.parallel, self.threads = parallel, threads
        self.sink, self.cancel = sink, cancel
        self.results: dict[str, StageResult] = {}
        self.running: dict[str, _Running] = {}
        self.selector = selectors.DefaultSelector()
        self.nursery: Nursery | None = None

    def run(self) -> dict[str, StageResult]:
        self._make_store()
        for entry in self.planned.values():
            self._look_up(entry, cached=True)
        self.expected = estimate(self.planned, set(self.results), self.store)
        self.priority = longest_remaining(self.planned, self.expected)
        self._announce(self.expected)
        try:
            self._open_nursery()
            while len(self.results) < len(self.planned):
                self._start_ready()
                self._listen()
                self._collect()
                if self.cancel.cancelled:
                    raise Cancelled("stopped; the same command continues")
        finally:
            self._stop_all()
            self.selector.close()
            if self.nursery is not None:
                self.nursery.close()
        return {name: self.results[name] for name in self.planned}

    def _open_nursery(self) -> None:
        """What all stages left to do need is imported once."""
        kinds = {entry.stage.kind for name, entry in self.planned.items() if name not in self.results}
        if kinds and not gpu_present():
            modules = {module for kind in kinds for module in (kind.implementation.partition(":")[0], *kind.imports)}
            self.nursery = Nursery(sorted(modules), self.threads)

    def _make_store(self) -> None:
        try:
            self.store.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.store}: cannot be made ({error.strerror})") from None

    def _look_up(self, entry: PlannedStage, *, cached: bool) -> bool:
        record = read_record(self.store, entry.folder, entry.key)
        if record is None:
            return False
        name = entry.stage.name
        self.results[name] = StageResult(
            name=name,
            kind=record.kind,
            key=record.key,
            folder=finished_folder(self.store, entry.folder),
            cached=cached,
            seconds=record.seconds,
            processor_seconds=record.processor_seconds,
            figures=record.figures,
        )
        return True

    def _announce(self, expected: Mapping[str, float]) -> None:
        rows = [
            {"stage": name, "kind": entry.stage.kind.name, "cached": name in self.results, "seconds": expected[name]}
            for name, entry in self.planned.items()
        ]
        data = {"stages": rows, "parallel": self.parallel}
        self.sink.emit(ProgressEvent(kind="graph-planned", done=len(self.results), total=len(rows), data=data))

    def _start_ready(self) -> None:
        if not self._can_start():
            return
        for name in sorted(self.planned, key=lambda name: (-self.priority[name], name)):
            if len(self.running) >= self.parallel:
                return
            entry = self.planned[name]
            if name in self.results or name in self.running:
                continue
            if any(one.stage.key == entry.key for one in self.running.values()):
                continue  # the same work under another name
            if (
                entry.stage.parents() <= self.results.keys()
                and not self._worth_waiting(name)
                and not self._look_up(entry, cached=True)
            ):
                self._start(entry)

    def _worth_waiting(self, name: str) -> bool:
        """Whether the last free place is better kept: more urgent stages will be ready in a moment, more of them than
        places that the stages before them then leave. Two searches that wait for their questions are such."""
        if not self.running or len(self.running) < self.parallel - 1:
            return False
        moment = min(_MOMENT_SECONDS, _MOMENT_SHARE * self.expected[name])
        ending = {one for one, running in self.running.items() if abs(self._left(one, running)) < moment}
        unfinished = {
            other: entry.stage.parents() - self.results.keys()
            for other, entry in self.planned.items()
            if other not in self.results and other not in self.running and self.priority[other] > self.priority[name]
        }
        soon = {other: parents for other, parents in unfinished.items() if parents and parents <= ending}
        return len(soon) > len({parent for parents in soon.values() for parent in parents})

    def _left(self, name: str, running: _Running) -> float:
        return self.expected[name] - (time.monotonic() - running.begun)

    def _can_start(self) -> bool:
        try:
            return self.nursery is None or self.nursery.ready
        except OSError as error:
            raise StageFailed(str(error)) from None

    def _start(self, entry: PlannedStage) -> None:
        work = work_folder(self.store, entry.folder)
        stage = entry.stage
        spec = StageSpec(
            name=stage.name,
            kind=stage.kind.name,
            version=stage.kind.version,
            key=entry.key,
            implementation=stage.kind.implementation,
            settings_type=f"{stage.kind.settings.__module__}:{stage.kind.settings.__qualname__}",
            settings=json.loads(stage.settings.model_dump_json()),
            units=stage.units,
            inputs={name: tuple(self._path(one) for one in stage.inputs_of(name)) for name in stage.inputs},
            input_keys=dict(entry.input_keys),
            store=self.store,
            folder=entry.folder,
        )
        try:
            work.mkdir(exist_ok=True)
            (work / SPEC).write_text(spec.model_dump_json(indent=2), encoding="utf-8")
            log = (work / LOG).open("ab")
        except OSError as error:
            raise UserError(f"{work}: cannot be written ({error.strerror})") from None
        reader, writer = os.pipe()
        try:
            process = self._start_process(entry, work / SPEC, log.fileno(), writer)
        except OSError as error:
            os.close(reader)
            raise StageFailed(f"stage {stage.name}: no process could be started ({error.strerror})") from None
        finally:
            os.close(writer)
            log.close()
        running = _Running(entry, process, reader, work / LOG)
        self.running[stage.name] = running
        os.set_blocking(reader, False)
        self.selector.register(reader, selectors.EVENT_READ, running)
        self.sink.emit(ProgressEvent(kind="stage-started", data={"stage": stage.name}))

    def _start_process(self, entry: PlannedStage, spec: Path, log: int, pipe: int) -> StageProcess:
        if self.nursery is not None:
            return self.nursery.start(spec, log, pipe)
        return start_process(spec, log, pipe, self.threads)

    def _path(self, entry: Input) -> Path:
        if isinstance(entry, External):
            return entry.path.absolute()
        return self.results[entry.stage].folder / entry.path

    def _listen(self) -> None:
        if not self.selector.get_map():
            waits = self.running or not self._can_start()
            time.sleep(_LOOK_SECONDS if waits else 0)
            return
        for key, _ in self.selector.select(timeout=_LOOK_SECONDS):
            self._read(key.data)

    def _read(self, running: _Running) -> None:
        try:
            while chunk := os.read(running.pipe, 1 << 16):
                running.buffer += chunk
        except BlockingIOError:
            pass
        else:
            self.selector.unregister(running.pipe)
            os.close(running.pipe)
            running.pipe = -1
        *lines, running.buffer = running.buffer.split(b"\n")
        for line in lines:
            self._forward(running, ProgressEvent.model_validate_json(line))

    def _forward(self, running: _Running, event: ProgressEvent) -> None:
        if event.kind == FAILED:
            running.failure = event.data
        elif event.kind != DONE:
            data = event.data | {"stage": running.stage.stage.name}
            self.sink.emit(event.model_copy(update={"data": data}))

    def _collect(self) -> None:
        for name, running in list(self.running.items()):
            code = running.process.poll()
            if code is None:
                continue
            if running.pipe >= 0:
                self._read(running)
            self._forget(running)
            _kill_group(running)  # what a stage may have started itself
            if code == 0 and self._look_up(running.stage, cached=False):
                result = self.results[name]
                data = {"stage": name, "seconds": result.seconds, "figures": result.figures}
                self.sink.emit(
                    ProgressEvent(kind="stage-finished", done=len(self.results), total=len(self.planned), data=data)
                )
                continue
            raise self._error(name, running, code)

    def _error(self, name: str, running: _Running, code: int) -> Exception:
        failure = running.failure
        kind = running.stage.stage.kind.name
        reason = str(failure.get("reason", "")) or _death(code)
        self.sink.emit(ProgressEvent(kind=FAILED, data={"stage": name, "reason": reason}))
        if failure.get("code") == Cancelled.code:
            return Cancelled(f"stage {name} was told to stop; the same command continues")
        if failure.get("user"):
            refused = StageRefused(f"stage {name} ({kind}): {reason}")
            refused.code = str(failure["code"])
            return refused
        return StageFailed(f"stage {name} ({kind}) failed: {reason}. Its log: {running.log}")

    def _forget(self, running: _Running) -> None:
        del self.running[running.stage.stage.name]
        if running.pipe >= 0:
            self.selector.unregister(running.pipe)
            os.close(running.pipe)
            running.pipe = -1

    def _stop_all(self) -> None:
        """Ask every running stage to stop, wait for its checkpoint, then insist."""
        for running in self.running.values():
            with suppress(ProcessLookupError):
                os.kill(running.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for running in list(self.running.values()):
            while running.process.poll() is None and time.monotonic() < deadline:
                if running.pipe >= 0:
                    self._read(running)  # a full pipe would keep it from stopping
                time.sleep(0.02)
            _kill_group(running)
            while running.process.poll() is None:
                time.sleep(0.02)
            self._forget(running)


def _kill_group(running: _Running) -> None:
    try:
        os.killpg(running.process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _death(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = "; perhaps the memory did not suffice" if -code == signal.SIGKILL else ""
    return f"its process was ended by {name}{hint}"
