"""What the clinic study does, in numbers: seeds, questions, kinds of labels. A person with more time raises them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from meds3core.config.decoding import SampleConfig, ScorerConfig
from meds3core.config.evolution import EVOLUTION_PRESETS, EvolutionConfig
from meds3core.config.labels import StepLabelConfig
from meds3core.config.search import PRESETS, SearchConfig
from meds3core.decoding.tree import inference_config
from meds3core.types.labels import LabelKind
from meds3core.types.record import Record

JUDGED = (LabelKind.CONSENSUS, LabelKind.HUMAN)
"""Labels that need a judge besides the rollouts, or in place of them."""


class LabelVariant(Record):
    """A way to label the steps that a reward model learns from."""

    label: LabelKind
    threshold: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Of hard labels, and of the hard side of consensus"
    )
    source: Literal["backup", "rollout"] = "backup"
    rollouts: int = Field(default=16, ge=1, description="Per node, out of those that the search stored")

    @property
    def kind(self) -> str:
        """Label and threshold: `soft`, `hard, t = 0.5`."""
        if self.label in (LabelKind.HARD, LabelKind.CONSENSUS):
            return f"{self.label.value}, t = {self.threshold:g}"
        return self.label.value

    @property
    def name(self) -> str:
        """Of its stages and its model."""
        threshold = f"-{self.threshold:g}" if self.label in (LabelKind.HARD, LabelKind.CONSENSUS) else ""
        return f"{self.label.value}{threshold}-{self.source}-{self.rollouts}"


class StudyConfig(Record):
    """The study. Every seed is a whole loop: training questions, search, training and sampling differ."""

    seeds: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1)
    held_out: int = Field(default=1000, ge=1, description="Questions of the test space, the same for every seed")
    held_out_seed: int = 1
    validation: int = Field(default=500, ge=1, description="More of the test space, with other parameters")
    validation_seed: int = 2
    training: int = Field(default=600, ge=1, description="Questions of the training space that a loop may search")
    loop: EvolutionConfig
    sampling: SampleConfig = SampleConfig(max_tokens=192)
    scorer: ScorerConfig = ScorerConfig()
    ns: tuple[int, ...] = Field(default=(2, 4, 8, 16), min_length=1, description="Samples that strategies choose from")

    variants: tuple[LabelVariant, ...] = Field(min_length=1, description="Compared on the first seed")
    judge_error_rate: float = Field(default=0.1, ge=0.0, le=1.0, description="Of the step checker as a judge")
    grid_questions: int = Field(default=300, ge=1, description="Held-out questions of that comparison, the first ones")
    kept: int = Field(default=3, ge=1, description="The best ones, by validation questions, are trained on every seed")
    always: tuple[LabelKind, ...] = Field(
        default=(LabelKind.DUAL,), description="Kept in their best variant even when not among the best"
    )

    # The bundled policy was never taught to take an answer back: its second thoughts are mostly wrong.
    tree: SearchConfig = inference_config(PRESETS["quick"].model_copy(update={"max_reflections": 0}))
    tree_questions: int = Field(default=200, ge=1, description="Held-out questions of the tree search, the first ones")
    tree_samples: int = Field(default=32, ge=2, description="Samples per question that pay for at most as many tokens")

    resamples: int = Field(default=1000, ge=100, description="Of the intervals of areas under curves")

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.loop.prm is None:
            raise ValueError("the study compares process reward models, but loop.prm is none")
        if self.loop.control == "never":
            raise ValueError("the study needs a control: loop.control must be 'first' or 'every'")
        if max(self.ns) > self.sampling.n:
            raise ValueError(f"ns asks for {max(self.ns)} samples, but sampling.n is {self.sampling.n}")
        stored = self.loop.search.min_rollouts
        if max(each.rollouts for each in self.variants) > stored:
            raise ValueError(f"a variant has more rollouts than every node stores (loop.search.min_rollouts, {stored})")
        names = [each.name for each in self.variants]
        if len(set(names)) != len(names):
            raise ValueError("two variants are the same")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("two seeds are the same")
        return self

    def labels_of(self, variant: LabelVariant) -> StepLabelConfig:
        """The loop's own step labels with this kind."""
        changes = {"label": variant.label, "source": variant.source, "threshold": variant.threshold}
        return self.loop.step_labels.model_copy(update=changes)


def _loop(questions: int, rollouts: int, **changes: object) -> EvolutionConfig:
    """The demo's loop with its own number of questions and rollouts; the study samples by itself."""
    clinic = EVOLUTION_PRESETS["clinic"].model_dump()
    clinic["questions"]["quotas"]["count"] = questions
    clinic["search"] |= {"rollouts": rollouts, "min_rollouts": rollouts}
    clinic["evaluation"] |= {"sampled": False, "greedy_policies": "all"}
    clinic["control"] = "first"
    clinic["prm"]["epochs"] = 6.0  # more trees than the demo has: as many steps as there
    return EvolutionConfig.model_validate(clinic | changes)


_HARD_HALF = {"label": LabelKind.HARD, "threshold": 0.5}
_BY_ROLLOUTS: tuple[dict[str, object], ...] = (
    {"label": LabelKind.HARD},
    _HARD_HALF,
    {"label": LabelKind.SOFT},
    {"label": LabelKind.DUAL},
    {"label": LabelKind.DUAL_HARD},
    {"label": LabelKind.CONSENSUS},
)


def _variants(rollouts: tuple[int, ...]) -> tuple[LabelVariant, ...]:
    """All kinds by a node's own rollouts, in every number; the paper's by backed-up values; the judge alone once."""
    most = max(rollouts)
    own = [
        each | {"source": "rollout", "rollouts": count}
        for count in sorted(rollouts, reverse=True)
        for each in _BY_ROLLOUTS
    ]
    backed: dict[str, object] = {"label": LabelKind.DUAL, "source": "backup", "rollouts": most}
    judged: dict[str, object] = {"label": LabelKind.HUMAN, "source": "rollout", "rollouts": most}
    return tuple(LabelVariant.model_validate(each) for each in (*own, backed, judged))


FULL = StudyConfig(loop=_loop(300, 16), variants=_variants((4, 8, 16)))
"""The protocol of docs/results.md."""

SMOKE = StudyConfig(
    seeds=(1, 2),
    held_out=18,
    validation=18,
    training=24,
    loop=_loop(12, 2, sft=FULL.loop.sft.model_copy(update={"epochs": 1}), search_shares=1),
    sampling=SampleConfig(n=4, max_tokens=128),
    ns=(2, 4),
    variants=(
        LabelVariant(label=LabelKind.DUAL, source="rollout", rollouts=2),
        LabelVariant(label=LabelKind.SOFT, source="rollout", rollouts=1),
        LabelVariant(label=LabelKind.HUMAN, source="rollout", rollouts=2),
    ),
    grid_questions=9,
    kept=1,
    tree=FULL.tree.model_copy(update={"max_nodes": 6}),
    tree_questions=4,
    tree_samples=6,
    resamples=100,
)
"""Everything once, in a minute; its figures mean nothing."""

STUDY_PRESETS: dict[str, StudyConfig] = {"full": FULL, "smoke": SMOKE}
