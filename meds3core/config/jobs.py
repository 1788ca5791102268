"""What a job does: one specification per kind. The same record is the web form, the API body, the job's row and what
the worker gets.

A specification holds references, never a place: no path but on the command line (`LocalPath`), no URL, no secret. A
remote engine is a registered endpoint; its key reaches the worker by its environment.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, TypeAdapter, model_validator

from meds3core.config.decoding import SampleConfig, ScorerConfig
from meds3core.config.engine import OpenAIEngineConfig, TransformersEngineConfig, VllmEngineConfig
from meds3core.config.evaluation import CollectConfig, EvaluationConfig
from meds3core.config.evolution import EvolutionConfig
from meds3core.config.labels import PairLabelConfig, SftLabelConfig, StepLabelConfig
from meds3core.config.search import SearchConfig
from meds3core.config.training import DpoConfig, GrpoConfig, OrmConfig, PrmConfig, SftConfig
from meds3core.data.curriculum import CurriculumSettings
from meds3core.data.overlap import OverlapSettings
from meds3core.data.records import ColumnMapping
from meds3core.types.labels import LabelKind
from meds3core.types.record import Record

RegisteredKind = Literal["upload", "dataset", "model", "endpoint", "trees", "labels", "evaluation", "evolution"]


class LocalPath(Record):
    """A file or folder of this machine. Only the command line takes it; web and API refuse it."""

    path: str = Field(min_length=1, max_length=4096)


class Registered(Record):
    """Something that the instance knows: checked against the team at submit and again at claim."""

    kind: RegisteredKind
    id: UUID


Reference = LocalPath | Registered

Engine = Annotated[TransformersEngineConfig | VllmEngineConfig, Field(discriminator="kind")]
"""An engine in the job's own process. A remote one is a `Registered` endpoint."""


class _Spec(Record):
    @model_validator(mode="after")
    def _names_no_place(self) -> Self:
        for part in _parts(self):
            if isinstance(part, OpenAIEngineConfig):
                raise ValueError("a job's remote engine is a registered endpoint; a specification holds no URL")
            if isinstance(part, VllmEngineConfig) and part.adapter is not None:
                raise ValueError("a job's adapter belongs to its registered model; a specification holds no path")
        return self


class PreviewSpec(_Spec):
    """A look at an uploaded file: its format, its columns, its first rows as they would be imported."""

    kind: Literal["preview"] = "preview"
    upload: Reference
    mapping: ColumnMapping | None = Field(
        default=None, description="None: guessed where the file's own fields say little"
    )
    source: str = Field(default="", max_length=200, description="Source of rows that name none; empty: the file's name")


class ImportSpec(_Spec):
    """An uploaded file becomes a new version of a dataset."""

    kind: Literal["import"] = "import"
    upload: Reference
    dataset: Reference | None = Field(
        default=None, description="A version of the dataset that gets the new one; None: a new dataset called `name`"
    )
    name: str = Field(default="", max_length=200, description="Of a new dataset; empty: the file's name")
    mapping: ColumnMapping | None = Field(default=None, description="Which columns mean what; None: a known shape")
    source: str = Field(default="", max_length=200, description="Source of rows that name none; empty: the file's name")


class PassRatesSpec(_Spec):
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


class SearchSpec(_Spec):
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


class TreeScoringSpec(_Spec):
    """A process reward model scores stored trees."""

    kind: Literal["tree-scoring"] = "tree-scoring"
    trees: Reference
    model: Reference
    scorer: ScorerConfig = ScorerConfig()


class LabelsSpec(_Spec):
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


class _TrainingSpec(_Spec):
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


class OrmSpec(_TrainingSpec):
    """Training of an outcome reward model."""

    kind: Literal["orm"] = "orm"
    training: OrmConfig = OrmConfig()


class GrpoSpec(_Spec):
    """Reinforcement learning on questions whose answers can be checked."""

    kind: Literal["grpo"] = "grpo"
    policy: Reference
    questions: Reference
    training: GrpoConfig = GrpoConfig()
    name: str = Field(default="", max_length=200)


TrainingSpec = Annotated[SftSpec | DpoSpec | PrmSpec | OrmSpec | GrpoSpec, Field(discriminator="kind")]
"""A training by one of the methods."""


class TrainingPreviewSpec(_Spec):
    """What a training would see: its examples token by token, counted. Nothing is trained."""

    kind: Literal["training-preview"] = "training-preview"
    training: TrainingSpec


class EvaluationSpec(_Spec):
    """Strategies of inference measured on a benchmark."""

    kind: Literal["evaluation"] = "evaluation"
    name: str = Field(default="", max_length=200, description="Of the evaluation; empty: the job's title")
    questions: Reference
    validation: Reference | None = Field(default=None, description="On which strategy and thresholds are chosen")
    policy: Reference
    prm: Reference | None = Field(default=None, description="Process reward model that scores the samples")
    orm: Reference | None = Field(default=None, description="Outcome reward model that scores the samples")
    engine: Engine | Registered = TransformersEngineConfig()
    collect: CollectConfig = CollectConfig()
    scoring: ScorerConfig = ScorerConfig()
    figures: EvaluationConfig = EvaluationConfig()
    limit: int | None = Field(default=None, ge=1, description="The first so many questions; None: all")
    concurrency: int = Field(default=256, ge=1, le=4096, description="Answers that are written at once")


