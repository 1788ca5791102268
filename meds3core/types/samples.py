"""Answers a policy gave to questions, stored once: every strategy, for every n, is computed from them afterwards."""

from typing import Literal

from pydantic import Field

from meds3core.types.question import OpenQuestion, Question
from meds3core.types.record import Record

SAMPLES_FORMAT = "meds3-samples/1"


class Sample(Record):
    """One answer. `bodies` are its steps, step 0 first."""

    bodies: tuple[str, ...] = Field(min_length=1)
    answer: str | None = Field(default=None, description="Normal form; None: no answer found, which is not wrong")
    correct: bool | None = Field(default=None, description="None: no answer, or no gold to check against")
    finish: Literal["end", "stop", "length"] = "end"
    generated_tokens: int = Field(default=0, ge=0)
    prompt_tokens: int = Field(default=0, ge=0, description="Computed anew, that is after caching")


class QuestionSamples(Record):
    """All answers to one question, by sample index."""

    question: Question | OpenQuestion
    samples: tuple[Sample, ...]


class SampleSource(Record):
    """What the samples were drawn with; two sets are comparable only where these say so."""

    format: str = SAMPLES_FORMAT
    policy: str
    policy_hash: str
    engine: str
    prompt: str = Field(description="Name and version, e.g. plain@1")
    prompt_hash: str
    config_hash: str
    temperature: float
    top_p: float
    n: int = Field(ge=1)
    seed: int


class QuestionScores(Record):
    """A reward model's scores of one question's samples, in sample order.

    Of a PRM: per sample one score in [0, 1] for each body, step 0 first. Of an ORM: per sample one score.
    """

    question_id: str
    scores: tuple[tuple[float, ...], ...]
    scored_tokens: int = Field(default=0, ge=0, description="Tokens the reward model read")


class ScoreSource(Record):
    """Which reward model gave the scores, and how they are to be read."""

    kind: Literal["prm", "orm"]
    model: str
    model_hash: str
    samples_hash: str = Field(description="Content hash of the sample set that was scored")
