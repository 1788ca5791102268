"""Judgements made elsewhere come into a queue. Done again, by another attempt or another job, it adds nothing twice."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from meds3core.config.jobs import JudgementImportSpec
from meds3core.data.rows import RowError
from meds3core.progress import ProgressEvent
from meds3core.types.judgements import StepJudgement
from meds3core.types.question import TextFormat
from webapp.accounts.actors import SYSTEM, Actor
from webapp.annotation.imports import Imported, judgements_bring, judgements_end, known_questions
from webapp.annotation.models import AnnotationQueue
from webapp.jobs import reports
from webapp.jobs.models import Job
from webapp.uploads.selectors import file_path
from workers import inputs, reading
from workers.context import JobContext
from workers.patience import patiently
from workers.reading import FileRefused, Place

BATCH = 1_000
COUNTS = ("saved", "known", "decided", "items")
NAMED = 5
"""Bad rows that are told of one by one."""


def run(context: JobContext) -> Mapping[str, Any]:
    """Read in a limited process, store in batches; the result says what was new. Refused when no row is good."""
    spec: JudgementImportSpec = context.spec
    who = {"job_id": context.job_id, "attempt": context.attempt}
    queue = AnnotationQueue.objects.select_related("team").filter(pk=inputs.registered(spec.queue, "queue").id).first()
    if queue is None:
        raise inputs.InputGone("The queue was deleted. Choose another one.")
    file = inputs.upload_file(spec.upload)
    reports.stage_begin(**who, name="Judgements", text="Reading the file.")
    actor = Actor(Job.objects.select_related("created_by").get(pk=context.job_id).created_by, SYSTEM.via)
    known, total, errors, waiting = known_questions(queue=queue), Imported(), list[RowError](), list[StepJudgement]()
    rejected = 0

    def write() -> None:
        bring = partial(
            judgements_bring,
            actor=actor,
            queue=queue,
            judgements=tuple(waiting),
            title=file.name,
            source=spec.source or file.name[:100],
            filling_id=context.job_id,
        )
        found = patiently(bring, context.cancel)
        for name in COUNTS:
            setattr(total, name, getattr(total, name) + getattr(found, name))
        waiting.clear()
        done = total.saved + total.known + total.decided
        context.reporter.emit(ProgressEvent(kind="rows", done=done, data={"unit": "judgements"}))

    for row in reading.judgements(file_path(file), form=spec.form, skip=0, cancel=context.cancel):
        if isinstance(row, Place):
            continue
        if isinstance(row, RowError):
            rejected += 1
            if len(errors) < NAMED:
                errors.append(row)
            continue
        if row.question.text in known and isinstance(row.question.answer_format, TextFormat):
            row = row.model_copy(update={"question": known[row.question.text]})
        waiting.append(row)
        if len(waiting) >= BATCH:
            write()
    if waiting:
        write()
    patiently(partial(judgements_end, actor=actor, filling_id=context.job_id), context.cancel)
    if not (total.saved or total.known or total.decided):
        why = "; ".join(str(error) for error in errors)
        raise FileRefused(f"The file holds no judgement{f'. {why}' if why else ''}.")
    for error in errors:
        context.reporter.emit(ProgressEvent(kind="warning", data={"text": f"Left out: {error}"[:500]}))
    return {"queue": str(queue.pk), "rejected": rejected, **{name: getattr(total, name) for name in COUNTS}}