class Restart(Record):
    """A loop begins with what another one has: its stages are taken over where settings and inputs are the same."""

    job: Reference = Field(description="The other loop")
    stage: str = Field(
        default="", max_length=80, description="Done anew, with all that depends on it; empty: only what has changed"
    )


class EvolutionSpec(_Spec):
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


class EstimateSpec(_Spec):
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


FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]
"""The name of one folder, never a path."""


class ImportRootFolder(Record):
    """A folder picked by its name, inside one of the folders that the operator listed by a name."""

    root: FolderName
    folder: FolderName


class HubModel(Record):
    """A model picked by its name on a hub, where the operator allows it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$", max_length=200)
    revision: str = Field(default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")


class ModelImportSpec(_Spec):
    """A model that somebody brings is checked, loaded once, and listed."""

    kind: Literal["model-import"] = "model-import"
    upload: Reference | None = Field(default=None, description="Uploaded files; or else root or hub")
    root: ImportRootFolder | None = None
    hub: HubModel | None = None
    name: str = Field(min_length=1, max_length=200, pattern=r"\S", description="Under which it is listed")
    role: Literal["policy", "prm", "orm"] = "policy"
    base: Reference | None = Field(default=None, description="The model that an adapter belongs to")
    prompt: Literal["plain", "guided"] | None = Field(
        default=None, description="What a policy without a card is asked with; None: guided"
    )
    score_head: Literal["sigmoid", "sigmoid1", "softmax1"] | None = Field(
        default=None, description="How the logits of a reward model without a card are read"
    )

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if sum(part is not None for part in (self.upload, self.root, self.hub)) != 1:
            raise ValueError("give exactly one of upload, root and hub")
        if isinstance(self.upload, Registered) and self.upload.kind != "upload":
            raise ValueError("upload names an upload")
        if isinstance(self.base, Registered) and self.base.kind != "model":
            raise ValueError("base names a model")
        if self.prompt is not None and self.role != "policy":
            raise ValueError("prompt is for a policy; reward models are trained with one prompt")
        if self.score_head is not None and self.role == "policy":
            raise ValueError("score_head is for a reward model")
        return self


class CurriculumSpec(_Spec):
    """Questions of a dataset are chosen into a new version: quotas, difficulty bands, nothing that is held out."""

    kind: Literal["curriculum"] = "curriculum"
    questions: tuple[Reference, ...] = Field(min_length=1, max_length=16, description="Versions to choose from")
    settings: CurriculumSettings = CurriculumSettings()
    held_out: tuple[Reference, ...] = Field(
        default=(), max_length=32, description="Versions whose questions, and those much like them, are left out"
    )
    overlap: OverlapSettings = Field(default=OverlapSettings(), description="When two questions are much alike")
    drop_duplicates: bool = Field(default=True, description="Leave out what repeats an earlier question")
    name: str = Field(default="", max_length=200, description="Of a new dataset; empty: a version of the first one's")


class DatasetCheckSpec(_Spec):
    """A version is looked through: near-duplicates inside, overlap with others, lengths in a model's tokens."""

    kind: Literal["dataset-check"] = "dataset-check"
    questions: Reference
    against: tuple[Reference, ...] = Field(default=(), max_length=32, description="Versions to compare with")
    overlap: OverlapSettings = OverlapSettings()
    model: Reference | None = Field(default=None, description="Whose tokenizer counts; None: the bundled policy's")


EXPORT_FORMATS: dict[str, tuple[str, ...]] = {
    "dataset": ("jsonl", "csv"),
    "trees": ("jsonl",),
    "labels": ("zip",),
    "evaluation": ("jsonl", "csv"),
}
"""Formats of each kind of thing that can be exported, the usual one first."""


class ExportSpec(_Spec):
    """Something stored is written to a file for download."""

    kind: Literal["export"] = "export"
    what: Reference
    format: Literal["jsonl", "csv", "zip"] = "jsonl"
    form: Literal["exact", "spreadsheet"] = Field(
        default="exact", description="Of CSV. Spreadsheet: cells that a spreadsheet would run are put in quotes"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if isinstance(self.what, Registered):
            formats = EXPORT_FORMATS.get(self.what.kind, ())
            if not formats:
                raise ValueError(f"a {self.what.kind} cannot be exported")
            if self.format not in formats:
                raise ValueError(f"{self.what.kind} can be exported as {' or '.join(formats)}, not as {self.format}")
        if self.form == "spreadsheet" and self.format != "csv":
            raise ValueError("only CSV has a form for spreadsheets")
        return self


class BackupSpec(_Spec):
    """Database and files in one archive."""

    kind: Literal["backup"] = "backup"
    files: bool = Field(default=True, description="Whether stored files go along with the database")


class SelfCheckSpec(_Spec):
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


def references(spec: Record) -> Iterator[Reference]:
    """Every reference in a specification, in the order of its fields."""
    return (part for part in _parts(spec) if isinstance(part, LocalPath | Registered))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Record):
        yield value
        for name in type(value).model_fields:
            yield from _parts(getattr(value, name))
    elif isinstance(value, tuple):
        for one in value:
            yield from _parts(one)
