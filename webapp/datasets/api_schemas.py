"""What the API says of datasets, and what it takes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from meds3core.config.data_jobs import EXPORT_FORMATS
from meds3core.config.references import Registered
from meds3core.data.curriculum import CurriculumPlan, CurriculumSettings
from meds3core.data.overlap import OverlapSettings
from meds3core.types.question import Question
from webapp.datasets.deletion import Dependents
from webapp.datasets.exports import Export
from webapp.datasets.models import Dataset, DatasetVersion, QuestionRow
from webapp.datasets.selectors import QuestionFilter, QuestionPage
from webapp.datasets.statistics import Statistics, statistics_of
from webapp.jobs.models import State

_FORMATS = "; ".join(f"{kind}: {' or '.join(formats)}" for kind, formats in EXPORT_FORMATS.items())
BAND = r"^$|^none$|^[0-9.]{1,6}-[0-9.]{1,6}$"


class DatasetIn(Schema):
    """Name and description of a dataset."""

    name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=5000)


class DatasetOut(Schema):
    """A name under which versions are kept."""

    id: UUID
    name: str
    description: str
    bundled: bool = Field(description="Came with the instance; everybody reads it and nobody changes it.")
    created: datetime

    @staticmethod
    def of(dataset: Dataset) -> "DatasetOut":
        """From the row."""
        return DatasetOut(
            id=dataset.pk,
            name=dataset.name,
            description=dataset.description,
            bundled=dataset.team.is_system,
            created=dataset.created,
        )


class VersionOut(Schema):
    """Questions that never change. Jobs name it as `{"kind": "dataset", "id": …}`."""

    id: UUID
    dataset: UUID
    name: str = Field(description="Of the dataset, with the number.")
    number: int
    ready: bool = Field(description="Finished; until then no job may use it.")
    questions: int
    rejected: int = Field(description="Rows of the file that are no question.")
    content_hash: str
    source_name: str
    job: UUID | None = Field(description="What made it.")
    parent: UUID | None = Field(description="The version that it was chosen from.")
    created: datetime

    @staticmethod
    def of(version: DatasetVersion) -> "VersionOut":
        """From the row."""
        return VersionOut(**_version(version))


class VersionWhole(VersionOut):
    """A version with how it was made and what is in it."""

    recipe: dict[str, Any]
    statistics: Statistics

    @staticmethod
    def of(version: DatasetVersion) -> "VersionWhole":
        """From the row."""
        return VersionWhole(**_version(version), recipe=version.recipe, statistics=statistics_of(version))


def _version(version: DatasetVersion) -> dict[str, Any]:
    same = "number ready questions rejected content_hash source_name created"
    return {name: getattr(version, name) for name in same.split()} | {
        "id": version.pk,
        "dataset": version.dataset_id,
        "name": str(version),
        "job": version.job_id,
        "parent": version.parent_id,
    }


class QuestionOut(Schema):
    """One question at its place."""

    position: int = Field(description="From 0.")
    content_hash: str
    question: Question

    @staticmethod
    def of(row: QuestionRow) -> "QuestionOut":
        """From the row."""
        return QuestionOut(
            position=row.position, content_hash=row.content_hash, question=Question.model_validate(row.record)
        )


class Wanted(Schema):
    """Which questions: those that meet all that is given."""

    source: str | None = Field(default=None, max_length=120, description='Exactly this one; "" is none.')
    domain: str | None = Field(default=None, max_length=120)
    answer_kind: str = Field(default="", max_length=12)
    difficulty: str = Field(
        default="", pattern=r"^$|^none$|^[0-9.]{1,6}-[0-9.]{1,6}$", description='"0.25-0.5" or "none"'
    )

    def filter(self, text: str = "") -> QuestionFilter:
        """For the selector."""
        return QuestionFilter(text=text, **self.model_dump(include=set(Wanted.model_fields)))


class SearchIn(Wanted):
    """A search in texts. What is looked for travels in the body, so that no log has it."""

    text: str = Field(min_length=1, max_length=500, description="Part of a question, whatever its case.")
    after: int | None = Field(default=None, ge=0, description="The position of the last question that you have.")
    limit: int = Field(default=50, ge=1, le=200)


class SearchOut(Schema):
    """Questions that were found, in the order of the version."""

    items: list[QuestionOut]
    after: int | None = Field(description="To be sent with the same search for the next ones; null at the end.")
    count: int
    count_is_least: bool = Field(description="Counting stopped here; there may be more.")

    @staticmethod
    def of(page: QuestionPage) -> "SearchOut":
        """From what the selector gives."""
        return SearchOut(
            items=[QuestionOut.of(row) for row in page.rows],
            after=page.after,
            count=page.count,
            count_is_least=page.count_is_least,
        )


class CheckIn(Schema):
    """With which versions a version is compared."""

    against: list[UUID] = Field(default_factory=list, max_length=32)
    overlap: OverlapSettings = OverlapSettings()
    model: UUID | None = Field(default=None, description="Whose tokenizer counts; null: the bundled policy's.")


class PreviewIn(Schema):
    """Settings of a curriculum, to be counted."""

    settings: CurriculumSettings = CurriculumSettings()
    held_out: list[UUID] = Field(default_factory=list, max_length=32)


class PreviewOut(Schema):
    """What a choice would give. Repetitions and near-overlaps are left out only when it is made."""

    plan: CurriculumPlan
    candidates: int
    solved: int
    held_out: int


class CurriculumIn(PreviewIn):
    """A choice to be made."""

    also: list[UUID] = Field(default_factory=list, max_length=15, description="Further versions to choose from.")
    overlap: OverlapSettings = OverlapSettings()
    drop_duplicates: bool = True
    name: str = Field(default="", max_length=200, description="Of a new dataset; empty: a version of the same one.")


class DependentsOut(Schema):
    """What depends on a dataset or a version."""

    unfinished_jobs: list[UUID] = Field(description="These must end before it can be deleted.")
    jobs: int
    trees: int
    versions: list[UUID] = Field(description="Chosen from it.")

    @staticmethod
    def of(dependents: Dependents) -> "DependentsOut":
        """From what the selector gives."""
        return DependentsOut(
            unfinished_jobs=[job.pk for job in dependents.unfinished],
            jobs=dependents.job_count,
            trees=dependents.trees,
            versions=[version.pk for version in dependents.children],
        )


class ExportIn(Schema):
    """Something to be written to a file."""

    what: Registered
    format: str = Field(default="jsonl", max_length=8, description=_FORMATS)
    form: str = Field(default="exact", max_length=12, description="Of CSV: exact, or spreadsheet (not for programs).")


class ExportOut(Schema):
    """An export and where its file is."""

    id: UUID = Field(description="Of its job.")
    state: State
    what: Registered
    format: str
    form: str
    file: str | None = Field(description="Path to fetch it from, once it is there and until it expires.")
    bytes: int | None
    sha256: str | None
    rows: int | None
    neutralised: int | None = Field(description="Cells that were changed for spreadsheets.")
    expires: datetime | None

    @staticmethod
    def of(export: Export, place: str) -> "ExportOut":
        """From the job; `place` is the path of its file."""
        result = export.job.result or {}
        return ExportOut(
            id=export.job.pk,
            state=State(export.job.state),
            what=export.what,
            format=export.spec.format,
            form=export.spec.form,
            file=place if export.path else None,
            expires=export.expires,
            **{name: result.get(name) for name in ("bytes", "sha256", "rows", "neutralised")},
        )
