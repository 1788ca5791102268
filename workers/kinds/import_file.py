"""Import: an uploaded file becomes a version of a dataset, a batch at a time; a later attempt goes on behind the rows
that are stored. The file is opened by a limited process only (workers.reading).
"""

from collections.abc import Mapping
from typing import Any

from meds3core.config.data_jobs import ImportSpec
from meds3core.data.rows import RowError
from meds3core.errors import Cancelled, UserError
from meds3core.progress import ProgressEvent
from meds3core.types.question import Question
from webapp.datasets.intake import Source, import_abandon, import_begin
from webapp.datasets.models import DatasetVersion
from webapp.datasets.services import BATCH, version_append, version_finish
from webapp.jobs import reports
from webapp.jobs.claims import Claim, job_wish
from webapp.jobs.models import State
from webapp.uploads.names import stem_of
from webapp.uploads.selectors import file_path
from webapp.uploads.services import upload_kept
from workers import inputs, reading
from workers.context import JobContext
from workers.reading import FileRefused, Item, Place

MOST_CHARACTERS = 2_000_000
"""Of the texts of one batch: a write stays short, and memory flat, however long the questions are."""

NAMED = 3
"""Bad rows that are named when no row is good."""


def run(context: JobContext) -> Mapping[str, Any]:
    """Fill a version; the result names it. What cannot be read, or is cancelled, leaves nothing behind."""
    spec: ImportSpec = context.spec
    claim = Claim(context.job_id, context.attempt)
    file = inputs.upload_file(spec.upload)
    source = Source(name=file.name, stem=stem_of(file.name))
    version = import_begin(claim=claim, spec=spec, source=source)
    if not version.ready:
        try:
            _fill(context, claim, version)
        except UserError:
            import_abandon(version=version, claim=claim)
            raise
        except Cancelled:
            if job_wish(claim=claim) == State.CANCELLING:
                import_abandon(version=version, claim=claim)
            raise
        reports.stage_begin(
            job_id=claim.job_id, attempt=claim.attempt, name="Statistics", text="Counting what is in it."
        )
        version = version_finish(version=version, claim=claim)
    upload_kept(upload_id=file.upload_id)
    return {"dataset": str(version.pk), "questions": version.questions, "rejected": version.rejected}


def _fill(context: JobContext, claim: Claim, version: DatasetVersion) -> None:
    spec: ImportSpec = context.spec
    file = inputs.upload_file(spec.upload)
    stem = spec.source or stem_of(file.name)
    stored = version.questions + version.rejected
    text = f"Reading on behind row {stored:,}." if stored else "Reading the file."
    reports.stage_begin(job_id=claim.job_id, attempt=claim.attempt, name="Rows", text=text)
    batch = _Batch(context, claim, version, file.size)
    for item in reading.rows(file_path(file), stem=stem, mapping=spec.mapping, skip=stored, cancel=context.cancel):
        batch.take(item)
    batch.write()
    if not version.questions and not version.rejected:
        raise FileRefused("The file holds no row.")
    if not version.questions:
        why = "; ".join(str(error) for error in batch.first_errors)
        raise FileRefused(f"None of the file's {version.rejected:,} rows is a question. {why}.")


class _Batch:
    """Rows that wait for the next write."""

    def __init__(self, context: JobContext, claim: Claim, version: DatasetVersion, size: int) -> None:
        self.first_errors: list[RowError] = []
        self._context = context
        self._claim = claim
        self._version = version
        self._size = size
        self._total: int | None = None
        self._questions: list[Question] = []
        self._errors: list[RowError] = []
        self._characters = 0

    def take(self, item: Item) -> None:
        """One more; what is full is written."""
        if isinstance(item, Place):
            self._estimate(item.bytes)
            return
        if isinstance(item, RowError):
            self._errors.append(item)
            if len(self.first_errors) < NAMED:
                self.first_errors.append(item)
        else:
            self._questions.append(item)
            self._characters += len(item.text)
        if len(self._questions) + len(self._errors) >= BATCH or self._characters >= MOST_CHARACTERS:
            self.write()

    def write(self) -> None:
        """Store what waits, in one short transaction."""
        if not self._questions and not self._errors:
            return
        version = self._version
        version_append(version=version, questions=self._questions, rejected=self._errors, claim=self._claim)
        self._questions, self._errors, self._characters = [], [], 0
        done = version.questions + version.rejected
        total = max(done, self._total) if self._total else None
        self._context.reporter.emit(ProgressEvent(kind="rows", done=done, total=total, data={"unit": "rows"}))

    def _estimate(self, place: int) -> None:
        """How many rows there will be, if the others are as long as those so far."""
        done = self._version.questions + self._version.rejected
        if place and done:
            self._total = round(done * self._size / place)
