"""Votes weighted by a process reward model: the sum of scores per answer (the paper's P-VS), or their mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meds3core.decoding.base import Answers, Choice, SampleScores, Strategy, answered, never, nothing


@dataclass(slots=True)
class Tally:
    """One answer's votes. `best` is its best score and `index` the first sample that has it."""

    total: float
    count: int
    best: float
    index: int


def choose_by_sum(answers: Answers, scores: SampleScores | None, subset: Sequence[int]) -> Choice:
    """The answer with the greatest sum; `index` is its best-scored sample.

    Three weak votes outweigh a strong one:

    >>> choose_by_sum(["A", "B", "B", "B"], [0.75, 0.25, 0.25, 0.5], [0, 1, 2, 3])
    Choice(answer='B', index=3, why='sum 1.0000 of 3 samples, against 0.7500', no_answer=0)
    """
    assert scores is not None
    return _choose(tally(answers, scores, subset), lambda votes: votes.total, "sum", subset)


def choose_by_mean(answers: Answers, scores: SampleScores | None, subset: Sequence[int]) -> Choice:
    """The answer with the greatest mean; `index` is its best-scored sample.

    >>> choose_by_mean(["A", "B", "B", "B"], [0.75, 0.25, 0.25, 0.5], [0, 1, 2, 3]).answer
    'A'
    """
    assert scores is not None
    return _choose(tally(answers, scores, subset), lambda votes: votes.total / votes.count, "mean", subset)


def sum_settled(answers: Answers, scores: SampleScores | None, n: int) -> bool:
    """Whether the leader wins even if all that is to come gives one other answer and scores 1.

    Exact for scores in [0, 1]: it is False as long as some continuation would change the answer.

    >>> sum_settled(["A", "A"], [0.75, 0.75], 3)
    True
    >>> sum_settled(["A", "A"], [0.5, 0.5], 3)  # a newcomer could draw level with the better best score
    False
    """
    assert scores is not None
    drawn = len(answers)
    rest = n - drawn
    if rest <= 0:
        return True
    votes = tally(answers, scores, range(drawn))
    if not votes:
        return False
    leader = max(votes, key=lambda answer: _rank(votes[answer], votes[answer].total))
    # What the others could become: `rest` more, and a best score of 1 if they have none yet.
    rivals = [
        (mine.total + rest, 1.0, -(mine.index if mine.best >= 1.0 else drawn))
        for answer, mine in votes.items()
        if answer != leader
    ]
    newcomer = (float(rest), 1.0, -drawn)
    return _rank(votes[leader], votes[leader].total) > max([newcomer, *rivals])


def tally(answers: Answers, scores: SampleScores, subset: Sequence[int]) -> dict[str, Tally]:
    """Votes by answer."""
    votes: dict[str, Tally] = {}
    for index in answered(answers, subset):
        answer, score = answers[index], scores[index]
        assert answer is not None
        mine = votes.setdefault(answer, Tally(0.0, 0, -1.0, index))
        mine.total += score
        mine.count += 1
        if score > mine.best:
            mine.best, mine.index = score, index
    return votes


def _rank(votes: Tally, weight: float) -> tuple[float, float, int]:
    """Ties: the greater best score, then the lower sample index."""
    return weight, votes.best, -votes.index


def _choose(votes: dict[str, Tally], weight: Callable[[Tally], float], name: str, subset: Sequence[int]) -> Choice:
    if not votes:
        return nothing(subset)
    order = sorted(votes, key=lambda answer: _rank(votes[answer], weight(votes[answer])), reverse=True)
    winner = votes[order[0]]
    why = f"{name} {weight(winner):.4f} of {winner.count} samples"
    if len(order) > 1:
        why += f", against {weight(votes[order[1]]):.4f}"
    return Choice(order[0], winner.index, why, len(subset) - sum(mine.count for mine in votes.values()))


VOTE_SUM = Strategy("vote-sum", "prm", choose_by_sum, sum_settled)
VOTE_MEAN = Strategy("vote-mean", "prm", choose_by_mean, never)
