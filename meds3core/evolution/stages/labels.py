"""Stages that make training data: label sets from trees, and the control's set from unfiltered samples."""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from meds3core.config.labels import LabelConfig, SftLabelConfig
from meds3core.data.labels import file_source, read_labels, write_labels
from meds3core.data.trees import read_trees
from meds3core.decoding.samples import read_samples
from meds3core.errors import UserError
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.labels.base import LabelSet, StepJudge
from meds3core.labels.build import build_labels
from meds3core.labels.subsample import with_fewer_rollouts
from meds3core.sandbox.judge import ClinicJudge
from meds3core.types.labels import LabelCounts, SftExample
from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record
from meds3core.types.samples import Sample
from meds3core.types.tree import Tree

LABELS = "labels"
"""Folder that these stages make."""


class LabelStage(Record):
    """Input: `trees`, one or more files. Makes the folder `labels`."""

    labels: LabelConfig = Field(discriminator="kind")
    rollouts: int | None = Field(
        default=None, ge=1, description="Values from so many of each node's stored rollouts; None: from all"
    )
    judge: Literal["clinic"] | None = Field(
        default=None, description="clinic: the step checker; for consensus and human labels"
    )
    judge_error_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    seed: int = Field(default=0, description="Of which rollouts are kept and where the judge errs")


class ControlStage(Record):
    """Inputs: `labels`, an SFT set; `samples`, one or more sample folders of its questions. Makes the folder `labels`.

    For every question as many trajectories as the SFT set has, drawn at random from the samples, right or wrong
    (METHOD.md §8). A response that the token limit cut is left out, which favours the control: with its turn closed
    it would teach to stop in the middle.
    """

    seed: int = 0


LABEL = StageKind("labels", 1, LabelStage, f"{__name__}:label", seconds_per_unit=0.001)
CONTROL = StageKind("control", 1, ControlStage, f"{__name__}:control", seconds_per_unit=0.001)


def label(settings: LabelStage, job: StageJob) -> dict[str, Any]:
    """Label the trees."""
    judge: StepJudge | None = None
    if settings.judge == "clinic":
        judge = ClinicJudge(settings.judge_error_rate, seed=settings.seed)
    labels = build_labels(_trees(settings, job), settings.labels, judge=judge, sink=job.sink, cancel=job.cancel)
    return _write(labels, job, "trees")


def _trees(settings: LabelStage, job: StageJob) -> Iterator[Tree]:
    for path in job.paths("trees"):
        for tree in read_trees(path):
            yield tree if settings.rollouts is None else with_fewer_rollouts(tree, settings.rollouts, settings.seed)


def control(settings: ControlStage, job: StageJob) -> dict[str, Any]:
    """Draw the control's trajectories."""
    examples = read_labels(job.path("labels")).sft()
    wanted = Counter(example.question.content_hash for example in examples)
    samples: dict[str, list[Sample]] = {}
    questions: dict[str, OpenQuestion] = {}
    cut = 0
    for folder in job.paths("samples"):
        for row in read_samples(folder).rows:
            content = row.question.content_hash
            whole = [sample for sample in row.samples if sample.finish != "length"]
            cut += len(row.samples) - len(whole)
            if content in wanted:
                samples.setdefault(content, []).extend(whole)
                questions.setdefault(content, without_gold(row.question))
    drawn: list[SftExample] = []
    missing = right = 0
    for content, count in wanted.items():
        pool = samples.get(content, [])
        order = random.Random(f"{settings.seed} {content}").sample(range(len(pool)), min(count, len(pool)))
        missing += count - len(order)
        right += sum(pool[index].correct is True for index in order)
        drawn += [SftExample(question=questions[content], bodies=pool[index].bodies) for index in order]
    if not drawn:
        raise UserError(
            f"the control has nothing to learn from: of the samples of {len(wanted)} questions none is whole, {cut} "
            "were cut by the token limit. Raise search.rollout_tokens, or leave the control out (control=never)."
        )
    dropped = {"samples cut by the token limit": cut, "trajectories that the samples lacked": missing}
    counts = LabelCounts(
        questions=len(wanted), kept=len(drawn), dropped={reason: count for reason, count in dropped.items() if count}
    )
    return _write(LabelSet(SftLabelConfig(), tuple(drawn), counts), job, None) | {"right": right}


def without_gold(question: OpenQuestion) -> OpenQuestion:
    """The question as training data hold it."""
    return OpenQuestion(**{name: getattr(question, name) for name in OpenQuestion.model_fields})


def _write(labels: LabelSet, job: StageJob, source: str | None) -> dict[str, Any]:
    folder = job.folder / LABELS
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was interrupted just before its end
    sources = [file_source(path) for path in job.paths(source)] if source else []
    card = write_labels(folder, labels, sources)
    return {"kept": card.counts.kept, "questions": card.counts.questions, "dropped": card.counts.dropped}
