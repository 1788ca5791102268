"""What a job does: one specification per kind. The same record is the web form, the API body, the job's row and what
the worker gets.

References, which are all that a specification names, are in `references`; what brings data in and out in `data_jobs`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from meds3core.config.data_jobs import (
    CurriculumSpec,
    DatasetCheckSpec,
    ExportSpec,
    ImportSpec,
    ModelImportSpec,
    PreviewSpec,
)
from meds3core.config.decoding import SampleConfig, ScorerConfig
from meds3core.config.engine import TransformersEngineConfig, VllmEngineConfig
from meds3core.config.evaluation import CollectConfig, EvaluationConfig
from meds3core.config.evolution import EvolutionConfig
from meds3core.config.labels import (
    JudgementLabelConfig,
    PairLabelConfig,
    PeopleConfig,
    SftLabelConfig,
    StepLabelConfig,
)
from meds3core.config.references import Reference, Registered, Spec
from meds3core.config.search import SearchConfig
from meds3core.config.training import DpoConfig, GrpoConfig, OrmConfig, PrmConfig, SftConfig
from meds3core.data.curriculum import CurriculumSettings
from meds3core.judgements.flagging import FlagRules
from meds3core.types.labels import LabelKind
from meds3core.types.record import Record

Engine = Annotated[TransformersEngineConfig | VllmEngineConfig, Field(discriminator="kind")]
"""An engine in the job's own process. A remote one is a `Registered` endpoint."""


class PassRatesSpec(Spec):
    """How often a policy solves each question: a new version of the dataset with these difficulties."""

    kind: Literal["pass-rates"] = "pass-rates"
    questions: Reference
    policy: Reference
    engine: Engine = TransformersEngineConfig()
    sampling: SampleConfig = SampleConfig(n=8)
    curriculum: CurriculumSettings | None = Field(
        default=None, description="The new version holds this sample alone; None: all questions"
    )
    seed: int = Field(default=0, ge=0)


class SearchSpec(Spec):
    """Trees over the questions of a dataset; `shards` workers may share them."""

    kind: Literal["search"] = "search"
    questions: Reference
    policy: Reference
    engine: Engine | Registered = TransformersEngineConfig()
    search: SearchConfig = SearchConfig()
    scorer: Reference | None = Field(default=None, description="The process reward model that guides the search")
    scoring: ScorerConfig = Field(default=ScorerConfig(), description="How that reward model is run")
    limit: int | None = Field(default=None, ge=1, description="The first so many questions; None: all")
    concurrency: int = Field(default=64, ge=1, le=4096, description="Trees that grow at once in one worker")
    shards: int = Field(default=1, ge=1, le=64, description="Workers that share the questions")
    seed: int = Field(default=0, ge=0, description="All random numbers derive from it")

    @model_validator(mode="after")
    def _guide_fits(self) -> Self:
        if (self.search.simulation == "scorer") != (self.scorer is not None):
            raise ValueError(
                "a search that simulates by a scorer names its reward model (scorer), and only such a search does"
            )
        return self


class TreeScoringSpec(Spec):
    """A process reward model scores stored trees."""

    kind: Literal["tree-scoring"] = "tree-scoring"
    trees: Reference
    model: Reference
    scorer: ScorerConfig = ScorerConfig()


class LabelsSpec(Spec):
    """Stored trees become a training set: whichever of the three has settings."""

    kind: Literal["labels"] = "labels"
    name: str = Field(default="", max_length=200, description="Of the label set; empty: the job's title")
    trees: tuple[Reference, ...] = Field(min_length=1, max_length=64)
    sft: SftLabelConfig | None = None
    pairs: PairLabelConfig | None = None
    steps: StepLabelConfig | None = None
    judge: Literal["clinic"] | None = Field(default=None, description="Who judges steps, for label consensus or human")

    @model_validator(mode="after")
    def _builds_one(self) -> Self:
        if sum(part is not None for part in (self.sft, self.pairs, self.steps)) != 1:
            raise ValueError("give the settings of exactly one of sft, pairs and steps")
        asks = self.steps is not None and self.steps.label in (LabelKind.CONSENSUS, LabelKind.HUMAN)
        if asks != (self.judge is not None):
            raise ValueError("labels 'consensus' and 'human' name a judge, and only they do")
        return self


