"""How trees become training data (METHOD.md §3). Defaults are the published values."""

from typing import Literal

from pydantic import Field

from meds3core.types.labels import LabelKind, PairKind
from meds3core.types.record import Record


class SftLabelConfig(Record):
    """Rejection sampling: which right trajectories to imitate."""

    kind: Literal["sft"] = "sft"
    per_question: int = Field(default=4, ge=1, description="At most so many, best by minimum value first")
    per_solved_question: int = Field(
        default=1, ge=0, description="At most so many of a question whose finished trajectories are all right"
    )
    reflected: bool = Field(default=False, description="Whether trajectories that took an answer back are kept")


class PairLabelConfig(Record):
    """Preference pairs for DPO."""

    kind: Literal["pairs"] = "pairs"
    kinds: tuple[PairKind, ...] = (PairKind.LEVEL, PairKind.FINISH, PairKind.SIBLING)
    max_pairs: int = Field(default=4, ge=1, description="Per question and kind, greatest margin first")
    gap: float = Field(default=0.8, ge=0.0, le=1.0, description="Level and finish pairs: margin must exceed it")
    sibling_gap: float = Field(default=0.0, ge=0.0, le=1.0)


class StepLabelConfig(Record):
    """Labels of steps for a process reward model."""

    kind: Literal["steps"] = "steps"
    label: LabelKind = LabelKind.DUAL
    source: Literal["backup", "rollout"] = Field(
        default="backup", description="Which value of a node: after backup, or of its own rollouts alone"
    )
    threshold: float = Field(default=0.0, ge=0.0, lt=1.0, description="hard: 1 when the value exceeds it")
    penalty: float = Field(default=1.0, ge=0.0, description="λ of the dual labels")
    penalty_from: int = Field(default=2, ge=1, description="First step that can be penalised")
    both_outcomes: bool = Field(default=True, description="Only questions with right and wrong trajectories")
    human_weight: float = Field(default=1.0, gt=0.0, description="Weight of a step that a person labelled")
    max_trajectories: int | None = Field(default=None, ge=1, description="Per question, right and wrong in turn")


LabelConfig = SftLabelConfig | PairLabelConfig | StepLabelConfig
