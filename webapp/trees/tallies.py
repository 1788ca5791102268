"""A tree's nodes counted by value and by depth, packed small, so that a search of ten thousand trees adds up at once.

The counts are those of `meds3core.report.summary`: the root is left out, the last tenth includes 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from meds3core.report.summary import VALUE_BINS
from meds3core.types.tree import Tree

DEPTHS = 40
"""Depths told apart; deeper nodes count as the deepest."""
_CELLS = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class Tally:
    """Nodes of some trees, without the roots."""

    values: tuple[int, ...]
    """By tenth of value; nodes without a value are left out."""
    depths: tuple[int, ...]
    """By depth from 1 on, as far as there are any."""


def tally_pack(tree: Tree) -> bytes:
    """A tree's counts as its row keeps them."""
    cells = np.zeros(VALUE_BINS + DEPTHS, dtype=_CELLS)
    for node in tree.nodes[1:]:
        if node.value is not None:
            cells[min(int(node.value * VALUE_BINS), VALUE_BINS - 1)] += 1
        cells[VALUE_BINS + min(node.depth, DEPTHS) - 1] += 1
    return cells.tobytes()


def tally_sum(packed: Iterable[bytes]) -> Tally:
    """The counts of several trees together."""
    cells = np.frombuffer(b"".join(packed), dtype=_CELLS).reshape(-1, VALUE_BINS + DEPTHS)
    total = cells.sum(axis=0, dtype=np.int64).tolist()
    depths = total[VALUE_BINS:]
    while depths and not depths[-1]:
        depths.pop()
    return Tally(tuple(total[:VALUE_BINS]), tuple(depths))
