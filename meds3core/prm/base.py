"""What a reward model can do, whatever runs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from meds3core.types.question import OpenQuestion
from meds3core.types.tree import Tree


@dataclass(frozen=True, slots=True)
class ScoreItem:
    """One trajectory to be scored; `bodies[0]` is step 0."""

    question: OpenQuestion
    bodies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """`values`: of a PRM one score in [0, 1] per body, of an ORM one. `tokens`: how many the model computed for it."""

    values: tuple[float, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class ScorerInfo:
    """What this reward model is, for provenance."""

    kind: Literal["prm", "orm"]
    model: str
    model_hash: str
    prompt_hash: str
    context_length: int


class TrajectoryScorer(Protocol):
    """A loaded reward model. Blocking; one thread at a time.

    A score depends on nothing but its trajectory: not on padding, batch or neighbours. Raises `ContextOverflow` when
    a trajectory does not fit, `EngineError` when the model failed.
    """

    @property
    def info(self) -> ScorerInfo:
        """What this reward model is."""

    def score(self, items: Sequence[ScoreItem]) -> list[Scores]:
        """One result per item, in order."""

    def score_tree(self, tree: Tree) -> list[float]:
        """One score in [0, 1] per node, by node id, the root's first: a PRM's, shared prefixes computed once."""

    def close(self) -> None:
        """Give back memory."""
