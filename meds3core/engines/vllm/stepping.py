"""One thread that owns a vLLM engine and steps it while there is work.

vLLM's synchronous engine is not safe to call from two threads, so everything that touches it happens here: it is
built, fed, stepped, relieved of cancelled requests and shut down by this thread. Callers hand in `Job`s from any
event loop; results go back with one wake-up of that loop a step, however many requests finished in it. The thread
waits without spinning when there is nothing to do and never while there is.
"""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from vllm import SamplingParams
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.exceptions import VLLMClientError
from vllm.inputs.engine import tokens_input
from vllm.lora.request import LoRARequest
from vllm.v1.engine.llm_engine import LLMEngine

from meds3core.errors import EngineError

Outcome = Any
"""A vLLM `RequestOutput`, or the `EngineError` that ends the request."""


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way through the thread. `receive` is called in `loop`, once for each output."""

    prompt: list[int]
    sampling: SamplingParams
    receive: Callable[[Outcome], None]
    loop: asyncio.AbstractEventLoop
    name: str = ""
    """Under which vLLM knows it; empty while it waits."""
    cancelled: bool = False


@dataclass(slots=True)
class _Inbox:
    submitted: list[Job] = field(default_factory=list)
    cancelled: list[Job] = field(default_factory=list)
    closing: bool = False


_live_engines = 0
_live_lock = threading.Lock()


class StepLoop:
    """The thread and its inbox; see the module's head."""

    def __init__(self, build: Callable[[], LLMEngine], adapter: LoRARequest | None = None) -> None:
        self._build = build
        self._adapter = adapter
        self._wake = threading.Condition()
        self._inbox = _Inbox()
        self._running: dict[str, Job] = {}
        self._count = 0
        self._failure: EngineError | None = None
        self._start_error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vllm-engine", daemon=True)

    def start(self) -> None:
        """Build the engine, waiting for it; raises what building it raised."""
        self._thread.start()
        self._ready.wait()
        if self._start_error is not None:
            self._thread.join()
            raise self._start_error

    @property
    def works(self) -> bool:
        """Whether it takes requests: not once it is closed or broken."""
        return self._failure is None

    @property
    def unfinished(self) -> int:
        """Requests that wait or hold a slot."""
        return len(self._inbox.submitted) + len(self._running)

    def submit(self, jobs: Iterable[Job]) -> None:
        """Hand in requests. Raises `EngineError` once the engine is closed or broken."""
        with self._wake:
            if self._failure is not None:
                raise EngineError.because(str(self._failure), self._failure)
            self._inbox.submitted.extend(jobs)
            self._wake.notify()

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Take requests out, wherever they are; those that are through are left alone."""
        with self._wake:
            for job in jobs:
                job.cancelled = True
                self._inbox.cancelled.append(job)
            self._wake.notify()

    def close(self) -> None:
        """Fail what is pending, shut the engine down, give its memory back; waits for that."""
        with self._wake:
            self._failure = self._failure or EngineError("The engine is closed.")
            self._inbox.closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        global _live_engines
        with _live_lock:
            _live_engines += 1
        engine: LLMEngine | None = None
        try:
            try:
                engine = self._build()
            except BaseException as error:
                self._start_error = error
                return
            finally:
                self._ready.set()
            self._serve(engine)
        finally:
            with _live_lock:
                _live_engines -= 1
                if engine is not None:
                    engine.engine_core.shutdown()
                    del engine
                gc.collect()
                # The distributed environment is one for the process: only the last engine may take it down.
                if _live_engines == 0:
                    cleanup_dist_env_and_memory()

    def _serve(self, engine: LLMEngine) -> None:
        while True:
            with self._wake:
                while not (self._running or self._inbox.submitted or self._inbox.closing):
                    self._inbox.cancelled.clear()
                    self._wake.wait()
                inbox, self._inbox = self._inbox, _Inbox()
            outcomes: list[tuple[Job, Outcome]] = []
            if inbox.closing:
                self._fail_all(inbox)
                return
            try:
                self._abort(engine, inbox.cancelled)
                self._add(engine, inbox.submitted, outcomes)
                if self._running:
                    outcomes += self._step(engine)
            except Exception as error:
                # vLLM's own state is unknown after this: nothing may be computed with it any more.
                with self._wake:
                    words = f"vLLM broke down ({type(error).__name__}); load the engine anew."
                    self._failure = EngineError.because(words, error)
                self._deliver(outcomes)
                self._fail_all(inbox)
                continue
            self._deliver(outcomes)

    def _add(self, engine: LLMEngine, jobs: list[Job], outcomes: list[tuple[Job, Outcome]]) -> None:
        for job in jobs:
            if job.cancelled:
                continue
            self._count += 1
            job.name = str(self._count)
            try:
                engine.add_request(job.name, tokens_input(job.prompt), job.sampling, lora_request=self._adapter)
            except (VLLMClientError, ValueError, TypeError) as error:
                # Refused before vLLM took it up: a fault of this request alone. The words may quote the request.
                outcomes.append((job, EngineError(f"vLLM refused the request ({type(error).__name__}).")))
                continue
            self._running[job.name] = job

    def _abort(self, engine: LLMEngine, jobs: list[Job]) -> None:
        held = [job.name for job in jobs if self._running.pop(job.name, None) is not None]
        if held:
            engine.abort_request(held)

    def _step(self, engine: LLMEngine) -> list[tuple[Job, Outcome]]:
        outcomes = []
        for output in engine.step():
            job = self._running.get(output.request_id)
            if job is None:
                continue
            if output.finished:
                del self._running[output.request_id]
            outcomes.append((job, output))
        return outcomes

    def _fail_all(self, inbox: _Inbox) -> None:
        jobs = [*self._running.values(), *inbox.submitted]
        self._running.clear()
        with self._wake:
            jobs += self._inbox.submitted
            self._inbox.submitted.clear()
        failure = self._failure
        self._deliver([(job, EngineError.because(str(failure), failure)) for job in jobs if not job.cancelled])

    def _deliver(self, outcomes: list[tuple[Job, Outcome]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Job, Outcome]]] = {}
        for job, outcome in outcomes:
            by_loop.setdefault(job.loop, []).append((job, outcome))
        for loop, batch in by_loop.items():
            try:
                loop.call_soon_threadsafe(_hand_over, batch)
            except RuntimeError:
                # That loop is closed: nobody waits there any more.
                self.cancel(job for job, _ in batch)


def _hand_over(batch: list[tuple[Job, Outcome]]) -> None:
    for job, outcome in batch:
        if not job.cancelled:
            job.receive(outcome)
