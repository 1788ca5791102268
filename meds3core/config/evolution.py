"""The whole loop: search, training, evaluation, and what stands beside it to make the gain believable."""

from typing import Literal, Self

from pydantic import Field, model_validator

from meds3core.config.decoding import GREEDY, SampleConfig, ScorerConfig
from meds3core.config.engine import EngineConfig, TransformersEngineConfig
from meds3core.config.evaluation import EvaluationConfig
from meds3core.config.labels import PairLabelConfig, SftLabelConfig, StepLabelConfig
from meds3core.config.search import PRESETS as SEARCH_PRESETS
from meds3core.config.search import SearchConfig
from meds3core.config.training import CLINIC, PAPER, DpoConfig, GrpoConfig, OrmConfig, PrmConfig, SftConfig
from meds3core.data.curriculum import CurriculumSettings
from meds3core.data.overlap import OverlapKind
from meds3core.types.record import Record


class QuestionPlan(Record):
    """Which questions an iteration searches. Questions solved in every rollout are not searched again."""

    quotas: CurriculumSettings = Field(
        default=CurriculumSettings(), description="`count` is per iteration; None: all that are not solved"
    )
    prefer: Literal["again", "fresh"] = Field(
        default="again",
        description="Later iterations: first the questions searched before and not solved, or first new ones",
    )
    drop_overlaps: tuple[OverlapKind, ...] = Field(
        default=("exact", "normalised", "n-gram"),
        description="Training questions that overlap the held-out or validation file in these ways are left out",
    )


class EvaluationPlan(Record):
    """What is measured on the held-out questions, and on the validation questions where there are some."""

    greedy: SampleConfig = GREEDY
    greedy_policies: Literal["ends", "sft", "all"] = Field(
        default="all",
        description="Who answers greedily besides base, control and final model: nobody, every SFT model, every model",
    )
    greedy_questions: int | None = Field(default=None, ge=1, description="The first so many held-out; None: all")
    sampling: SampleConfig = SampleConfig()
    sampled: bool = Field(default=True, description="Whether base and final model are sampled for the strategies")
    sampled_questions: int | None = Field(default=None, ge=1, description="The first so many held-out; None: all")
    validation_questions: int | None = Field(default=None, ge=1, description="The first so many; None: all")
    figures: EvaluationConfig = EvaluationConfig()
    judge: Literal["auto", "none"] = Field(
        default="auto", description="auto: steps of clinic questions are judged by the clinic's rules"
    )


class EvolutionConfig(Record):
    """The loop (METHOD.md §2–§5, §8). Defaults are the published values; the trainings' own seeds are not used."""

    iterations: int = Field(default=2, ge=1, le=20)
    seed: int = Field(default=0, ge=0, lt=2**20, description="Search, training and sampling derive theirs from it")
    questions: QuestionPlan = QuestionPlan()

    engine: EngineConfig = TransformersEngineConfig()
    search: SearchConfig = SEARCH_PRESETS["paper"]
    search_concurrency: int = Field(default=64, ge=1, description="Trees that grow at once")
    search_shares: int = Field(default=1, ge=1, le=64, description="Searches that share an iteration's questions")
    guided_from: int | None = Field(
        default=None, ge=2, description="From this iteration on the newest PRM's scores are the simulation values"
    )

    sft_labels: SftLabelConfig = SftLabelConfig()
    pair_labels: PairLabelConfig = PairLabelConfig()
    step_labels: StepLabelConfig = StepLabelConfig()
    sft: SftConfig = SftConfig()
    dpo: DpoConfig = DpoConfig()
    dpo_after: Literal["last", "every", "never"] = Field(default="last", description="Which iterations end with DPO")
    grpo: GrpoConfig | None = Field(default=None, description="After the last iteration, on its questions")
    prm: PrmConfig | None = PrmConfig()
    reward_trees: Literal["newest", "all"] = Field(
        default="newest", description="Which iterations' trees give the step labels of reward models"
    )
    orm: OrmConfig | None = None
    scorer: ScorerConfig = ScorerConfig()
    scored_trees: Literal["last", "all", "none"] = Field(
        default="last", description="Which iterations' trees the last process reward model scores, step by step"
    )

    control: Literal["first", "every", "never"] = Field(
        default="first", description="Which SFT stages have a control trained on unfiltered samples beside them"
    )
    evaluation: EvaluationPlan = EvaluationPlan()

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.search.mode != "training" or self.search.simulation != "rollouts":
            raise ValueError("search must be of mode 'training' with simulation 'rollouts'; guided_from does the rest")
        if self.guided_from is not None and self.prm is None:
            raise ValueError(f"guided_from ({self.guided_from}) needs a process reward model, but prm is none")
        if self.evaluation.greedy.draw.temperature > 0 or self.evaluation.greedy.n > 1:
            raise ValueError("evaluation.greedy must have n 1 and temperature 0")
        return self


_PAPER = EvolutionConfig.model_validate(
    {"sft": PAPER["sft"], "dpo": PAPER["dpo"], "prm": PAPER["prm"]},
)
_CLINIC = EvolutionConfig.model_validate(
    {
        "questions": {
            "quotas": {"count": 200},
            "prefer": "fresh",
            # Clinic questions are made of one another's sentences: long equal stretches say nothing.
            "drop_overlaps": ("exact", "normalised"),
        },
        "search": SEARCH_PRESETS["quick"],
        "search_shares": 2,
        "sft_labels": {"per_solved_question": 2},
        "pair_labels": {"gap": 0.4, "sibling_gap": 0.4},
        "step_labels": {"label": "soft", "source": "rollout", "both_outcomes": False},
        "reward_trees": "all",
        "sft": CLINIC["sft"],
        "dpo": CLINIC["dpo"],
        "prm": CLINIC["prm"],
        "evaluation": {
            "greedy": {"n": 1, "draw": {"temperature": 0.0, "top_p": 1.0}, "max_tokens": 192},
            "greedy_policies": "all",
            "sampling": {"max_tokens": 192},
            "sampled_questions": 200,
        },
    }
)

EVOLUTION_PRESETS: dict[str, EvolutionConfig] = {"paper": _PAPER, "clinic": _CLINIC}
"""`paper` has every published value. `clinic` suits the bundled policy: about five minutes on two idle cores."""
