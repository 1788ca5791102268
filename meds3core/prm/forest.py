"""Token sequences that share beginnings, laid out as one row in which every shared token stands once.

Sequences are added to a trie of tokens; several tries (several questions) make a forest. Written in preorder, the
descendants of a token stand right behind it, from which everything else follows:

- token k is q itself or an ancestor of q exactly when k ≤ q < k + size(k);
- of a stretch of consecutive tokens, all ancestors that stand before it are ancestors of its first token.

So the tokens that a stretch attends to are its own and the path to its first one: a short list, however large the
forest. Works on integers only; nothing heavy is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]

_TOKEN_BITS = 32


@dataclass(frozen=True, slots=True)
class Preorder:
    """A forest as one row of tokens. All arrays have one entry per token, in preorder."""

    tokens: Ints
    positions: Ints
    """Distance from the root: where the token stands in its own sequence."""
    stops: Ints
    """Behind the last descendant."""
    parents: Ints
    """−1 at a root."""
    places: Ints
    """By the number that `TokenForest.add` gave: where in the row the token stands."""

    def path(self, place: int) -> list[int]:
        """The ancestors of the token at `place`, root first, itself excluded."""
        path = []
        place = int(self.parents[place])
        while place >= 0:
            path.append(place)
            place = int(self.parents[place])
        return path[::-1]


class TokenForest:
    """Grows by whole pieces; equal tokens after equal beginnings are one token."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._parents: list[int] = []
        self._known: dict[int, int] = {}
        self.flat_tokens = 0
        """What the sequences would hold if each stood by itself, as far as `note_flat` was told."""

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, ids: Sequence[int], parent: int = -1) -> int:
        """Append a piece behind token `parent` (−1: as the beginning of a sequence); returns its last token."""
        known, tokens, parents = self._known, self._tokens, self._parents
        for token in ids:
            key = (parent + 1) << _TOKEN_BITS | token
            found = known.get(key)
            if found is None:
                found = known[key] = len(tokens)
                tokens.append(token)
                parents.append(parent)
            parent = found
        return parent

    def preorder(self) -> Preorder:
        """The row. Siblings stand in order of arrival."""
        count = len(self._tokens)
        sizes = [1] * count
        for token in range(count - 1, -1, -1):  # a child's number is greater than its parent's
            parent = self._parents[token]
            if parent >= 0:
                sizes[parent] += sizes[token]
        places, depths, free = [0] * count, [0] * count, [0] * (count + 1)  # free[−1]: the next root's place
        for token, parent in enumerate(self._parents):
            place = places[token] = free[parent]
            free[parent] += sizes[token]
            free[token] = place + 1
            if parent >= 0:
                depths[token] = depths[parent] + 1
        where = np.asarray(places, dtype=np.int64)
        order = np.argsort(where)
        above = np.asarray(self._parents, dtype=np.int64)[order]
        return Preorder(
            tokens=np.asarray(self._tokens, dtype=np.int64)[order],
            positions=np.asarray(depths, dtype=np.int64)[order],
            stops=(where + np.asarray(sizes, dtype=np.int64))[order],
            parents=np.where(above >= 0, where[np.maximum(above, 0)], -1),
            places=where,
        )
