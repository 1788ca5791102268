"""Best-of-n: the answer of the sample with the best score, by a process or by an outcome reward model."""

from collections.abc import Sequence

from meds3core.decoding.base import Answers, Choice, SampleScores, Strategy, answered, nothing


def choose(answers: Answers, scores: SampleScores | None, subset: Sequence[int]) -> Choice:
    """The best-scored sample with an answer; ties go to the lower index.

    >>> choose(["A", "B", None], [0.4, 0.7, 0.9], [0, 1, 2])
    Choice(answer='B', index=1, why='score 0.7000, the best of 2', no_answer=1)
    """
    assert scores is not None
    candidates = answered(answers, subset)
    if not candidates:
        return nothing(subset)
    best = max(candidates, key=lambda index: (scores[index], -index))
    why = f"score {scores[best]:.4f}, the best of {len(candidates)}"
    return Choice(answers[best], best, why, len(subset) - len(candidates))


def settled(answers: Answers, scores: SampleScores | None, n: int) -> bool:
    """Only a score of 1 cannot be beaten: later samples lose ties."""
    assert scores is not None
    return len(answers) >= n or any(
        score >= 1.0 for answer, score in zip(answers, scores, strict=True) if answer is not None
    )


BEST_OF_N = Strategy("best-of-n", "prm", choose, settled)
ORM_BEST_OF_N = Strategy("orm-best-of-n", "orm", choose, settled)
