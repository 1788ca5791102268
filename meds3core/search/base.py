"""What a search needs from outside: an engine, a verifier, perhaps a step scorer, and the prompt to use them with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from meds3core.config.search import SearchConfig
from meds3core.engines.base import Engine
from meds3core.errors import ConfigError
from meds3core.text.prompts import PromptTemplate
from meds3core.types.question import OpenQuestion
from meds3core.verify.base import Verifier


class StepScorer(Protocol):
    """A process reward model as search sees it."""

    async def score(self, question: OpenQuestion, bodies: Sequence[str]) -> list[float]:
        """One score in [0, 1] per step; `bodies[0]` is step 0."""


class VerifierLookup(Protocol):
    """Finds the verifier for a question's answer format."""

    def __call__(self, question: OpenQuestion) -> Verifier:
        """The verifier."""


@dataclass(frozen=True, slots=True)
class SearchTools:
    """All that a tree is grown with, shared by every tree of a forest."""

    engine: Engine
    verifier_for: VerifierLookup
    prompt: PromptTemplate
    config: SearchConfig
    seed: int
    scorer: StepScorer | None = None
    scorer_hash: str = ""
    """Of the reward model, where there is one: a tree guided by it is a function of it too."""

    def __post_init__(self) -> None:
        if self.config.simulation == "scorer" and self.scorer is None:
            raise ConfigError("simulation 'scorer' needs a process reward model; none was given")
