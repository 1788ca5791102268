"""Specifications of jobs that bring things in, look them through, choose from them and hand them out."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from meds3core.config.references import Reference, Registered, Spec
from meds3core.data.curriculum import CurriculumSettings
from meds3core.data.overlap import OverlapSettings
from meds3core.data.records import ColumnMapping
from meds3core.types.record import Record


class PreviewSpec(Spec):
    """A look at an uploaded file: its format, its columns, its first rows as they would be imported."""

    kind: Literal["preview"] = "preview"
    upload: Reference
    mapping: ColumnMapping | None = Field(
        default=None, description="None: guessed where the file's own fields say little"
    )
    source: str = Field(default="", max_length=200, description="Source of rows that name none; empty: the file's name")


class ImportSpec(Spec):
    """An uploaded file becomes a new version of a dataset."""

    kind: Literal["import"] = "import"
    upload: Reference
    dataset: Reference | None = Field(
        default=None, description="A version of the dataset that gets the new one; None: a new dataset called `name`"
    )
    name: str = Field(default="", max_length=200, description="Of a new dataset; empty: the file's name")
    mapping: ColumnMapping | None = Field(default=None, description="Which columns mean what; None: a known shape")
    source: str = Field(default="", max_length=200, description="Source of rows that name none; empty: the file's name")


class CurriculumSpec(Spec):
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


class DatasetCheckSpec(Spec):
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
    "queue": ("jsonl", "csv", "prm800k", "trl"),
}
"""Formats of each kind of thing that can be exported, the usual one first."""


class ExportSpec(Spec):
    """Something stored is written to a file for download."""

    kind: Literal["export"] = "export"
    what: Reference
    format: Literal["jsonl", "csv", "zip", "prm800k", "trl"] = "jsonl"
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


class ModelImportSpec(Spec):
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
