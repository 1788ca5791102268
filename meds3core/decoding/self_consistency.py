"""Self-consistency: the answer that most samples give (Wang et al., arXiv 2203.11171).

Ties go to the answer that was given first: scores play no part, so that the comparison with a reward model is fair.
"""

from collections.abc import Sequence

from meds3core.decoding.base import Answers, Choice, SampleScores, Strategy, answered, nothing


def choose(answers: Answers, scores: SampleScores | None, subset: Sequence[int]) -> Choice:
    """The majority; `index` is the first sample that gives it.

    >>> choose(["A", "B", None, "B"], None, [0, 1, 2, 3])
    Choice(answer='B', index=1, why='2 of 3 votes', no_answer=1)
    """
    voters = answered(answers, subset)
    if not voters:
        return nothing(subset)
    votes, first = _count(answers, voters)
    winner = max(votes, key=lambda answer: (votes[answer], -first[answer]))
    return Choice(winner, first[winner], f"{votes[winner]} of {len(voters)} votes", len(subset) - len(voters))


def settled(answers: Answers, scores: SampleScores | None, n: int) -> bool:
    """Whether the leader wins even if all that is to come votes for one and the same other answer.

    Exact: it is False as long as some continuation would change the answer.

    >>> settled(["A", "A", "A"], None, 6)  # a newcomer could only draw level, and would come later
    True
    >>> settled(["A", "B", "B", "B"], None, 6)  # two more A draw level, and A came first
    False
    """
    rest = n - len(answers)
    if rest <= 0:
        return True
    votes, first = _count(answers, answered(answers, range(len(answers))))
    if not votes:
        return False
    leader = max(votes, key=lambda answer: (votes[answer], -first[answer]))
    rivals = [(votes[answer] + rest, -first[answer]) for answer in votes if answer != leader]
    newcomer = (rest, -len(answers))
    return (votes[leader], -first[leader]) > max([newcomer, *rivals])


def _count(answers: Answers, voters: Sequence[int]) -> tuple[dict[str, int], dict[str, int]]:
    """Votes by answer, and the first index that gives it."""
    votes: dict[str, int] = {}
    first: dict[str, int] = {}
    for index in voters:
        answer = answers[index]
        assert answer is not None
        votes[answer] = votes.get(answer, 0) + 1
        first.setdefault(answer, index)
    return votes, first


SELF_CONSISTENCY = Strategy("self-consistency", "nothing", choose, settled)
