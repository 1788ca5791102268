"""What people said in queues becomes a label set."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from meds3core.config.jobs import JudgedLabelsSpec
from meds3core.data.labels import LabelSource, write_labels
from meds3core.errors import Cancelled
from meds3core.judgements.labels import judged_labels
from meds3core.progress import ProgressEvent
from meds3core.types.judgements import StepJudgement
from webapp.annotation.labelsets import said_in
from webapp.annotation.models import AnnotationQueue
from webapp.jobs import reports
from webapp.registry.labels import label_set_register
from workers import inputs
from workers.context import JobContext

LOOK_EVERY = 200
"""Judgements between two looks at whether to stop."""


def run(context: JobContext) -> Mapping[str, Any]:
    """Read, label, store; the result names the set and says what was kept and dropped, and why."""
    spec: JudgedLabelsSpec = context.spec
    who = {"job_id": context.job_id, "attempt": context.attempt}
    ids = [inputs.registered(one, "queue").id for one in spec.queues]
    queues = AnnotationQueue.objects.filter(pk__in=ids)
    if queues.count() < len(set(ids)):
        raise inputs.InputGone("A queue was deleted. Choose others.")
    reports.stage_begin(**who, name="Labels", text="Building step labels out of judgements.")
    digest = hashlib.blake2b(digest_size=16)

    def read() -> Iterator[StepJudgement]:
        for count, judgement in enumerate(said_in(queues=ids), start=1):
            digest.update(judgement.model_dump_json().encode() + b"\n")
            if count % LOOK_EVERY == 0:
                if context.cancel.cancelled:
                    raise Cancelled("told to stop")
                context.reporter.emit(ProgressEvent(kind="labels", done=count, data={"unit": "judgements"}))
            yield judgement

    label_set = judged_labels(read(), spec.judged)
    names = ", ".join(str(one) for one in sorted(ids))
    folder = context.folder / "labels"
    shutil.rmtree(folder, ignore_errors=True)
    write_labels(folder, label_set, [LabelSource(role="queue", name=names, hash=digest.hexdigest())])
    stored = label_set_register(**who, folder=folder, name=spec.name or context.title)
    shutil.rmtree(folder, ignore_errors=True)  # the registry has its own
    return {"labels": str(stored.pk), **stored.counts}
