"""The engine's thread: admits requests, runs step after step, finishes rows.

One step is one forward pass over everything there is to do: a token for every decoding row, and stretches of prompts
that have just come in. So a request joins at the next step, a finished one leaves at once, and no step waits for
company. Equal prompts are computed once for all their requests.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meds3core.engines.memory import STEP_TOKENS
from meds3core.engines.rendering import PromptEncoder
from meds3core.engines.transformers.endings import Endings
from meds3core.engines.transformers.forward import Forward
from meds3core.engines.transformers.jobs import GenerateJob, Ids, Job, Outbox, ScoreJob
from meds3core.engines.transformers.model import PackedModel
from meds3core.engines.transformers.prefixes import PrefixCache
from meds3core.engines.transformers.reading import Chunk, Decoding, Reading
from meds3core.engines.transformers.rows import RowTable
from meds3core.engines.transformers.sampling import INVALID, draw, uniforms
from meds3core.engines.transformers.slots import Slots
from meds3core.errors import EngineError

_GATHER_SECONDS = 0.002
"""How long an idle engine waits for company after a first request."""

_ROOM_TOKENS = 96
"""Room for new tokens that a row gets at first."""


class Scheduler:
    """Owns the model's memory; everything but `submit`, `cancel` and `stop` runs in its one thread."""

    def __init__(
        self,
        model: PackedModel,
        encoder: PromptEncoder,
        eos_ids: frozenset[int],
        *,
        max_batch: int,
        context_length: int,
        solo: bool,
    ) -> None:
        self._model = model
        self._solo = solo
        self._max_jobs = 1 if solo else max_batch
        budget = model.cache_budget()
        self._token_budget = budget * 4 // 5 // model.shape.token_bytes
        self._prefixes = None if solo else PrefixCache(min(budget // 5, 1 << 30))
        self._rows = RowTable(self._max_jobs, context_length)
        self._slots = Slots(model.shape, context_length, budget)
        self._readings: dict[object, Reading] = {}
        """Prompts by their tokens, continuations by themselves."""
        self._waiting: deque[Job[Any]] = deque()
        self._admitted: set[Job[Any]] = set()
        self._admitted_tokens = 0
        self._forward = Forward(model, self._rows, self._slots)
        self._outbox = Outbox()
        self._endings = Endings(model, encoder, eos_ids, self._rows, self._outbox)
        self._inbox: deque[Job[Any]] = deque()
        self._cancelled: deque[Job[Any]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._broken: Exception | None = None
        self._thread = threading.Thread(target=self._main, name="meds3-transformers", daemon=True)
        self._thread.start()

    def submit(self, job: Job[Any]) -> None:
        """Hand in a job (any thread). Raises `EngineError` when the engine was closed or has failed."""
        self._inbox.append(job)
        self._wake.set()
        # Looked at after the job was handed in: what comes later than the last look into the inbox is refused here.
        if self._stopping:
            job.cancelled = True
            raise self._closed()

    def cancel(self, job: Job[Any]) -> None:
        """Nobody waits for this job any more (any thread); its slot is free before the next step."""
        job.cancelled = True
        self._cancelled.append(job)
        self._wake.set()

    def stop(self) -> None:
        """Fail what is pending and end the thread; returns when it has ended."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    @property
    def works(self) -> bool:
        """Whether it takes jobs: not after its thread failed or was stopped."""
        return not self._stopping

    @property
    def occupancy(self) -> tuple[int, int]:
        """(requests being worked on, requests waiting), for displays and tests."""
        return len(self._admitted), len(self._waiting) + len(self._inbox)

    # --- the thread -------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            with torch.inference_mode(), _deterministic(self._solo):
                while not self._stopping:
                    self._take_in()
                    if self._admitted:
                        self._step()
                        self._outbox.send()
        except Exception as error:  # Nobody may be left waiting, whatever went wrong.
            self._broken = error
        finally:
            self._stopping = True
            self._fail_all()

    def _take_in(self) -> None:
        if not self._admitted and not self._waiting and not self._inbox:
            self._wake.wait()
            if not self._solo and not self._stopping:
                time.sleep(_GATHER_SECONDS)
        self._wake.clear()
        while self._inbox:
            self._waiting.append(self._inbox.popleft())
        while self._cancelled:
            self._drop(self._cancelled.popleft())
        while self._waiting and len(self._admitted) < self._max_jobs:
            job = self._waiting[0]
            if job.cancelled:
                self._waiting.popleft()
                continue
            if job.tokens > self._token_budget:
                need = job.tokens * self._model.shape.token_bytes >> 20
                self._outbox.error(job, EngineError(f"the request needs {need} MiB of key-value memory: too much here"))
                self._waiting.popleft()
                self._outbox.send()
                continue
            if self._admitted_tokens + job.tokens > self._token_budget:
                break
            self._waiting.popleft()
            self._admitted.add(job)
            self._admitted_tokens += job.tokens
            self._begin(job)

    def _begin(self, job: Job[Any]) -> None:
        """Join the reading of the same prompt, or begin one."""
        key = job.ids.tobytes()
        reading = self._readings.get(key)
        cached = len(job.ids)
        if reading is None:
            found = self._prefixes.find(job.ids) if self._prefixes is not None else None
            reading = self._readings[key] = self._read(job.ids, found)
            cached = reading.done
        if isinstance(job, GenerateJob):
            job.cached = cached
            reading.generate.append(job)
        elif isinstance(job, ScoreJob):
            reading.score.append(job)

    def _read(self, ids: Ids, known: tuple[int, torch.Tensor] | None) -> Reading:
        """A new reading. `known`: how many of its first tokens are computed, and a block that holds them."""
        block = self._model.shape.block(len(ids))
        done = 0
        if known is not None:
            done = known[0]
            block[:, :, :, :done] = known[1][:, :, :, :done]
        return Reading(ids, block, done)

    def _keep_wanted(self) -> None:
        self._readings = {
            key: reading
            for key, reading in self._readings.items()
            if reading.done < len(reading.ids) and reading.wanted
        }

    def _drop(self, job: Job[Any]) -> None:
        if job not in self._admitted:
            return
        if isinstance(job, GenerateJob) and job.row is not None:
            self._free(job.row)
        self._keep_wanted()
        self._leave(job)

    def _leave(self, job: Job[Any]) -> None:
        if job in self._admitted:
            self._admitted.discard(job)
            self._admitted_tokens -= job.tokens

    def _free(self, row: int, *, poisoned: bool = False) -> None:
        if row in self._slots:
            self._slots.remove(row, self._rows.computed, poisoned=poisoned)
        self._rows.close(row)

    def _fail(self, job: Job[Any], error: Exception | None) -> None:
        reason = f"{type(error).__name__}: {str(error)[:300]}" if error else "the model gave no finite probabilities"
        if not job.cancelled:
            self._outbox.error(job, error if isinstance(error, EngineError) else EngineError.because(reason, error))
        self._leave(job)

    def _fail_all(self) -> None:
        for job in [*self._admitted, *self._waiting, *self._inbox]:
            self._fail(job, self._closed())
        self._outbox.send()
        self._waiting.clear()
        self._inbox.clear()
        self._readings.clear()
        self._prefixes = None
        self._slots.clear()

    def _closed(self) -> EngineError:
        words = f"the engine was closed after an error: {self._broken!r}" if self._broken else "the engine was closed"
        return EngineError.because(words, self._broken)

    # --- one step ---------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Forward, draw, finish."""
        decoding = self._decoding()
        chunks = self._chunks()
        if not decoding and not chunks:
            return
        logits = self._forward.logits(decoding, chunks)
        self._rows.computed[[unit.row for unit in decoding]] += 1
        rows = [unit.row for unit in decoding]
        sources = list(range(len(rows)))
        starters: list[tuple[Reading, list[int]]] = []
        at = len(rows)
        for chunk in chunks:
            reading = chunk.reading
            failure = self._forward.failures.pop(reading, None)
            if failure is not None:
                self._abandon(reading, failure)
            elif reading.continuation is not None:
                self._score_continuation(chunk, logits[at : at + chunk.logits])
            elif chunk.last:
                opened = [
                    self._rows.open(job, self._endings.stop_set(job)) for job in reading.generate if not job.cancelled
                ]
                rows += opened
                sources += [at] * len(opened)
                starters.append((reading, opened))
                for job in reading.score:
                    if not job.cancelled:
                        self._score_first(job, reading, logits[at])
                if self._prefixes is not None:
                    self._prefixes.add(reading.ids, reading.block)
            at += chunk.logits
            reading.done = chunk.stop
        self._keep_wanted()
        if rows:
            in_order = sources == list(range(len(rows)))
            chosen = logits[: len(rows)] if in_order else logits[self._forward.tensor(np.array(sources))]
            self._extend(np.array(rows), chosen)
        for reading, opened in starters:
            alive = [row for row in opened if self._rows.jobs[row] is not None]
            if alive:
                # Room at once for what most completions need; a row that writes more moves.
                room = min(_ROOM_TOKENS, int(self._rows.limit[alive].max()))
                with self._failing_alone(alive):
                    self._slots.add(alive, reading.block, room)

    def _decoding(self) -> list[Decoding]:
        units: list[Decoding] = []
        for shelf in self._slots.shelves:
            if shelf.rows:
                full = self._rows.computed[shelf.rows] >= shelf.capacity
                for row in np.array(shelf.rows)[full].tolist():
                    with self._failing_alone([row]):
                        self._slots.make_room(row, self._rows.computed)
                units += [Decoding(shelf, row) for row in shelf.rows]
        return units

    @contextmanager
    def _failing_alone(self, rows: list[int]) -> Iterator[None]:
        """Where memory for some rows cannot be had, they fail and the others go on."""
        try:
            yield
        except RuntimeError as error:
            for row in rows:
                job = self._rows.jobs[row]
                assert job is not None
                self._free(row)
                self._fail(job, error)

    def _chunks(self) -> list[Chunk]:
        left = STEP_TOKENS[self._model.device.type]  # so that long prompts do not hold up the decoding rows
        chunks = []
        for reading in self._readings.values():
            if not left:
                break
            stop = min(len(reading.ids), reading.done + left)
            left -= stop - reading.done
            chunks.append(Chunk(reading, stop))
        return chunks

    # --- after the forward pass -------------------------------------------------------------------------------------

    def _extend(self, rows: NDArray[np.int64], logits: torch.Tensor) -> None:
        """Draw a token for each row, and finish the rows that end with it."""
        table = self._rows
        tokens = self._draw(rows, logits)
        previous = table.last[rows]
        table.append(rows, tokens)
        invalid = tokens == INVALID
        ended = self._endings.closed(tokens) & ~invalid
        full = table.generated[rows] >= table.limit[rows]
        looked = self._endings.may_end(rows, previous, np.where(invalid, 0, tokens))
        for at in np.nonzero(invalid | ended | full | looked)[0].tolist():
            row = int(rows[at])
            job = table.jobs[row]
            assert job is not None
            if invalid[at]:
                self._free(row, poisoned=True)
                self._fail(job, self._forward.failures.pop(row, None))
            elif self._endings.look(row, job, ended=bool(ended[at]), full=bool(full[at])):
                self._free(row)
                self._leave(job)

    def _draw(self, rows: NDArray[np.int64], logits: torch.Tensor) -> NDArray[np.int64]:
        table, tensor = self._rows, self._forward.tensor
        temperature, top_p = table.temperature[rows], table.top_p[rows]
        if temperature.any():
            u = uniforms(table.seed[rows], table.generated[rows])
            cut = bool(((top_p < 1) & (temperature > 0)).any())
            drawn = draw(logits, tensor(temperature), tensor(top_p), tensor(u), any_cut=cut)
        else:
            drawn = torch.where(torch.isfinite(logits.amax(dim=-1)), logits.argmax(dim=-1), INVALID)
        tokens: NDArray[np.int64] = drawn.cpu().numpy()
        return tokens

    # --- likelihoods ------------------------------------------------------------------------------------------------

    def _score_first(self, job: ScoreJob, reading: Reading, logits: torch.Tensor) -> None:
        """The first token of every continuation, from the prompt's last logits; the others are read after a copy."""
        likelihood = torch.log_softmax(logits.float(), dim=-1)
        job.values = [float(likelihood[ids[0]]) if len(ids) else 0.0 for ids in job.continuations]
        for number, ids in enumerate(job.continuations):
            if len(ids) > 1:
                whole = np.concatenate([reading.ids, ids[:-1]])
                longer = self._read(whole, (len(reading.ids), reading.block))
                longer.continuation = job, number
                self._readings[longer] = longer
                job.pending += 1
        self._score_finish(job)

    def _score_continuation(self, chunk: Chunk, logits: torch.Tensor) -> None:
        reading = chunk.reading
        assert reading.continuation is not None
        job, number = reading.continuation
        # The logits at token i of the sequence speak of token i + 1.
        begin = reading.done - len(job.ids) + 1
        ids = job.continuations[number][begin : begin + chunk.logits]
        likelihood = torch.log_softmax(logits.float(), dim=-1)
        picked = likelihood.gather(1, self._forward.tensor(ids)[:, None])
        job.values[number] += float(picked.double().sum())
        if chunk.last:
            job.pending -= 1
            self._score_finish(job)

    def _score_finish(self, job: ScoreJob) -> None:
        if job.pending == 0 and job in self._admitted:
            if all(np.isfinite(job.values)):
                self._outbox.result(job, job.values)
                self._leave(job)
            else:
                self._fail(job, None)

    def _abandon(self, reading: Reading, error: Exception) -> None:
        """A reading failed: so do all who wait for it."""
        for job in reading.jobs:
            self._fail(job, error)
            job.cancelled = True


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    """Have torch choose deterministic algorithms where it has a choice (process-wide, as torch offers it)."""
    before, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    if wanted:
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        if wanted:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
