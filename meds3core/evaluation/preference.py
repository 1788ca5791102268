"""Which model do people prefer? A ranking out of votes on pairs of answers (Bradley and Terry 1952).

Every model has a strength θ, and i is preferred to j with probability σ(θ_i − θ_j); a tie is half a win for each. An
imaginary player of strength 0, against whom everybody has won and lost half a game, keeps strengths finite where one
model won every vote, and on one scale where some were never set against each other. Needs numpy and nothing heavier.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from pydantic import Field

from meds3core.evaluation.intervals import LEVEL, RESAMPLES, Estimate, Floats, Integers, numbered, resampled_counts
from meds3core.types.record import Record

_PRIOR = 0.5
_ROUNDS = 40
_LONGEST_STEP = 2.0


@dataclass(frozen=True, slots=True)
class Vote:
    """`won`: what the first got of it: 1, 0, or one half for a tie. Votes of one `group` depend on each other."""

    first: str
    second: str
    won: float
    group: Hashable


class Ranked(Record):
    """A model in the ranking."""

    name: str
    strength: Estimate = Field(description="How often it would be preferred to another one of the ranking")
    wins: int
    ties: int
    losses: int

    @property
    def votes(self) -> int:
        """On pairs with it."""
        return self.wins + self.ties + self.losses


def ranking(
    votes: Iterable[Vote], *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Ranked, ...]:
    """Everybody who was voted on, the strongest first; those of equal strength by name.

    The interval is the wider one of two: of resampling whole groups, and of the likelihood's curvature with every group
    counted as one vote. The second never vanishes, also where all votes agree. Raises `ValueError` for a vote on one
    model alone.
    """
    given = list(votes)
    if not given:
        return ()
    if any(vote.first == vote.second for vote in given):
        raise ValueError("a vote on one model against itself")
    names = sorted({name for vote in given for name in (vote.first, vote.second)})
    groups, count = numbered([str(vote.group) for vote in given])
    won = _games(given, names, groups, count)  # (groups, k, k): what the row's model got against the column's
    whole = won.sum(axis=0)
    theta = _fit(whole[None])
    value = _shares(theta)[0]
    columns = len(names) ** 2
    drawn = [
        _shares(_fit((counts @ won.reshape(count, columns)).reshape(-1, len(names), len(names))))
        for counts in resampled_counts(count, resamples, seed, columns=max(count, columns * 4))
    ]
    tail = 100 * (1 - level) / 2
    lows, highs = np.percentile(np.concatenate(drawn), [tail, 100 - tail], axis=0)
    each = won / won.sum(axis=(1, 2), keepdims=True)  # every group as one vote
    spread = NormalDist().inv_cdf((1 + level) / 2) * _spread(theta, each.sum(axis=0))
    logit = np.log(value / (1 - value))
    lows, highs = np.minimum(lows, _sigmoid(logit - spread)), np.maximum(highs, _sigmoid(logit + spread))
    found = []
    for at, name in enumerate(names):
        own = [vote.won if vote.first == name else 1 - vote.won for vote in given if name in (vote.first, vote.second)]
        strength = Estimate(
            value=float(value[at]),
            low=float(min(lows[at], value[at])),
            high=float(max(highs[at], value[at])),
            n=int((won[:, at].sum(axis=1) + won[:, :, at].sum(axis=1) > 0).sum()),
            method="cluster-bootstrap",
            level=level,
        )
        wins, losses = sum(part > 0.5 for part in own), sum(part < 0.5 for part in own)
        found.append(Ranked(name=name, strength=strength, wins=wins, ties=len(own) - wins - losses, losses=losses))
    return tuple(sorted(found, key=lambda one: (-round(one.strength.value, 9), one.name)))


def _games(votes: Sequence[Vote], names: Sequence[str], groups: Integers, count: int) -> Floats:
    place = {name: at for at, name in enumerate(names)}
    won = np.zeros((count, len(names), len(names)))
    for vote, group in zip(votes, groups, strict=True):
        first, second = place[vote.first], place[vote.second]
        won[group, first, second] += vote.won
        won[group, second, first] += 1 - vote.won
    return won


def _fit(won: Floats) -> Floats:
    """Strengths (b, k) that make games (b, k, k) most likely, by Newton's method; the likelihood is concave."""
    theta = np.zeros(won.shape[:2])
    for _ in range(_ROUNDS):
        slope, curvature = _derivatives(theta, won)
        step = np.linalg.solve(curvature, slope[..., None])[..., 0]
        theta = theta + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        if np.abs(step).max() < 1e-9:
            break
    return theta


def _derivatives(theta: Floats, won: Floats) -> tuple[Floats, Floats]:
    """Slope (b, k) of the log-likelihood and its negative curvature (b, k, k)."""
    games = won + won.swapaxes(1, 2)
    odds = _sigmoid(theta[:, :, None] - theta[:, None, :])
    own = _sigmoid(theta)
    slope = (won - games * odds).sum(axis=2) + _PRIOR - 2 * _PRIOR * own
    weight = games * odds * (1 - odds)
    diagonal = weight.sum(axis=2) + 2 * _PRIOR * own * (1 - own)
    curvature = -weight
    at = np.arange(theta.shape[1])
    curvature[:, at, at] += diagonal
    return slope, curvature


def _shares(theta: Floats) -> Floats:
    """How often each is preferred to another one, drawn by chance: (b, k) of strengths (b, k)."""
    odds = _sigmoid(theta[:, :, None] - theta[:, None, :])
    return np.asarray((odds.sum(axis=2) - 0.5) / (theta.shape[1] - 1))


def _spread(theta: Floats, won: Floats) -> Floats:
    """Standard errors (k,) of the shares' logits, by the curvature at strengths (1, k) and the delta method."""
    covariance = np.linalg.inv(_derivatives(theta, won[None])[1])[0]
    odds = _sigmoid(theta[0][:, None] - theta[0][None, :])
    slopes = odds * (1 - odds)
    gradient = -slopes / (len(slopes) - 1)  # of a share by every strength
    np.fill_diagonal(gradient, (slopes.sum(axis=1) - 0.25) / (len(slopes) - 1))
    shares = _shares(theta)[0]
    errors = np.sqrt(np.einsum("ij,jk,ik->i", gradient, covariance, gradient))
    return np.asarray(errors / (shares * (1 - shares)))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))
