"""How results are computed and judged (METHOD.md §8)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from meds3core.config.decoding import GREEDY, SampleConfig
from meds3core.types.record import Record

TransformName = Literal["shuffled-options", "renamed-letters", "distractor", "missing-fact"]
TRANSFORM_NAMES: tuple[TransformName, ...] = ("shuffled-options", "renamed-letters", "distractor", "missing-fact")


class FixedStrategy(Record):
    """A way to answer from samples that was settled before anything was measured. Default: the published one."""

    strategy: str = "vote-sum"
    aggregator: str | None = Field(default="last", description="None for strategies that read no scores")


class EvaluationConfig(Record):
    """Everything an evaluation's figures depend on besides samples and scores."""

    level: float = Field(default=0.95, gt=0.0, lt=1.0, description="Coverage of every interval")
    resamples: int = Field(default=2000, ge=100, le=1_000_000, description="Of intervals")
    p_resamples: int = Field(default=10_000, ge=100, le=1_000_000, description="Of paired comparisons")
    subsets: int = Field(default=100, ge=1, description="Seeded subsets of samples where there is no closed form")
    ns: tuple[int, ...] | None = Field(default=None, description="Samples per question; None: powers of two, and all")
    aggregators: tuple[str, ...] | None = Field(default=None, description="None: all")
    fixed: FixedStrategy = Field(
        default=FixedStrategy(), description="Reported as the chosen one where no validation set can choose"
    )
    flag_below: float = Field(
        default=0.5, ge=0.0, le=1.0, description="PRM score under which a step is flagged, without a validation set"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Of resampling and of transforms")


class ProbeConfig(Record):
    """Robustness and faithfulness probes: which, and on how many questions."""

    transforms: tuple[TransformName, ...] = TRANSFORM_NAMES
    questions: int | None = Field(default=200, ge=1, description="The first so many; None: all")
    early_answers: bool = Field(default=True, description="Answer at once after 0, 1, 2, … of its own steps")
    corrupted_step: bool = Field(default=True, description="Go on after one step with a wrong number")
    seed: int = Field(default=0, ge=0, lt=2**32)


class CollectConfig(Record):
    """What an evaluation draws from a policy before anything is computed."""

    greedy: SampleConfig = Field(default=GREEDY, description="Of every question")
    samples: SampleConfig | None = Field(default=SampleConfig(), description="None: greedy answers only")
    sampled_questions: int | None = Field(default=None, ge=1, description="The first so many; None: all")
    probes: ProbeConfig | None = Field(default=None, description="Robustness and faithfulness; None: not probed")
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _greedy_is_greedy(self) -> Self:
        if self.greedy.n != 1 or self.greedy.draw.temperature != 0:
            raise ValueError(
                f"greedy answers are one a question at temperature 0, not {self.greedy.n} at "
                f"{self.greedy.draw.temperature}"
            )
        if self.samples is not None and self.samples.n > 1 and self.samples.draw.temperature == 0:
            raise ValueError(f"{self.samples.n} samples at temperature 0 would all be the same: raise the temperature")
        return self
