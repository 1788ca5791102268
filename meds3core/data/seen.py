"""Remembers which strings were met, in 16 bytes each, so that a file of millions of rows can be checked."""

import hashlib
from array import array


class SeenRows:
    """Maps a string's 64-bit hash to the row where it was first met (open addressing in flat arrays).

    Two different strings are taken for the same with probability n²/2⁶⁵: 10⁻⁷ for two million.
    """

    def __init__(self) -> None:
        self._size = 1 << 10
        self._count = 0
        self._hashes = array("Q", bytes(8 * self._size))
        self._rows = array("Q", bytes(8 * self._size))

    def first_row(self, text: str, row: int) -> int | None:
        """The row where `text` was met before; None, and `row` remembered, when it is new."""
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
        key = int.from_bytes(digest, "little") or 1
        slot = self._slot(key)
        if self._hashes[slot]:
            return self._rows[slot]
        self._hashes[slot], self._rows[slot] = key, row
        self._count += 1
        if self._count * 3 > self._size * 2:
            self._grow()
        return None

    def __len__(self) -> int:
        return self._count

    def _slot(self, key: int) -> int:
        mask = self._size - 1
        slot = key & mask
        hashes = self._hashes
        while hashes[slot] and hashes[slot] != key:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        hashes, rows = self._hashes, self._rows
        self._size *= 2
        self._hashes = array("Q", bytes(8 * self._size))
        self._rows = array("Q", bytes(8 * self._size))
        for key, row in zip(hashes, rows, strict=True):
            if key:
                slot = self._slot(key)
                self._hashes[slot], self._rows[slot] = key, row
