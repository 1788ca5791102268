"""What an inference strategy is: a pure choice among the answers of some samples (METHOD.md §5)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Answers = Sequence[str | None]
"""Normal forms by sample index; None: that sample has no answer."""

SampleScores = Sequence[float]
"""One score in [0, 1] per sample, by sample index, on the grid of `exact`."""

_GRID = 2.0**40


@dataclass(frozen=True, slots=True)
class Choice:
    """What a strategy chose from a subset of samples."""

    answer: str | None
    """None: no sample of the subset has an answer."""
    index: int | None
    """The sample that stands for the answer; None where there is no answer."""
    why: str
    """In words, e.g. `3 of 5 votes`."""
    no_answer: int
    """Samples of the subset without an answer; they never win."""


Choose = Callable[[Answers, SampleScores | None, Sequence[int]], Choice]
"""Choose among the samples with these indices. The order of the indices does not matter."""

Settled = Callable[[Answers, SampleScores | None, int], bool]
"""Given the first samples of `n`: is the chosen *answer* certain, whatever the rest will be? Scores are at most 1."""

Needs = Literal["nothing", "prm", "orm"]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to answer from samples. `needs`: whose scores it reads."""

    name: str
    needs: Needs
    choose: Choose
    settled: Settled


def exact(score: float) -> float:
    """The score on a grid of 2^-40: sums of up to 4,096 of these have no rounding error, so no order matters.

    Votes are then the same in any order, one by one or vectorised, and equal sums are ties.
    """
    return round(score * _GRID) / _GRID


def answered(answers: Answers, subset: Sequence[int]) -> list[int]:
    """The indices of the subset whose samples have an answer, in ascending order."""
    return sorted(index for index in subset if answers[index] is not None)


def nothing(subset: Sequence[int]) -> Choice:
    """The choice where no sample has an answer."""
    return Choice(None, None, "no sample has an answer", len(subset))


def never(answers: Answers, scores: SampleScores | None, n: int) -> bool:
    """`Settled` of a strategy that needs every sample."""
    return len(answers) >= n
