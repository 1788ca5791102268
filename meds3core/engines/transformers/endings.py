"""When a row's text ends, and how much of it a streaming caller may see."""

from itertools import count
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from meds3core.engines.base import Completion, Delta, FinishReason
from meds3core.engines.rendering import PromptEncoder
from meds3core.engines.stopping import StopIndex, first_stop, shown_length, token_texts
from meds3core.engines.transformers.jobs import GenerateJob, Outbox
from meds3core.engines.transformers.model import PackedModel
from meds3core.engines.transformers.rows import NOT_STREAMING, RowTable

SHOW_SECONDS, MORE_SECONDS = 0.05, 0.002
"""A streaming caller is shown what is new this often at most, and so much later for each that streams beside it; the
first words at once. To decode every row at every step, and to wake its caller, takes a sixth of the time of a small
model's step."""

_MOST_STOP_SETS = 64
"""Sets of stop strings that are remembered, unless more are in use."""


class Endings:
    """Looks for end tokens and stop strings; decodes a row only where one of them may have come."""

    def __init__(
        self, model: PackedModel, encoder: PromptEncoder, eos_ids: frozenset[int], rows: RowTable, outbox: Outbox
    ) -> None:
        self._model = model
        self._encoder = encoder
        self._rows = rows
        self._outbox = outbox
        self._is_eos = np.zeros(model.vocabulary, dtype=bool)
        self._is_eos[[token for token in eos_ids if token < model.vocabulary]] = True
        self._stop_sets: dict[tuple[str, ...], int] = {}
        self._stop_indices: dict[int, StopIndex] = {}
        self._numbers = count()
        self._texts: list[str] | None = None

    def closed(self, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the tokens close the model's turn."""
        closed: NDArray[np.bool_] = self._is_eos[tokens]
        return closed

    def may_end(
        self, rows: NDArray[np.int64], previous: NDArray[np.int64], tokens: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which rows have to be looked at after these tokens, `previous` being those before (−1: none)."""
        streaming = self._rows.sent[rows] != NOT_STREAMING
        pause = SHOW_SECONDS + MORE_SECONDS * int(np.count_nonzero(streaming))
        answer: NDArray[np.bool_] = streaming & (self._rows.shown[rows] <= monotonic() - pause)
        sets = self._rows.stop_set[rows]
        for number in np.unique(sets[sets >= 0]).tolist():
            chosen = sets == number
            answer[chosen] |= self._stop_indices[number].may_complete(previous[chosen], tokens[chosen])
        return answer

    def look(self, row: int, job: GenerateJob, *, ended: bool, full: bool) -> bool:
        """Decode the row's text; deliver it if it is complete, else show a streaming caller what is new.

        `ended`: the last token closes the turn; `full`: the limit is reached. Returns whether the text is complete.
        """
        ids = self._rows.generated_ids(row).tolist()
        if ended:
            ids.pop()
        text = self._encoder.decode(ids)
        cut = first_stop(text, job.sampling.stop)
        if cut is None and not ended and not full:
            if job.deltas is not None:
                self._show(row, job, text)
            return False
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
        return True

    def _show(self, row: int, job: GenerateJob, text: str) -> None:
        sent = int(self._rows.sent[row])
        to = shown_length(text, job.sampling.stop)
        if to > sent:
            count = int(self._rows.generated[row])
            self._outbox.delta(job, Delta(text[sent:to], generated_tokens=count, prompt_tokens=len(job.ids)))
            self._rows.sent[row] = to
            self._rows.shown[row] = monotonic()

    def stop_set(self, job: GenerateJob) -> int:
        """Number of the job's set of stop strings; −1 without any."""
        stops = job.sampling.stop
        if not stops:
            return -1
        if stops not in self._stop_sets:
            if self._texts is None:
                self._texts = token_texts(self._model.tokenizer, self._model.vocabulary)
            self._forget_unused()
            number = next(self._numbers)
            self._stop_sets[stops] = number
            self._stop_indices[number] = StopIndex(self._texts, stops)
        return self._stop_sets[stops]

    def _forget_unused(self) -> None:
        if len(self._stop_sets) >= _MOST_STOP_SETS:
            used = set(self._rows.stop_set.tolist())
            self._stop_sets = {stops: number for stops, number in self._stop_sets.items() if number in used}
            self._stop_indices = {number: self._stop_indices[number] for number in self._stop_sets.values()}
