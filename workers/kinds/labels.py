"""Stored trees become a label set, as `meds3 labels build` makes it."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from meds3core.config.jobs import LabelsSpec
from meds3core.data.labels import LabelSource, write_labels
from meds3core.labels.base import NOUNS
from meds3core.labels.build import build_labels
from meds3core.progress import ProgressEvent
from meds3core.types.tree import Tree
from webapp.jobs import reports
from webapp.registry.labels import label_set_register
from workers import inputs
from workers.context import JobContext


class _Told:
    """Progress in units that a person reads."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    def emit(self, event: ProgressEvent) -> None:
        """Trees as they are read, then questions as they are labelled."""
        unit = "trees" if event.kind == "labels-trees" else "questions"
        self._context.reporter.emit(event.model_copy(update={"data": event.data | {"unit": unit}}))


def run(context: JobContext) -> Mapping[str, Any]:
    """Label, store; the result names the set and says what was kept and dropped, and why."""
    spec: LabelsSpec = context.spec
    who = {"job_id": context.job_id, "attempt": context.attempt}
    config = spec.sft or spec.pairs or spec.steps
    assert config is not None  # the specification has exactly one
    reports.stage_begin(**who, name="Labels", text=f"Building {NOUNS[config.kind]}.")
    digest = hashlib.blake2b(digest_size=16)

    def read() -> Iterator[Tree]:
        for tree in inputs.trees(*spec.trees):
            digest.update(tree.content_hash.encode() + b"\n")
            yield tree

    label_set = build_labels(read(), config, judge=_judge(spec), sink=_Told(context), cancel=context.cancel)
    names = ", ".join(str(inputs.registered(one).id) for one in spec.trees)
    sources = [LabelSource(role="trees", name=names, hash=digest.hexdigest())]
    if spec.judge:
        sources.append(LabelSource(role="judge", name=spec.judge))
    folder = context.folder / "labels"
    write_labels(folder, label_set, sources)
    stored = label_set_register(**who, folder=folder, name=spec.name or context.title)
    shutil.rmtree(folder, ignore_errors=True)  # the registry has its own
    return {"labels": str(stored.pk), **stored.counts}


def _judge(spec: LabelsSpec) -> Any:
    if spec.judge is None:
        return None
    from meds3core.sandbox.judge import ClinicJudge

    return ClinicJudge()
