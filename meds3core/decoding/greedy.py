"""Greedy: the answer of the one sample drawn at temperature 0."""

from collections.abc import Sequence

from meds3core.decoding.base import Answers, Choice, SampleScores, Strategy


def choose(answers: Answers, scores: SampleScores | None, subset: Sequence[int]) -> Choice:
    """The first sample of the subset, whether it has an answer or not.

    >>> choose(["B", "A"], None, [0, 1]).answer
    'B'
    """
    first = min(subset)
    if answers[first] is None:
        return Choice(None, None, "the sample has no answer", 1)
    return Choice(answers[first], first, "the only sample", 0)


def settled(answers: Answers, scores: SampleScores | None, n: int) -> bool:
    """After one sample."""
    return len(answers) >= 1


GREEDY = Strategy("greedy", "nothing", choose, settled)
