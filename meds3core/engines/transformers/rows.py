"""The sequences being decoded, as columns, so that a step touches all of them in a few array operations."""

import numpy as np
from numpy.typing import NDArray

from meds3core.engines.transformers.jobs import GenerateJob, Ids

NOT_STREAMING = -1
_SEED_MASK = 2**64 - 1


class RowTable:
    """What is known of each row. A row id stays the same from admission to the end; freed ids are used again."""

    def __init__(self, rows: int, context_length: int) -> None:
        self.jobs: list[GenerateJob | None] = [None] * rows
        self.sent = np.full(rows, NOT_STREAMING, dtype=np.int64)
        """Characters already handed to a streaming caller; `NOT_STREAMING` where there is none."""
        self.shown = np.zeros(rows)
        """When a streaming caller was handed something last, by the monotonic clock; minus infinity before that."""
        self.computed = np.zeros(rows, dtype=np.int64)
        """Tokens whose keys and values are stored; the newest token is not yet among them."""
        self.last = np.zeros(rows, dtype=np.int64)
        self.generated = np.zeros(rows, dtype=np.int64)
        self.limit = np.zeros(rows, dtype=np.int64)
        self.seed = np.zeros(rows, dtype=np.uint64)
        self.temperature = np.zeros(rows, dtype=np.float32)
        self.top_p = np.zeros(rows, dtype=np.float32)
        self.stop_set = np.zeros(rows, dtype=np.int64)
        self._texts = np.zeros((rows, 256), dtype=np.int32)
        self._free = list(range(rows - 1, -1, -1))
        self._context_length = context_length

    def __len__(self) -> int:
        return len(self.jobs) - len(self._free)

    def open(self, job: GenerateJob, stop_set: int) -> int:
        """A row for this job, its prompt computed; returns the row id."""
        row = self._free.pop()
        sampling = job.sampling
        self.jobs[row] = job
        self.computed[row] = len(job.ids)
        self.last[row] = -1
        self.generated[row] = 0
        self.limit[row] = job.limit
        self.seed[row] = sampling.seed & _SEED_MASK
        self.temperature[row] = sampling.temperature
        self.top_p[row] = sampling.top_p
        self.stop_set[row] = stop_set
        if job.limit > self._texts.shape[1]:
            width = min(max(2 * self._texts.shape[1], job.limit), max(self._context_length, job.limit))
            self._texts = np.pad(self._texts, ((0, 0), (0, width - self._texts.shape[1])))
        self.sent[row] = NOT_STREAMING if job.deltas is None else 0
        self.shown[row] = -np.inf
        job.row = row
        return row

    def close(self, row: int) -> None:
        """Free the row id."""
        job = self.jobs[row]
        if job is not None:
            job.row = None
        self.jobs[row] = None
        self.sent[row] = NOT_STREAMING
        self._free.append(row)

    def append(self, rows: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        """One new token for each of the rows."""
        self._texts[rows, self.generated[rows]] = tokens
        self.last[rows] = tokens
        self.generated[rows] += 1

    def generated_ids(self, row: int) -> Ids:
        """Tokens generated so far."""
        return self._texts[row, : self.generated[row]].astype(np.int64)
