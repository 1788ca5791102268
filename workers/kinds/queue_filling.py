"""A queue is filled from a source that is too large to be waited for. Another attempt adds what is missing."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from meds3core.config.jobs import QueueFillingSpec
from meds3core.errors import Cancelled
from meds3core.progress import ProgressEvent
from webapp.accounts.actors import SYSTEM, Actor
from webapp.annotation.filling import Source, queue_fill
from webapp.annotation.models import AnnotationQueue
from webapp.jobs import reports
from webapp.jobs.models import Job
from workers import inputs
from workers.context import JobContext
from workers.patience import patiently


def run(context: JobContext) -> Mapping[str, Any]:
    """Choose, copy, store; the result says how many were new."""
    spec: QueueFillingSpec = context.spec
    queue = AnnotationQueue.objects.select_related("team").filter(pk=inputs.registered(spec.queue, "queue").id).first()
    if queue is None:
        raise inputs.InputGone("The queue was deleted. Choose another one.")
    named = inputs.registered(spec.source, "trees", "evaluation")
    model = inputs.registered(spec.model, "model").id if spec.model else None
    kind = "search" if named.kind == "trees" else "evaluation"
    source = Source(kind=kind, id=named.id, stage=spec.stage, model=model)
    reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Steps", text="Choosing steps.")

    def told(added: int) -> None:
        if context.cancel.cancelled:
            raise Cancelled("told to stop")
        context.reporter.emit(ProgressEvent(kind="rows", done=added, data={"unit": "items"}))

    fill = partial(
        queue_fill,
        actor=Actor(Job.objects.select_related("created_by").get(pk=context.job_id).created_by, SYSTEM.via),
        queue=queue,
        source=source,
        rules=spec.rules,
        items=spec.items,
        seed=spec.seed,
        filling_id=context.job_id,
        told=told,
    )
    filling = patiently(fill, context.cancel)
    return {"queue": str(queue.pk), "filling": str(filling.pk), "added": filling.added, "known": filling.known}
