"""Which steps are worth a person's minutes: rules with thresholds, their shares of a queue, and priority.

Priority is the information, in bits, that one answer of a person is expected to give about whether the step is good.
Rollouts and reward models are opinions about that; where they are unsure, or sure of opposite things, an answer tells
most (`expected_information`).
"""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from meds3core.types.record import Record


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
