"""A queue's judgements as files: the forms are those of `meds3core.judgements.files`.

A file is written by an export job (`meds3core.config.jobs.ExportSpec` with a `queue`), watched and fetched like any
other export.
"""

from collections.abc import Iterator
from uuid import UUID

from meds3core.data.tables import CsvWriter
from meds3core.judgements.files import OutForm, judgement_lines
from webapp.annotation.models import AnnotationQueue, Judgement
from webapp.annotation.said import judgements_said

FORMS: dict[OutForm, str] = {
    "jsonl": "JSONL: a line per judgement, everything that is known of it",
    "prm800k": "PRM800K: a line per person and solution",
    "trl": "TRL stepwise supervision: steps with a label each",
    "csv": "CSV: a row per judgement",
}
"""Of a file, with what a person must know to choose one."""


def queue_lines(*, queue_id: UUID, form: OutForm, table: CsvWriter | None = None) -> Iterator[str]:
    """The lines of a queue's file, with their ends; `table` writes CSV."""
    queue = AnnotationQueue.objects.get(pk=queue_id)
    # Labels are made of people, not of names: two of one name have two votes.
    return judgement_lines(judgements_said(queue=queue, named=form != "trl"), form, table)


def judgements_count(*, queue_id: UUID) -> int:
    """About how many lines there will be."""
    return Judgement.objects.filter(queue=queue_id).count()
