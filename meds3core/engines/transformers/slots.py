"""Key-value memory of the sequences that are being decoded together.

Rows live on shelves. A shelf holds rows of up to `capacity` tokens, packed at its front, so that one attention call
reads them in place: nothing is gathered or copied from step to step. A row that outgrows its shelf moves to the next.
Prompts are computed in blocks of their own (`[layers, 2, heads, tokens, head size]`) and copied into as many rows as
asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

_FIRST_TOKENS = 1024
"""Room of a shelf when its first row comes; it grows from there."""


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What a token leaves behind in every layer."""

    layers: int
    heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device

    @property
    def token_bytes(self) -> int:
        """Bytes of keys and values for one token in all layers."""
        return self.layers * 2 * self.heads * self.head_size * self.dtype.itemsize

    def block(self, tokens: int) -> torch.Tensor:
        """Memory for one sequence, [layers, 2, heads, tokens, head size], not initialised."""
        size = (self.layers, 2, self.heads, tokens, self.head_size)
        return torch.empty(size, dtype=self.dtype, device=self.device)


class Shelf:
    """Rows of up to `capacity` tokens; row ids stand in `rows` in the order of their slots."""

    def __init__(self, shape: CacheShape, capacity: int) -> None:
        self.capacity = capacity
        self.rows: list[int] = []
        self._shape = shape
        self.memory = self._zeros(0)
        """[layers, 2, slots, heads, capacity, head size]."""

    def _zeros(self, slots: int) -> torch.Tensor:
        # Zeroed, not only allocated: masked values are multiplied by 0, and 0·NaN is NaN.
        shape = self._shape
        size = (shape.layers, 2, slots, shape.heads, self.capacity, shape.head_size)
        return torch.zeros(size, dtype=shape.dtype, device=shape.device)

    def append(self, rows: Sequence[int], block: torch.Tensor) -> None:
        """Give each of `rows` a copy of `block`, [layers, 2, heads, tokens, head size]."""
        start, stop = len(self.rows), len(self.rows) + len(rows)
        slots = self.memory.shape[2]
        if stop > slots:
            grown = self._zeros(max(stop, slots * 3 // 2, _FIRST_TOKENS // self.capacity))
            grown[:, :, :slots] = self.memory
            self.memory = grown
        self.memory[:, :, start:stop, :, : block.shape[3]] = block[:, :, None]
        self.rows.extend(rows)

    def release(self) -> None:
        """Give back the memory of an empty shelf."""
        if not self.rows and self.memory.numel():
            self.memory = self._zeros(0)

    def remove(self, row: int, last_length: int, *, poisoned: bool = False) -> None:
        """Free a row's slot; the last row (of `last_length` tokens) takes its place."""
        slot = self.rows.index(row)
        last = len(self.rows) - 1
        if poisoned:
            self.memory[:, :, slot] = 0
        if slot != last:
            self.memory[:, :, slot, :, :last_length] = self.memory[:, :, last, :, :last_length]
            self.rows[slot] = self.rows[last]
        self.rows.pop()

    def block(self, row: int, tokens: int) -> torch.Tensor:
        """A view of the first tokens of one row."""
        return self.memory[:, :, self.rows.index(row), :, :tokens]


class Slots:
    """All shelves, and which of them holds a row."""

    def __init__(self, shape: CacheShape, context_length: int, max_bytes: int) -> None:
        self.shelves: list[Shelf] = []
        self._max_bytes = max_bytes
        self._shelf_of: dict[int, Shelf] = {}
        capacity = 128
        while capacity < context_length:
            self.shelves.append(Shelf(shape, capacity))
            # Steps of one half bound what attention reads in vain for short rows beside long ones.
            capacity = (capacity * 3 // 2 + 31) // 32 * 32
        self.shelves.append(Shelf(shape, context_length))

    def __contains__(self, row: int) -> bool:
        return row in self._shelf_of

    def clear(self) -> None:
        """Forget everything."""
        self.shelves.clear()
        self._shelf_of.clear()

    def add(self, rows: Sequence[int], block: torch.Tensor, room: int) -> None:
        """New rows, each with a copy of `block` and room for at least `room` tokens more."""
        shelf = self._fitting(block.shape[3] + room)
        self._spare()
        shelf.append(rows, block)
        for row in rows:
            self._shelf_of[row] = shelf

    def remove(self, row: int, lengths: NDArray[np.int64], *, poisoned: bool = False) -> None:
        """Free the slot of a row. `lengths` holds the number of tokens of every row, by row id."""
        shelf = self._shelf_of.pop(row)
        shelf.remove(row, int(lengths[shelf.rows[-1]]), poisoned=poisoned)

    def make_room(self, row: int, lengths: NDArray[np.int64]) -> None:
        """See that one more token fits into the row."""
        shelf = self._shelf_of[row]
        if lengths[row] < shelf.capacity:
            return
        length = int(lengths[row])
        larger = self._fitting(length + 1)
        self._spare()
        larger.append([row], shelf.block(row, length))
        shelf.remove(row, int(lengths[shelf.rows[-1]]))
        self._shelf_of[row] = larger

    def _spare(self) -> None:
        """Empty shelves keep their memory, which is slow to get, until all together hold too much."""
        if sum(shelf.memory.nbytes for shelf in self.shelves) > self._max_bytes:
            for shelf in self.shelves:
                shelf.release()

    def _fitting(self, tokens: int) -> Shelf:
        return next(shelf for shelf in self.shelves if shelf.capacity >= tokens)
