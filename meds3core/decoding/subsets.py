"""Which subsets of n out of N samples an expectation is taken over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from meds3core.search.seeds import request_seed


@dataclass(frozen=True, slots=True)
class Subsets:
    """`masks`: [questions, subsets, N], or [1, subsets, N] where all questions share them; 1.0 at the members."""

    masks: NDArray[np.float64]
    exact: bool
    """Whether these are all subsets there are."""

    def of(self, questions: slice) -> NDArray[np.float64]:
        """The masks of some questions."""
        return self.masks if len(self.masks) == 1 else self.masks[questions]


def subsets_of(content_hashes: Sequence[str], total: int, n: int, most: int, seed: int) -> Subsets:
    """All subsets of n where there are at most `most`, else `most` seeded ones for each question.

    A question's subsets derive from the seed and its content, so they do not depend on its company.
    """
    if math.comb(total, n) <= most:
        masks = np.zeros((1, math.comb(total, n), total))
        for row, members in enumerate(combinations(range(total), n)):
            masks[0, row, list(members)] = 1.0
        return Subsets(masks, True)
    masks = np.zeros((len(content_hashes), most, total))
    for number, content_hash in enumerate(content_hashes):
        random = np.random.Generator(np.random.PCG64(request_seed(seed, content_hash, (), "subsets", n)))
        drawn = random.random((most, total)).argsort(axis=1, kind="stable")[:, :n]
        np.put_along_axis(masks[number], drawn, 1.0, axis=1)
    return Subsets(masks, False)
