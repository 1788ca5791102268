"""Which steps are worth a person's minutes: rules with thresholds, their shares of a queue, and priority.

Priority is the information, in bits, that one answer of a person is expected to give about whether the step is good.
Rollouts and reward models are opinions about that; where they are unsure, or sure of opposite things, an answer tells
most (`expected_information`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydantic import Field

from meds3core.types.record import Record

STATED = -1
"""In place of a number of rollouts: the step states an answer, which a rule has checked."""
_CHECKED = 20
"""Rollouts that such a check counts as: there is little to learn about the step."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


class Rule(StrEnum):
    """Why a step is looked at."""

    FLAGGED = "flagged"
    """Somebody asked for it."""
    DROP = "drop"
    """The value falls at it."""
    DISAGREEMENT = "disagreement"
    """Reward model and rollouts say different things."""
    BAD_IN_RIGHT = "bad-in-right"
    """It looks bad and the answer is right."""
    REFLECTION = "reflection"
    """It takes back what was said."""
    UNCERTAIN = "uncertain"
    """The reward model does not know."""
    RANDOM = "random"
    """Drawn from all steps, for calibration."""


class FlagRules(Record):
    """Thresholds, and the share of the queue that each rule gets.

    A rule that finds too few leaves the rest of its share to the others; random ones are drawn first, from all steps.
    """

    least_drop: float = Field(default=0.3, ge=0.0, le=1.0, description="Loss of value from the step before")
    least_disagreement: float = Field(default=0.5, ge=0.0, le=1.0, description="Between score and value")
    bad_below: float = Field(default=0.3, ge=0.0, le=1.0, description="Score or value of a step that looks bad")
    uncertain_within: float = Field(default=0.15, ge=0.0, le=0.5, description="Distance of the score from one half")
    most_per_question: int = Field(default=3, ge=1, le=1000, description="Items from one question")
    flagged: int = Field(default=20, ge=0, le=100, description="Share, as are the following")
    drop: int = Field(default=25, ge=0, le=100)
    disagreement: int = Field(default=25, ge=0, le=100)
    bad_in_right: int = Field(default=10, ge=0, le=100)
    reflection: int = Field(default=5, ge=0, le=100)
    uncertain: int = Field(default=5, ge=0, le=100)
    random: int = Field(default=10, ge=0, le=100)

    @property
    def shares(self) -> Mapping[Rule, float]:
        """Of each rule, adding up to 1; all 0 where none has a share."""
        given = {rule: float(getattr(self, rule.value.replace("-", "_"))) for rule in Rule}
        total = sum(given.values())
        return {rule: share / total if total else 0.0 for rule, share in given.items()}


@dataclass(frozen=True, slots=True)
class Steps:
    """What is known of N steps, a column each of shape (N,). NaN: not known.

    `value` lies in [0, 1], after backup, 0 for a step that states a wrong answer; `drop` is what was lost from the step
    before; `score` is a process reward model's.
    """

    question: Integers
    """Equal numbers: steps of one question."""
    value: Floats
    drop: Floats
    rollouts: Integers
    """Of the step itself, at least 0; `STATED` of one that states an answer."""
    score: Floats
    right: Booleans
    """A right answer was reached through it."""
    reflection: Booleans
    flagged: Booleans

    def __len__(self) -> int:
        return len(self.question)

    @property
    def label(self) -> Floats:
        """What rollouts say of the step, in [0, 1]: the dual label of METHOD.md §3."""
        return np.asarray(np.clip(self.value - np.nan_to_num(np.maximum(self.drop, 0.0)), 0.0, 1.0))

    @property
    def settled(self) -> Booleans:
        """Which state a wrong answer: their label is 0 whatever anybody says (METHOD.md §2)."""
        return np.asarray((self.rollouts == STATED) & (self.value <= 0.0))


def matching(steps: Steps, rules: FlagRules) -> Mapping[Rule, Booleans]:
    """(N,) by rule: which steps it finds. A rule finds nothing where what it looks at is not known.

    Steps that state a wrong answer are for those who flag them and for chance: nobody's word changes their label.
    """
    label, score, is_open = steps.label, steps.score, ~steps.settled
    with np.errstate(invalid="ignore"):
        looks = np.fmin(label, score)
        return {
            Rule.FLAGGED: steps.flagged,
            Rule.DROP: is_open & (steps.drop >= rules.least_drop),
            Rule.DISAGREEMENT: is_open & (np.abs(score - label) >= rules.least_disagreement),
            Rule.BAD_IN_RIGHT: is_open & steps.right & (looks < rules.bad_below),
            Rule.REFLECTION: is_open & steps.reflection,
            Rule.UNCERTAIN: is_open & (np.abs(score - 0.5) <= rules.uncertain_within),
            Rule.RANDOM: np.ones(len(steps), dtype=bool),
        }


def expected_information(value: Floats, drop: Floats, rollouts: Integers, score: Floats) -> Floats:
    """(N,) bits that a person's yes or no is expected to give: the entropy of what is believed before.

    The belief is the mean of two opinions: rollouts' and the reward model's. Rollouts': of those that would have gone
    right from the step before (its value, `value + drop`; all of them where `drop` is NaN) the share that still does,
    drawn towards one half by one imagined right and one imagined wrong rollout. After an error none went right anyway,
    and rollouts know nothing of what people are asked: whether the step adds an error of its own.

    Entropy of a mixture is the mean entropy of its parts plus how far they are apart (the Jensen-Shannon divergence):
    unsure opinions and opposed ones both count. An opinion that is NaN is left out; with none the answer is worth a
    whole bit. Of a step that states a wrong answer it is worth nothing: the step's label is 0 by rule.
    """
    stated = rollouts == STATED
    tried = np.where(stated, _CHECKED, rollouts)
    before = np.where(np.isnan(drop), 1.0, np.clip(value + drop, value, 1.0))
    smoothed = (value * tried + 1.0) / (before * tried + 2.0)
    opinions = np.stack([smoothed, score])
    known = ~np.isnan(opinions)
    total = np.where(known, opinions, 0.0).sum(axis=0)
    belief = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), 0.5)
    return np.asarray(np.where(stated & (value <= 0.0), 0.0, entropy(belief)))


def entropy(belief: Floats) -> Floats:
    """In bits, of a yes that is believed with this probability."""
    p = np.clip(belief, 1e-12, 1.0 - 1e-12)
    bits = -(p * np.log2(p) + (1.0 - p) * np.log2(1.0 - p))
    return np.asarray(np.where((belief <= 0.0) | (belief >= 1.0), 0.0, bits))
