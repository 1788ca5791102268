"""What one step computes: stretches of token sequences, and one token for every decoding row."""

from dataclasses import dataclass, field
from typing import Any

import torch

from meds3core.engines.transformers.jobs import GenerateJob, Ids, Job, ScoreJob
from meds3core.engines.transformers.slots import Shelf


@dataclass(eq=False, slots=True)
class Reading:
    """A token sequence whose keys and values are being computed, and who waits for it."""

    ids: Ids
    block: torch.Tensor
    done: int
    generate: list[GenerateJob] = field(default_factory=list)
    score: list[ScoreJob] = field(default_factory=list)
    continuation: tuple[ScoreJob, int] | None = None
    """Set where the tokens after the prompt are one continuation of a score job (all but its last)."""

    @property
    def jobs(self) -> list[Job[Any]]:
        """All who wait for it."""
        jobs: list[Job[Any]] = [*self.generate, *self.score]
        return jobs if self.continuation is None else [*jobs, self.continuation[0]]

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return any(not job.cancelled for job in self.jobs)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The part of a reading that one step computes."""

    reading: Reading
    stop: int
    """Tokens of the reading that are computed afterwards."""

    @property
    def last(self) -> bool:
        """Whether the reading ends with it."""
        return self.stop == len(self.reading.ids)

    @property
    def logits(self) -> int:
        """Rows of logits that it yields: every token of a continuation, else the last token of a prompt."""
        if self.reading.continuation is not None:
            return self.stop - self.reading.done
        return int(self.last)


@dataclass(frozen=True, slots=True)
class Decoding:
    """One decoding row in a step."""

    shelf: Shelf
    row: int
