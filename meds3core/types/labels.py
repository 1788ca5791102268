"""What training learns from: trajectories to imitate, pairs to prefer between, labels of steps.

Every record remembers where it came from, so that a wrong example in training can be followed to its node. Bodies
are step bodies in order, step 0 first; numbers follow from positions (`meds3core.text.steps`).
"""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record


class Origin(Record):
    """The place in a tree that a record was made from. Empty strings where the source did not tell."""

    tree: str = Field(default="", description="Content hash of the tree")
    policy_hash: str = Field(default="", description="Of the policy that wrote the steps")
    prompt_hash: str = ""


class SftExample(Record):
    """A right trajectory to imitate: the loss falls on every step from step 0 on and on the end of the turn."""

    question: OpenQuestion
    bodies: tuple[str, ...] = Field(min_length=1)
    weakest: float = Field(default=1.0, ge=0.0, le=1.0, description="Minimum node value, root excluded")
    node: int = Field(default=-1, ge=-1, description="Leaf; -1: not from a tree")
    prefix_hash: str = Field(default="", description="Of question and all bodies")
    origin: Origin = Origin()


class PairKind(StrEnum):
    """How the two continuations of a pair were found (METHOD.md §3)."""

    LEVEL = "level"
    FINISH = "finish"
    SIBLING = "sibling"


class PreferencePair(Record):
    """Two continuations of one prefix, the first to be preferred.

    A continuation that does not reach an answer (`*_finished` false) must not be closed by an end-of-turn token.
    """

    kind: PairKind
    question: OpenQuestion
    prefix: tuple[str, ...] = Field(min_length=1, description="Shared bodies, step 0 first")
    chosen: tuple[str, ...] = Field(min_length=1)
    rejected: tuple[str, ...] = Field(min_length=1)
    chosen_finished: bool
    rejected_finished: bool
    margin: float = Field(ge=0.0, le=1.0, description="Difference of the values that made the pair")
    chosen_node: int = Field(default=-1, ge=-1)
    rejected_node: int = Field(default=-1, ge=-1)
    prefix_hash: str = ""
    origin: Origin = Origin()


class LabelKind(StrEnum):
    """What a step's label means (METHOD.md §3)."""

    HARD = "hard"
    SOFT = "soft"
    DUAL = "dual"
    DUAL_HARD = "dual-hard"
    CONSENSUS = "consensus"
    HUMAN = "human"


class LabelledTrajectory(Record):
    """A finished trajectory with a label per step, for a process reward model.

    `labels[i]` belongs to `bodies[i]`; None: no label (always so for step 0). `nodes[i]` is the step's node, -1 where
    unknown: trajectories of one tree (`origin.tree`) that share a node share its prefix, so a whole-tree pass may
    compute it once.
    """

    question: OpenQuestion
    bodies: tuple[str, ...] = Field(min_length=1)
    labels: tuple[float | None, ...]
    weights: tuple[float, ...] = Field(default=(), description="Of each step's loss; empty: all 1")
    nodes: tuple[int, ...] = ()
    prefix_hashes: tuple[str, ...] = Field(default=(), description="Of question and bodies up to each step")
    correct: bool | None = Field(
        description="Whether it ends in the right answer; None: it ends before any answer, or nobody knows"
    )
    origin: Origin = Origin()

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        for name in ("labels", "weights", "nodes", "prefix_hashes"):
            length = len(getattr(self, name))
            if length != len(self.bodies) and (length or name == "labels"):
                raise ValueError(f"{name} has {length} entries for {len(self.bodies)} steps")
        if any(label is not None and not 0.0 <= label <= 1.0 for label in self.labels):
            raise ValueError("a label lies outside [0, 1]")
        return self


class LabelCounts(Record):
    """What became of the source: `dropped` counts by reason, in words a person can act on."""

    trees: int = 0
    judgements: int = 0
    questions: int = 0
    kept: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