class JudgedLabelsSpec(Spec):
    """What people said in queues becomes a label set: frozen, with a hash of its content."""

    kind: Literal["judged-labels"] = "judged-labels"
    name: str = Field(default="", max_length=200, description="Of the label set; empty: the job's title")
    queues: tuple[Reference, ...] = Field(min_length=1, max_length=64)
    judged: JudgementLabelConfig = JudgementLabelConfig()


class JudgementImportSpec(Spec):
    """Judgements that were made elsewhere come into a queue, steps and all."""

    kind: Literal["judgement-import"] = "judgement-import"
    upload: Reference
    queue: Reference
    form: Literal["jsonl", "prm800k", "label-studio"] | None = Field(
        default=None, description="Form of the file; None: told from its lines"
    )
    source: str = Field(
        default="",
        max_length=100,
        description="Where it was judged: the same name there is the same person; empty: the file's name",
    )


class QueueFillingSpec(Spec):
    """Steps of a large search or evaluation are chosen and put into a queue."""

    kind: Literal["queue-filling"] = "queue-filling"
    queue: Reference
    source: Reference = Field(description="The trees of a search or a loop, or an evaluation")
    stage: str | None = Field(default=None, max_length=80, description="Of a loop; None: all")
    model: Reference | None = Field(default=None, description="Whose scores count; None: of what scored last")
    rules: FlagRules = FlagRules()
    items: int = Field(ge=1, le=5000)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)


class _TrainingSpec(Spec):
    policy: Reference
    labels: Reference
    name: str = Field(default="", max_length=200, description="Of the new model; empty: made from the job's title")


class SftSpec(_TrainingSpec):
    """Supervised fine-tuning."""

    kind: Literal["sft"] = "sft"
    training: SftConfig = SftConfig()


class DpoSpec(_TrainingSpec):
    """Preference training."""

    kind: Literal["dpo"] = "dpo"
    training: DpoConfig = DpoConfig()


class PrmSpec(_TrainingSpec):
    """Training of a process reward model."""

    kind: Literal["prm"] = "prm"
    training: PrmConfig = PrmConfig()
    beside: tuple[Reference, ...] = Field(
        default=(), max_length=16, description="More label sets to learn from together, of rollouts or of people"
    )
    people: PeopleConfig = Field(
        default=PeopleConfig(), description="How people's labels and rollouts' go together, where there are both"
    )
    compare: Reference | None = Field(
        default=None,
        description="The process reward model that the new one is compared with, on judged steps that are held out",
    )

    @model_validator(mode="after")
    def _names_label_sets(self) -> Self:
        named = [one.id for one in (self.labels, *self.beside) if isinstance(one, Registered)]
        if any(isinstance(one, Registered) and one.kind != "labels" for one in self.beside):
            raise ValueError("beside names label sets")
        if len(set(named)) != len(named):
            raise ValueError("a label set is named twice")
        if isinstance(self.compare, Registered) and self.compare.kind != "model":
            raise ValueError("compare names a model")
        return self


class OrmSpec(_TrainingSpec):
    """Training of an outcome reward model."""

    kind: Literal["orm"] = "orm"
    training: OrmConfig = OrmConfig()


class GrpoSpec(Spec):
    """Reinforcement learning on questions whose answers can be checked."""

    kind: Literal["grpo"] = "grpo"
    policy: Reference
    questions: Reference
    training: GrpoConfig = GrpoConfig()
    name: str = Field(default="", max_length=200)


TrainingSpec = Annotated[SftSpec | DpoSpec | PrmSpec | OrmSpec | GrpoSpec, Field(discriminator="kind")]
"""A training by one of the methods."""


class TrainingPreviewSpec(Spec):
    """What a training would see: its examples token by token, counted. Nothing is trained."""

    kind: Literal["training-preview"] = "training-preview"
    training: TrainingSpec


