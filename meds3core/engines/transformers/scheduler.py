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
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meds3core.engines.base import Completion, Delta, FinishReason
from meds3core.engines.rendering import PromptEncoder
from meds3core.engines.stopping import StopIndex, first_stop, shown_length, token_texts
from meds3core.engines.transformers.attention import Rows, Step, Stretch, reach
from meds3core.engines.transformers.jobs import GenerateJob, Ids, Job, Outbox, ScoreJob
from meds3core.engines.transformers.model import PackedModel
from meds3core.engines.transformers.prefixes import PrefixCache
from meds3core.engines.transformers.rows import NOT_STREAMING, RowTable
from meds3core.engines.transformers.sampling import INVALID, draw, uniforms
from meds3core.engines.transformers.slots import Shelf, Slots
from meds3core.errors import EngineError

_GATHER_SECONDS = 0.002
"""How long an idle engine waits for company after a first request."""

_ROOM_TOKENS = 96

_STRETCH_TOKENS = {"cpu": 1024, "cuda": 8192}
"""Prompt tokens computed in one step at most, so that long prompts do not hold up the decoding rows."""


@dataclass(eq=False, slots=True)
class Reading:
    """A token sequence whose keys and values are being computed, and who waits for it."""

    ids: Ids
    block: torch.Tensor
    done: int
    generate: list[GenerateJob] = field(default_factory=list)
    score: list[ScoreJob] = field(default_factory=list)
    continuation: tuple[ScoreJob, int] | None = None
    """Set where the tokens after the prompt are one continuation of a score job (all but its last)."""

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        jobs: list[Job[Any]] = [*self.generate, *self.score]
        if self.continuation is not None:
            jobs.append(self.continuation[0])
        return any(not job.cancelled for job in jobs)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The part of a reading that one step computes."""

    reading: Reading
    stop: int
    """Tokens of the reading that are computed afterwards."""

    @property
    def last(self) -> bool:
        """Whether the reading ends with it."""
        return self.stop == len(self.reading.ids)

    @property
    def logits(self) -> int:
        """Rows of logits that it yields: every token of a continuation, else the last token of a prompt."""
        if self.reading.continuation is not None:
            return self.stop - self.reading.done
        return int(self.last)


@dataclass(frozen=True, slots=True)
class Decoding:
    """One decoding row in a step."""

    shelf: Shelf
    row: int


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
        self._encoder = encoder
        self._solo = solo
        self._max_jobs = 1 if solo else max_batch
        self._is_eos = np.zeros(model.vocabulary, dtype=bool)
        self._is_eos[[token for token in eos_ids if token < model.vocabulary]] = True
        budget = model.cache_budget()
        self._token_budget = budget * 4 // 5 // model.shape.token_bytes
        self._prefixes = None if solo else PrefixCache(min(budget // 5, 1 << 30))
        self._rows = RowTable(self._max_jobs, context_length)
        self._slots = Slots(model.shape, context_length, budget)
        self._readings: list[Reading] = []
        self._waiting: deque[Job[Any]] = deque()
        self._admitted: set[Job[Any]] = set()
        self._admitted_tokens = 0
        self._stop_sets: dict[tuple[str, ...], int] = {}
        self._stop_indices: list[StopIndex] = []
        self._texts: list[str] | None = None
        self._failures: dict[object, Exception] = {}
        self._outbox = Outbox()
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
            raise EngineError(self._closed())

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
    def occupancy(self) -> tuple[int, int]:
        """(requests being worked on, requests waiting), for displays and tests."""
        return len(self._admitted), len(self._waiting) + len(self._inbox)

    # --- the thread -------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            with torch.inference_mode():
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
        for reading in self._readings:
            if reading.continuation is None and np.array_equal(reading.ids, job.ids):
                if isinstance(job, GenerateJob):
                    job.cached = len(job.ids)
                break
        else:
            reading = self._read(job.ids)
            if isinstance(job, GenerateJob):
                job.cached = reading.done
        if isinstance(job, GenerateJob):
            reading.generate.append(job)
        elif isinstance(job, ScoreJob):
            reading.score.append(job)

    def _read(self, ids: Ids, known: torch.Tensor | None = None, done: int = 0) -> Reading:
        """A new reading; its first `done` tokens are copied from `known` or from the prefix cache."""
        block = self._model.shape.block(len(ids))
        if known is None and self._prefixes is not None and (found := self._prefixes.find(ids)) is not None:
            done, known = found
        if known is not None:
            block[:, :, :, :done] = known[:, :, :, :done]
        reading = Reading(ids, block, done)
        self._readings.append(reading)
        return reading

    def _drop(self, job: Job[Any]) -> None:
        if job not in self._admitted:
            return
        if isinstance(job, GenerateJob) and job.row is not None:
            self._free(job.row)
        self._readings = [reading for reading in self._readings if reading.wanted]
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
            self._outbox.error(job, error if isinstance(error, EngineError) else EngineError(reason))
        self._leave(job)

    def _fail_all(self) -> None:
        for job in [*self._admitted, *self._waiting, *self._inbox]:
            self._fail(job, EngineError(self._closed()))
        self._outbox.send()
        self._waiting.clear()
        self._inbox.clear()
        self._readings.clear()
        self._prefixes = None
        self._slots.clear()

    def _closed(self) -> str:
        return f"the engine was closed after an error: {self._broken!r}" if self._broken else "the engine was closed"

    # --- one step ---------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Forward, draw, finish."""
        decoding = self._decoding()
        chunks = self._chunks()
        logits = self._logits(decoding, chunks)
        self._rows.computed[[unit.row for unit in decoding]] += 1
        rows = [unit.row for unit in decoding]
        sources = list(range(len(rows)))
        starters: list[tuple[Reading, list[int]]] = []
        at = len(rows)
        for chunk in chunks:
            reading = chunk.reading
            failure = self._failures.pop(reading, None)
            if failure is not None:
                self._abandon(reading, failure)
            elif reading.continuation is not None:
                self._score_continuation(chunk, logits[at : at + chunk.logits])
            elif chunk.last:
                opened = [self._rows.open(job, self._stop_set(job)) for job in reading.generate if not job.cancelled]
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
        self._readings = [r for r in self._readings if r.done < len(r.ids) and r.wanted]
        if rows:
            in_order = sources == list(range(len(rows)))
            chosen = logits[: len(rows)] if in_order else logits[self._tensor(np.array(sources))]
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
        left = _STRETCH_TOKENS[self._model.device.type]
        chunks = []
        for reading in self._readings:
            if not left:
                break
            stop = min(len(reading.ids), reading.done + left)
            left -= stop - reading.done
            chunks.append(Chunk(reading, stop))
        return chunks

    def _logits(self, decoding: list[Decoding], chunks: list[Chunk]) -> torch.Tensor:
        """Logits of the rows, then of the chunks. What fails by itself gets NaN, and its error goes to `_failures`."""
        try:
            return self._forward(decoding, chunks)
        except Exception as error:  # Whatever a model may raise concerns one request, not its neighbours.
            if len(decoding) + len(chunks) == 1:
                self._failures[decoding[0].row if decoding else chunks[0].reading] = error
                count = 1 if decoding else chunks[0].logits
                return torch.full((count, self._model.vocabulary), torch.nan, device=self._model.device)
        if decoding and chunks:
            return torch.cat([self._logits(decoding, []), self._logits([], chunks)])
        half = (len(decoding) + len(chunks)) // 2
        first = self._logits(decoding[:half], chunks[:half])
        return torch.cat([first, self._logits(decoding[half:], chunks[half:])])

    def _forward(self, decoding: list[Decoding], chunks: list[Chunk]) -> torch.Tensor:
        tokens: list[NDArray[np.int64]] = []
        positions: list[NDArray[np.int64]] = []
        wanted: list[NDArray[np.int64]] = [np.arange(len(decoding))]
        groups: list[Rows] = []
        start = 0
        for shelf in self._slots.shelves:
            ids = [unit.row for unit in decoding if unit.shelf is shelf]
            if ids:
                places = self._rows.computed[ids]
                everyone = ids == shelf.rows
                slots = np.arange(len(ids)) if everyone else np.array([shelf.rows.index(row) for row in ids])
                to = reach(places, shelf.capacity)
                groups.append(Rows(shelf, start, self._tensor(places), to, self._tensor(slots), everyone))
                tokens.append(self._rows.last[ids])
                positions.append(places)
                start += len(ids)
        stretches = []
        for chunk in chunks:
            reading, count = chunk.reading, chunk.stop - chunk.reading.done
            stretches.append(Stretch(reading.block, start, start + count, reading.done))
            tokens.append(reading.ids[reading.done : chunk.stop])
            positions.append(np.arange(reading.done, chunk.stop))
            start += count
            wanted.append(np.arange(start - chunk.logits, start))
        return self._model.logits(
            self._tensor(np.concatenate(tokens)),
            self._tensor(np.concatenate(positions)),
            Step(groups, stretches),
            self._tensor(np.concatenate(wanted)),
        )

    def _tensor(self, array: NDArray[np.generic]) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if self._model.device.type == "cuda":
            return tensor.pin_memory().to(self._model.device, non_blocking=True)
        return tensor

    # --- after the forward pass -------------------------------------------------------------------------------------

    def _extend(self, rows: NDArray[np.int64], logits: torch.Tensor) -> None:
        """Draw a token for each row, and finish the rows that end with it."""
        table = self._rows
        temperature, top_p = table.temperature[rows], table.top_p[rows]
        if temperature.any():
            u = uniforms(table.seed[rows], table.generated[rows])
            drawn = draw(
                logits,
                self._tensor(temperature),
                self._tensor(top_p),
                self._tensor(u),
                any_cut=bool(((top_p < 1) & (temperature > 0)).any()),
            )
        else:
            drawn = torch.where(torch.isfinite(logits.float().sum(dim=-1)), logits.argmax(dim=-1), INVALID)
        tokens: NDArray[np.int64] = drawn.cpu().numpy()
        previous = table.last[rows]
        table.append(rows, tokens)
        invalid = tokens == INVALID
        ended = self._is_eos[tokens] & ~invalid
        full = table.generated[rows] >= table.limit[rows]
        stopped = self._may_stop(rows, previous, np.where(invalid, 0, tokens))
        stopped |= table.sent[rows] != NOT_STREAMING
        for at in np.nonzero(invalid | ended | full | stopped)[0].tolist():
            row = int(rows[at])
            job = table.jobs[row]
            assert job is not None
            if invalid[at]:
                self._free(row, poisoned=True)
                self._fail(job, self._failures.pop(row, None))
            else:
                self._look_at(row, job, bool(ended[at]), bool(full[at]))

    def _may_stop(
        self, rows: NDArray[np.int64], previous: NDArray[np.int64], tokens: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        sets = self._rows.stop_set[rows]
        answer = np.zeros(len(rows), dtype=bool)
        for number in np.unique(sets[sets >= 0]).tolist():
            chosen = sets == number
            answer[chosen] = self._stop_indices[number].may_complete(previous[chosen], tokens[chosen])
        return answer

    def _look_at(self, row: int, job: GenerateJob, ended: bool, full: bool) -> None:
        """Decode the row's text; finish it if it has ended, else show a streaming caller what is new."""
        ids = self._rows.generated_ids(row).tolist()
        if ended:
            ids.pop()
        text = self._encoder.decode(ids)
        cut = first_stop(text, job.sampling.stop)
        if cut is None and not ended and not full:
            if job.deltas is not None:
                self._show(row, job, text)
            return
        finish: FinishReason = "stop" if cut is not None else "end" if ended else "length"
        completion = Completion(
            text=text if cut is None else text[:cut],
            finish=finish,
            generated_tokens=int(self._rows.generated[row]),
            prompt_tokens=len(job.ids),
            cached_tokens=job.cached,
        )
        if job.deltas is not None:
            self._outbox.delta(job, Delta(completion.text[int(self._rows.sent[row]) :], completion))
        self._outbox.result(job, completion)
        self._free(row)
        self._leave(job)

    def _show(self, row: int, job: GenerateJob, text: str) -> None:
        sent = int(self._rows.sent[row])
        to = shown_length(text, job.sampling.stop)
        if to > sent:
            self._outbox.delta(job, Delta(text[sent:to]))
            self._rows.sent[row] = to

    def _stop_set(self, job: GenerateJob) -> int:
        """Number of the job's set of stop strings; −1 without any."""
        stops = job.sampling.stop
        if not stops:
            return -1
        if stops not in self._stop_sets:
            if self._texts is None:
                self._texts = token_texts(self._model.tokenizer, self._model.vocabulary)
            self._stop_sets[stops] = len(self._stop_indices)
            self._stop_indices.append(StopIndex(self._texts, stops))
        return self._stop_sets[stops]

    # --- likelihoods ------------------------------------------------------------------------------------------------

    def _score_first(self, job: ScoreJob, reading: Reading, logits: torch.Tensor) -> None:
        """The first token of every continuation, from the prompt's last logits; the others are read after a copy."""
        likelihood = torch.log_softmax(logits.float(), dim=-1)
        job.values = [float(likelihood[ids[0]]) if len(ids) else 0.0 for ids in job.continuations]
        for number, ids in enumerate(job.continuations):
            if len(ids) > 1:
                whole = np.concatenate([reading.ids, ids[:-1]])
                longer = self._read(whole, reading.block, len(reading.ids))
                longer.continuation = job, number
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
        picked = likelihood.gather(1, self._tensor(ids)[:, None])
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
        reading.done = len(reading.ids)
        jobs: list[Job[Any]] = [*reading.generate, *reading.score]
        if reading.continuation is not None:
            jobs.append(reading.continuation[0])
        for job in jobs:
            self._fail(job, error)
            job.cancelled = True
