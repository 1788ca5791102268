"""How answers are drawn and scored (METHOD.md §5). Defaults are the published values."""

from typing import Literal

from pydantic import Field

from meds3core.config.engine import Dtype
from meds3core.config.search import DrawConfig, PromptName
from meds3core.types.record import Record


class SampleConfig(Record):
    """n answers per question. Greedy decoding is n = 1 at temperature 0."""

    prompt: PromptName = "auto"
    n: int = Field(default=16, ge=1, le=4096)
    draw: DrawConfig = DrawConfig(temperature=1.0, top_p=0.95)
    max_tokens: int = Field(default=1536, ge=1, le=65536)


class ScorerConfig(Record):
    """How a reward model is run."""

    kind: Literal["transformers", "vllm"] = "transformers"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")
    dtype: Dtype = "auto"
    batch_tokens: int = Field(default=16_384, ge=16, description="Tokens of one forward pass, padding included")
    batch_invariant: bool = Field(
        default=False,
        description="Every trajectory computed by itself: slower, exactly the same alone and in company",
    )
    gpu_memory_utilization: float = Field(default=0.5, gt=0.0, le=1.0)


class BeamConfig(Record):
    """Step-level beam search guided by a process reward model."""

    prompt: PromptName = "auto"
    width: int = Field(default=4, ge=1, le=256, description="Trajectories kept after each step")
    branching: int = Field(default=4, ge=1, le=256, description="Next steps drawn for each of them")
    step_draw: DrawConfig = DrawConfig(temperature=1.0, top_p=0.95)
    step_tokens: int = Field(default=512, ge=1, le=32768)
    finish_tokens: int = Field(default=1536, ge=1, le=65536, description="Of the text that must finish, at max_depth")
    max_depth: int = Field(default=12, ge=1, le=1000, description="Steps after step 0; the last draw may only finish")


GREEDY = SampleConfig(n=1, draw=DrawConfig(temperature=0.0, top_p=1.0))
