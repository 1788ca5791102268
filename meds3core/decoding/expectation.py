"""Expected correctness over subsets of the samples: in closed form where there is one, else vectorised over subsets.

The votes are those of `self_consistency` and `vote`, tie rules included: scores lie on the grid of `base.exact`, so
sums have no rounding error and come out the same here.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meds3core.decoding.samples import SampleSet
from meds3core.decoding.subsets import Subsets

Floats = NDArray[np.float64]

_MOST_FLOATS = 1 << 22
"""Of one intermediate array."""


@dataclass(frozen=True)
class Verdicts:
    """What the strategies need to know of a sample set; Q questions, N samples each."""

    groups: NDArray[np.int64]
    """[Q, N]: samples of a question with the same number have the same answer; -1: no answer."""
    correct: Floats
    """[Q, N]: 1.0 where the answer is right."""

    @property
    def answered(self) -> NDArray[np.bool_]:
        """[Q, N]: whether the sample has an answer."""
        return self.groups >= 0


def verdicts(samples: SampleSet) -> Verdicts:
    """Group every question's samples by the normal form of their answers."""
    groups = np.full((len(samples.rows), samples.source.n), -1, dtype=np.int64)
    correct = np.zeros(groups.shape)
    for row, question in enumerate(samples.rows):
        numbers: dict[str, int] = {}
        for column, sample in enumerate(question.samples):
            if sample.answer is not None:
                groups[row, column] = numbers.setdefault(sample.answer, len(numbers))
                correct[row, column] = sample.correct is True
    return Verdicts(groups, correct)


def any_of(counts: NDArray[np.int64], total: int, n: int) -> Floats:
    """Probability that n of `total` samples, drawn without replacement, hold one of the `counts` marked ones.

    pass@k for the count of right samples: 1 − C(N−c, k) / C(N, k) (Chen et al., arXiv 2107.03374).
    """
    missed = np.array([math.comb(total - count, n) / math.comb(total, n) for count in range(total + 1)])
    return np.asarray(1.0 - missed[counts])


def best_of(known: Verdicts, scores: Floats, n: int) -> Floats:
    """[Q]: probability that the best-scored of n samples with an answer is right.

    By order statistics: with the samples in order of preference, the one that has r better ones is chosen from
    C(N−1−r, n−1) of the C(N, n) subsets, those that hold it and none of the better.
    """
    total = scores.shape[1]
    preference = np.where(known.answered, scores, -1.0)
    order = np.argsort(-preference, axis=1, kind="stable")  # stable: ties go to the lower index
    weights = np.array([math.comb(total - 1 - rank, n - 1) / math.comb(total, n) for rank in range(total)])
    return np.asarray(np.take_along_axis(known.correct, order, axis=1) @ weights)


def voted(known: Verdicts, scores: Floats | None, subsets: Subsets, *, mean: bool = False) -> Floats:
    """[Q]: share of the subsets whose vote is right. Without scores: the majority; `mean`: of scores per answer.

    The winner is sought among samples, not answers: the one whose answer has the most support, then the greatest own
    score, then the lowest index is the best sample of the winning answer.
    """
    questions, total = known.groups.shape
    found = np.empty(questions)
    chunk = max(1, _MOST_FLOATS // (total * max(total, subsets.masks.shape[1])))
    for start in range(0, questions, chunk):
        part = slice(start, start + chunk)
        groups, answered = known.groups[part], known.answered[part]
        same = (groups[:, :, None] == groups[:, None, :]).astype(np.float64)  # [q, N, N]
        masks = subsets.of(part)  # [q or 1, S, N]
        if scores is None:
            support, own = masks @ same, np.zeros(groups.shape)
        else:
            own = scores[part]
            support = (masks * own[:, None, :]) @ same
            if mean:
                support = support / np.maximum(masks @ same, 1.0)
        eligible = (masks > 0.0) & answered[:, None, :]  # [q, S, N]
        support = np.where(eligible, support, -1.0)
        leading = eligible & (support == support.max(axis=2, keepdims=True))
        best = np.where(leading, own[:, None, :], -1.0)
        chosen = best.argmax(axis=2)  # the first of equals; index 0 where none is eligible
        right = np.take_along_axis(known.correct[part], chosen, axis=1) * eligible.any(axis=2)
        found[part] = right.mean(axis=1)
    return found
