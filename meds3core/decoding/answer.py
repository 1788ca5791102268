"""An answer found live, with what it was chosen from and what it took."""

from pydantic import Field

from meds3core.decoding.metering import Cost
from meds3core.types.record import Record


class Candidate(Record):
    """One finished trajectory that was considered."""

    bodies: tuple[str, ...] = Field(description="Step 0 first")
    answer: str | None
    scores: tuple[float, ...] = ()
    """The reward model's, as it gives them: one per body of a PRM. Empty: not scored."""
    score: float | None = None
    """Aggregated."""


class Answer(Record):
    """What a strategy answers to one question."""

    answer: str | None
    """Normal form; None: no candidate states one."""
    chosen: int | None
    """The candidate that stands for the answer."""
    why: str
    candidates: tuple[Candidate, ...]
    stopped_after: int
    """Samples drawn (answering from samples), steps deep (beam search), nodes grown (tree search)."""
    cost: Cost