class EvaluationSpec(Spec):
    """Strategies of inference measured on a benchmark."""

    kind: Literal["evaluation"] = "evaluation"
    name: str = Field(default="", max_length=200, description="Of the evaluation; empty: the job's title")
    questions: Reference
    validation: Reference | None = Field(default=None, description="On which strategy and thresholds are chosen")
    policy: Reference
    prm: Reference | None = Field(default=None, description="Process reward model that scores the samples")
    orm: Reference | None = Field(default=None, description="Outcome reward model that scores the samples")
    engine: Engine | Registered = TransformersEngineConfig()
    judged: tuple[Reference, ...] = Field(
        default=(),
        max_length=16,
        description="Label sets of people: the process reward model is measured on their steps",
    )
    collect: CollectConfig = CollectConfig()
    scoring: ScorerConfig = ScorerConfig()
    figures: EvaluationConfig = EvaluationConfig()
    limit: int | None = Field(default=None, ge=1, description="The first so many questions; None: all")
    concurrency: int = Field(default=256, ge=1, le=4096, description="Answers that are written at once")

    @model_validator(mode="after")
    def _measures_a_reward_model(self) -> Self:
        if self.judged and self.prm is None:
            raise ValueError("judged steps measure a process reward model: name one (prm)")
        return self


class Restart(Record):
    """A loop begins with what another one has: its stages are taken over where settings and inputs are the same."""

    job: Reference = Field(description="The other loop")
    stage: str = Field(
        default="", max_length=80, description="Done anew, with all that depends on it; empty: only what has changed"
    )


class EvolutionSpec(Spec):
    """The whole loop."""

    kind: Literal["evolution"] = "evolution"
    name: str = Field(default="", max_length=200, description="Models and evaluations are named after it")
    questions: Reference
    held_out: Reference
    validation: Reference | None = None
    policy: Reference
    settings: EvolutionConfig = EvolutionConfig()
    restart: Restart | None = Field(default=None, description="The loop whose stages are taken over")

    @model_validator(mode="after")
    def _goes_on_from_a_loop(self) -> Self:
        if self.restart and isinstance(self.restart.job, Registered) and self.restart.job.kind != "evolution":
            raise ValueError("restart.job names an evolution")
        return self

    @model_validator(mode="after")
    def _measures_on_others(self) -> Self:
        if self.held_out == self.questions:
            raise ValueError("held_out names the training questions: measure on others, none of which is trained on")
        return self


class EstimateSpec(Spec):
    """What a search, or the searches of a loop, would cost: measured on a few of its questions, scaled to all."""

    kind: Literal["estimate"] = "estimate"
    search: SearchSpec | None = Field(default=None, description="The search in question; or else evolution")
    evolution: EvolutionSpec | None = Field(default=None, description="The loop whose searches are in question")
    trial: int = Field(default=5, ge=1, le=64, description="Questions that are really searched, evenly spaced")

    @model_validator(mode="after")
    def _is_of_one(self) -> Self:
        if (self.search is None) == (self.evolution is None):
            raise ValueError("give exactly one of search and evolution")
        return self


class BackupSpec(Spec):
    """Database and files in one archive."""

    kind: Literal["backup"] = "backup"
    files: bool = Field(default=True, description="Whether stored files go along with the database")


class SelfCheckSpec(Spec):
    """Proves that a queue works from submit to result: a small search over clinic questions with the bundled policy."""

    kind: Literal["self-check"] = "self-check"
    questions: int = Field(default=4, ge=1, le=1000)
    concurrency: int = Field(default=2, ge=1, le=64)
    max_nodes: int = Field(default=6, ge=2, le=200, description="Of each tree")
    rollouts: int = Field(default=2, ge=1, le=64, description="Of each node")
    seed: int = Field(default=0, ge=0)


JobSpec = Annotated[
    PreviewSpec
    | ImportSpec
    | PassRatesSpec
    | SearchSpec
    | TreeScoringSpec
    | LabelsSpec
    | JudgedLabelsSpec
    | JudgementImportSpec
    | QueueFillingSpec
    | SftSpec
    | DpoSpec
    | PrmSpec
    | OrmSpec
    | GrpoSpec
    | EvaluationSpec
    | EvolutionSpec
    | EstimateSpec
    | TrainingPreviewSpec
    | ModelImportSpec
    | ExportSpec
    | CurriculumSpec
    | DatasetCheckSpec
    | BackupSpec
    | SelfCheckSpec,
    Field(discriminator="kind"),
]

JOB_SPEC: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)
"""Reads and checks a specification of any kind."""
