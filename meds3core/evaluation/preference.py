"""Which model do people prefer? A ranking out of votes on pairs of answers (Bradley and Terry 1952).

Every model has a strength θ, and i is preferred to j with probability σ(θ_i − θ_j); a tie is half a win for each. An
imaginary player of strength 0, against whom everybody has won and lost half a game, keeps strengths finite where one
model won every vote, and on one scale where some were never set against each other.

What is asked is what *people* prefer, so people are the independent units, not votes: who votes a hundred times is
still one. Intervals leave out one voter at a time (the jackknife, with Student's t of one degree of freedom less than
there are voters), which needs neither many voters nor equally busy ones; see MacKinnon, Nielsen and Webb 2023. Needs
numpy, and scipy for Student's t when there is something to rank.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from pydantic import Field

from meds3core.evaluation.intervals import LEVEL, Estimate, Floats, Integers, numbered
from meds3core.types.record import Record

_PRIOR = 0.5
_ROUNDS = 40
_LONGEST_STEP = 2.0
_CELLS = 400_000
"""Games fitted at once."""


@dataclass(frozen=True, slots=True)
class Vote:
    """`won`: what the first got of it: 1, 0, or one half for a tie. Votes of one `voter` depend on each other, those of
    one `group` (a comparison of several questions) most of all.
    """

    first: str
    second: str
    won: float
    voter: Hashable
    group: Hashable


class Ranked(Record):
    """A model in the ranking."""

    name: str
    strength: Estimate = Field(
        description="How often it would be preferred to another one of the ranking; `n` counts who voted on it"
    )
    wins: int
    ties: int
    losses: int

    @property
    def votes(self) -> int:
        """On pairs with it."""
        return self.wins + self.ties + self.losses


class Ranking(Record):
    """Everybody who was voted on, the strongest first; those of equal strength by name."""

    models: tuple[Ranked, ...] = ()
    voters: int = Field(default=0, description="Whose votes these are")

    @property
    def has_intervals(self) -> bool:
        """Whether it can be said how sure it is: one voter tells nothing of how much voters differ."""
        return self.voters > 1


def ranking(votes: Iterable[Vote], *, level: float = LEVEL) -> Ranking:
    """Who is preferred, and how sure that is.

    The interval is the wider one of two: of leaving out one voter at a time, and of the likelihood's curvature with
    every group counted as one vote. The second never vanishes, also where all voters agree. From one voter's votes
    nothing follows for others': their intervals are everything, 0 to 1. Raises `ValueError` for a vote on one model
    alone.
    """
    given = list(votes)
    if not given:
        return Ranking()
    if any(vote.first == vote.second for vote in given):
        raise ValueError("a vote on one model against itself")
    names = sorted({name for vote in given for name in (vote.first, vote.second)})
    played = _Played.of(given, names)
    theta = _fit(played.games()[None])
    value = _shares(theta)[0]
    lows, highs = np.zeros(len(names)), np.ones(len(names))
    if played.voters > 1:
        width = np.maximum(_by_voters(played, value, level), _by_curvature(played, theta, level))
        lows, highs = _sigmoid(_logit(value) - width), _sigmoid(_logit(value) + width)
    found = []
    for at, name in enumerate(names):
        mine = (played.first == at) | (played.second == at)
        own = np.where(played.first == at, played.won, 1 - played.won)[mine]
        strength = Estimate(
            value=float(value[at]),
            low=float(lows[at]),
            high=float(highs[at]),
            n=len(np.unique(played.voter[mine])),
            method="jackknife",
            level=level,
        )
        wins, losses = int((own > 0.5).sum()), int((own < 0.5).sum())
        found.append(Ranked(name=name, strength=strength, wins=wins, ties=len(own) - wins - losses, losses=losses))
    found.sort(key=lambda one: (-round(one.strength.value, 9), one.name))
    return Ranking(models=tuple(found), voters=played.voters)


@dataclass(frozen=True, slots=True)
class _Played:
    """Votes as columns: models, voters and groups by number."""

    first: Integers
    second: Integers
    won: Floats
    voter: Integers
    voters: int
    each: Floats
    """What a vote weighs where its group is one vote."""
    models: int

    @classmethod
    def of(cls, votes: Sequence[Vote], names: Sequence[str]) -> "_Played":
        place = {name: at for at, name in enumerate(names)}
        voter, voters = numbered([str(vote.voter) for vote in votes])
        group, _ = numbered([str(vote.group) for vote in votes])
        return cls(
            first=np.array([place[vote.first] for vote in votes]),
            second=np.array([place[vote.second] for vote in votes]),
            won=np.array([vote.won for vote in votes], dtype=float),
            voter=voter,
            voters=voters,
            each=1 / np.bincount(group)[group],
            models=len(names),
        )

    def games(self, weights: Floats | float = 1.0) -> Floats:
        """What the row's model got against the column's: (k, k)."""
        won = np.zeros((self.models, self.models))
        np.add.at(won, (self.first, self.second), self.won * weights)
        np.add.at(won, (self.second, self.first), (1 - self.won) * weights)
        return won

    def games_of(self, start: int, end: int) -> Floats:
        """The same of each of these voters: (end - start, k, k)."""
        won = np.zeros((end - start, self.models, self.models))
        at = (self.voter >= start) & (self.voter < end)
        voter, first, second, got = self.voter[at] - start, self.first[at], self.second[at], self.won[at]
        np.add.at(won, (voter, first, second), got)
        np.add.at(won, (voter, second, first), 1 - got)
        return won


def _by_voters(played: _Played, value: Floats, level: float) -> Floats:
    """Half the intervals' widths (k,) in logits: one voter is left out at a time."""
    from scipy.special import stdtrit  # 0.3 s, with the first ranking

    count, whole = played.voters, played.games()
    block = max(1, _CELLS // whole.size)
    squares = np.zeros(played.models)
    for start in range(0, count, block):
        without = _shares(_fit(whole - played.games_of(start, min(start + block, count))))
        squares += ((_logit(without) - _logit(value)) ** 2).sum(axis=0)
    return np.asarray(stdtrit(count - 1, (1 + level) / 2) * np.sqrt(squares * (count - 1) / count))


def _by_curvature(played: _Played, theta: Floats, level: float) -> Floats:
    """Half the intervals' widths (k,) in logits, were groups independent and one vote each."""
    return np.asarray(NormalDist().inv_cdf((1 + level) / 2) * _spread(theta, played.games(played.each)))


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


def _logit(share: Floats) -> Floats:
    return np.asarray(np.log(share / (1 - share)))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))
