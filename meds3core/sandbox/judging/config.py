"""What the experiment "does the loop of judging pay?" does, in numbers."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from meds3core.config.decoding import SampleConfig, ScorerConfig
from meds3core.config.engine import EngineConfig, TransformersEngineConfig
from meds3core.config.evolution import EVOLUTION_PRESETS
from meds3core.config.labels import PeopleConfig, StepLabelConfig
from meds3core.config.search import SearchConfig
from meds3core.config.training import PrmConfig
from meds3core.judgements.flagging import FlagRules
from meds3core.types.record import Record

Arm = Literal["queue", "information", "random"]
"""How the steps to judge are chosen: as a queue does by its usual rules and shares; by priority alone; by chance."""

NONE = "rollouts"
"""What the experiment calls the reward model that learnt from rollouts alone."""

_NO_SHARES = {"flagged": 0, "drop": 0, "disagreement": 0, "bad_in_right": 0, "reflection": 0, "uncertain": 0}

RULES: Mapping[Arm, FlagRules] = {
    "queue": FlagRules(),
    # A threshold that every score meets: what is most informative, whichever rule would have found it.
    "information": FlagRules(**{**_NO_SHARES, "random": 0, "uncertain": 100, "uncertain_within": 0.5}),
    "random": FlagRules(**{**_NO_SHARES, "random": 100}),
}


class JudgingConfig(Record):
    """The experiment. A seed is one set of trees, its judgements, and the trainings on them."""

    seeds: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1)
    arms: tuple[Arm, ...] = Field(default=("queue", "information", "random"), min_length=1)
    questions: int = Field(default=300, ge=1, description="Training questions that are searched")
    judgements: int = Field(default=300, ge=1, description="Steps that are judged")
    error_rate: float = Field(default=0.05, ge=0.0, le=1.0, description="Of the simulated person")
    people: PeopleConfig = Field(default=PeopleConfig(held_out=0.0), description="As the product has it")
    held_out: int = Field(default=500, ge=1, description="Questions of the test space to measure reward models on")
    held_out_seed: int = 1
    validation: int = Field(default=250, ge=1, description="More of them, on which thresholds are chosen")
    validation_seed: int = 2
    search: SearchConfig
    labels: StepLabelConfig
    training: PrmConfig
    engine: EngineConfig = TransformersEngineConfig()
    scorer: ScorerConfig = ScorerConfig()
    sampling: SampleConfig = SampleConfig(n=4, max_tokens=192)
    resamples: int = Field(default=5_000, ge=100)


def _clinic(**changes: object) -> JudgingConfig:
    """With the search, labels and training of the clinic's loop."""
    loop = EVOLUTION_PRESETS["clinic"]
    assert loop.prm is not None
    return JudgingConfig.model_validate(
        {"search": loop.search, "labels": loop.step_labels, "training": loop.prm} | changes
    )


FULL = _clinic()
SMOKE = _clinic(
    seeds=(1,),
    questions=12,
    judgements=10,
    held_out=12,
    validation=12,
    search=FULL.search.model_copy(update={"max_nodes": 6, "rollouts": 2, "min_rollouts": 2}),
    training=FULL.training.model_copy(update={"epochs": 1.0, "warm_up_steps": 0}),
    sampling=SampleConfig(n=2, max_tokens=96),
    resamples=100,
)
"""Everything once, in a minute; its figures mean nothing."""

JUDGING_PRESETS: dict[str, JudgingConfig] = {"full": FULL, "smoke": SMOKE}
