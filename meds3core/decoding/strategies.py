"""Every strategy that answers from a set of samples, and the score a sample goes into it with."""

from collections.abc import Sequence

from meds3core.decoding.base import Strategy, exact
from meds3core.decoding.best_of_n import BEST_OF_N, ORM_BEST_OF_N
from meds3core.decoding.greedy import GREEDY
from meds3core.decoding.self_consistency import SELF_CONSISTENCY
from meds3core.decoding.vote import VOTE_MEAN, VOTE_SUM
from meds3core.prm.aggregate import AGGREGATORS

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy for strategy in (GREEDY, SELF_CONSISTENCY, BEST_OF_N, VOTE_SUM, VOTE_MEAN, ORM_BEST_OF_N)
}

OUTCOME = "outcome"
"""Stands for an aggregator where an outcome reward model gave the one score."""


def sample_score(step_scores: Sequence[float], aggregator: str) -> float:
    """One sample's score in [0, 1] from the scores of its steps, step 0 first (an ORM's: its one score).

    A trajectory that did not fit the reward model has no scores and counts 0.
    """
    if not step_scores:
        return 0.0
    return exact(step_scores[0] if aggregator == OUTCOME else AGGREGATORS[aggregator](step_scores))
