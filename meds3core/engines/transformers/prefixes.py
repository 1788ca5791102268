"""Key-values of prompts computed lately, so that a prompt that begins alike need not be computed from its first token.

In a tree search every prompt is its parent's and some more, and all prompts of a tree share the question.
"""

import hashlib
from collections import OrderedDict

import torch

from meds3core.engines.transformers.jobs import Ids

_STRIDE = 16
"""Beginnings are compared in multiples of this many tokens."""


class PrefixCache:
    """Blocks of computed prompts by their beginnings, least recently used first to go."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self._left = max_bytes
        self._blocks: OrderedDict[bytes, tuple[torch.Tensor, list[bytes]]] = OrderedDict()
        self._by_beginning: dict[bytes, bytes] = {}

    def find(self, ids: Ids) -> tuple[int, torch.Tensor] | None:
        """Tokens in common with the best block (fewer than `ids` has) and that block; None if there is none."""
        for length, beginning in reversed(_beginnings(ids[:-1])):
            name = self._by_beginning.get(beginning)
            if name is not None:
                self._blocks.move_to_end(name)
                return length, self._blocks[name][0]
        return None

    def add(self, ids: Ids, block: torch.Tensor) -> None:
        """Keep a computed prompt; the oldest ones give way."""
        name = ids.tobytes()
        size = block.numel() * block.element_size()
        beginnings = [beginning for _, beginning in _beginnings(ids)]
        if name in self._blocks or not beginnings or size > self._max_bytes:
            return
        while self._left < size:
            self._drop_oldest()
        self._left -= size
        self._blocks[name] = block, beginnings
        for beginning in beginnings:
            # The newest block serves its beginnings: it will stay longest.
            self._by_beginning[beginning] = name

    def clear(self) -> None:
        """Forget every prompt."""
        while self._blocks:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        name, (block, beginnings) = self._blocks.popitem(last=False)
        self._left += block.numel() * block.element_size()
        for beginning in beginnings:
            if self._by_beginning.get(beginning) == name:
                del self._by_beginning[beginning]


def _beginnings(ids: Ids) -> list[tuple[int, bytes]]:
    """(length, digest) of each beginning of `ids`, shortest first; a digest extends the one before."""
    digest, found = hashlib.blake2b(digest_size=16), []
    for stop in range(_STRIDE, len(ids) + 1, _STRIDE):
        digest.update(ids[stop - _STRIDE : stop].tobytes())
        found.append((stop, digest.copy().digest()))
    return found
