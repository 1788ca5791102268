"""One forward pass over everything there is to do; where it fails, only what is at fault fails."""

import numpy as np
import torch
from numpy.typing import NDArray

from meds3core.engines.transformers.attention import Rows, Step, Stretch, reach
from meds3core.engines.transformers.model import PackedModel
from meds3core.engines.transformers.reading import Chunk, Decoding
from meds3core.engines.transformers.rows import RowTable
from meds3core.engines.transformers.slots import Slots


class Forward:
    """Packs a step, runs the model on it, and isolates errors."""

    def __init__(self, model: PackedModel, rows: RowTable, slots: Slots) -> None:
        self._model = model
        self._rows = rows
        self._slots = slots
        self.failures: dict[object, Exception] = {}
        """Errors of the last passes by row id or `Reading`; whoever deals with one removes it."""

    def logits(self, decoding: list[Decoding], chunks: list[Chunk]) -> torch.Tensor:
        """Logits of the rows, then of the chunks. What fails by itself gets NaN, and its error goes to `failures`."""
        try:
            return self._forward(decoding, chunks)
        except Exception as error:  # Whatever a model may raise concerns one request, not its neighbours.
            if len(decoding) + len(chunks) == 1:
                self.failures[decoding[0].row if decoding else chunks[0].reading] = error
                count = 1 if decoding else chunks[0].logits
                return torch.full((count, self._model.vocabulary), torch.nan, device=self._model.device)
        if decoding and chunks:
            return torch.cat([self.logits(decoding, []), self.logits([], chunks)])
        half = (len(decoding) + len(chunks)) // 2
        first = self.logits(decoding[:half], chunks[:half])
        return torch.cat([first, self.logits(decoding[half:], chunks[half:])])

    def _forward(self, decoding: list[Decoding], chunks: list[Chunk]) -> torch.Tensor:
        tokens: list[NDArray[np.int64]] = []
        positions: list[NDArray[np.int64]] = []
        wanted: list[NDArray[np.int64]] = [np.arange(len(decoding))]
        groups: list[Rows] = []
        start = 0
        for shelf in (shelf for shelf in self._slots.shelves if shelf.rows):
            ids = [unit.row for unit in decoding if unit.shelf is shelf]
            if ids:
                places = self._rows.computed[ids]
                everyone = ids == shelf.rows
                slots = np.arange(len(ids)) if everyone else np.array([shelf.rows.index(row) for row in ids])
                to = reach(places, shelf.capacity)
                groups.append(Rows(shelf, start, self.tensor(places), to, self.tensor(slots), everyone))
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
            self.tensor(np.concatenate(tokens)),
            self.tensor(np.concatenate(positions)),
            Step(groups, stretches),
            self.tensor(np.concatenate(wanted)),
        )

    def tensor(self, array: NDArray[np.generic]) -> torch.Tensor:
        """The array on the model's device; on a CPU without a copy."""
        tensor = torch.from_numpy(array)
        if self._model.device.type == "cuda":
            return tensor.pin_memory().to(self._model.device, non_blocking=True)
        return tensor
