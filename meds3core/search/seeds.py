"""Random numbers that belong to a place in a tree, not to a moment in time.

Every request's seed derives from (seed, question content hash, node path, purpose, sample index): a tree comes out
the same whenever, wherever and in whatever company it grows.
"""

import hashlib
from collections.abc import Sequence


def request_seed(seed: int, content_hash: str, path: Sequence[int], purpose: str, index: int) -> int:
    """A seed in [0, 2^63), which every engine accepts. `path` is the list of child indices from the root."""
    return _draw(seed, content_hash, path, purpose, index) >> 1


def uniform(seed: int, content_hash: str, path: Sequence[int], purpose: str, index: int) -> float:
    """A number in [0, 1) for a draw made here rather than by an engine."""
    return (_draw(seed, content_hash, path, purpose, index) >> 11) * 2.0**-53


def _draw(seed: int, content_hash: str, path: Sequence[int], purpose: str, index: int) -> int:
    place = f"{seed}|{content_hash}|{'.'.join(map(str, path))}|{purpose}|{index}"
    return int.from_bytes(hashlib.blake2b(place.encode(), digest_size=8).digest(), "big")
