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


class JudgementLabelConfig(Record):
    """Labels of steps out of what people said of them."""

    kind: Literal["judgements"] = "judgements"
    rule: Literal["majority", "mean", "unanimous", "adjudicated"] = Field(
        default="majority",
        description="How several judgements of a step become one label. A reviewer's word always decides; "
        "adjudicated: nothing else counts",
    )
    least: int = Field(default=1, ge=1, le=100, description="Judgements of a step that there must be at least")
    neutral: Literal["good", "half", "bad", "left-out"] = Field(
        default="good", description="What a neutral step counts as: 1, 0.5, 0, or nothing"
    )
    revised: bool = Field(
        default=True, description="Whether a later judgement, made in sight of the scores, replaces a person's first"
    )
    controls: bool = Field(default=False, description="Whether planted control items become labels too")


class PeopleConfig(Record):
    """How labels from people and labels from rollouts go together in one training."""

    rule: Literal["outrank", "consensus"] = Field(
        default="outrank",
        description="Where both labelled a step. Outrank: the person's label counts; consensus: the step is left out "
        "unless both agree",
    )
    judged_only: bool = Field(default=False, description="Consensus: leave out the steps that nobody judged, too")
    weight: float = Field(default=4.0, gt=0.0, le=1000.0, description="Of a step that people labelled; others weigh 1")
    held_out: float = Field(
        default=0.2,
        ge=0.0,
        le=0.9,
        description="Share of the judged questions kept out of the training, to measure on them what labels were worth",
    )


LabelConfig = SftLabelConfig | PairLabelConfig | StepLabelConfig
"""What is made from trees."""

AnyLabelConfig = LabelConfig | JudgementLabelConfig
