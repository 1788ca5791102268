"""From what was said in queues to a label set, and from a label set to a better reward model.

A set is frozen by a job (`meds3core.config.jobs.JudgedLabelsSpec`): its records and their hash stay what they are,
whatever is said or deleted later.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from meds3core.config.jobs import JudgedLabelsSpec
from meds3core.config.labels import JudgementLabelConfig
from meds3core.config.references import Registered
from meds3core.judgements.labels import judged_labels
from meds3core.types.judgements import StepJudgement
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.annotation.models import AnnotationQueue
from webapp.annotation.said import judgements_said
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit


@dataclass(frozen=True, slots=True)
class LabelPreview:
    """What a label set would hold if it were made now."""

    judgements: int
    questions: int
    trajectories: int
    labels: int
    good: int
    """Labels of one half and above."""
    dropped: Mapping[str, int]
    """By reason."""

    @property
    def bad(self) -> int:
        """Labels below one half."""
        return self.labels - self.good


def said_in(*, queues: Iterable[UUID]) -> Iterator[StepJudgement]:
    """Everything that is said in these queues, for labels: people go by what the tables call them."""
    for queue in AnnotationQueue.objects.filter(pk__in=list(queues)).order_by("id"):
        yield from judgements_said(queue=queue, named=False)


def labels_preview(*, queues: Sequence[AnnotationQueue], config: JudgementLabelConfig) -> LabelPreview:
    """Count what would become of the judgements, and why some would give no label."""
    made = judged_labels(said_in(queues=[queue.pk for queue in queues]), config)
    labels = Counter(label >= 0.5 for trajectory in made.steps() for label in trajectory.labels if label is not None)
    return LabelPreview(
        judgements=made.counts.judgements,
        questions=made.counts.questions,
        trajectories=made.counts.kept,
        labels=labels.total(),
        good=labels[True],
        dropped=made.counts.dropped,
    )


def labels_submit(
    *, actor: Actor, team: Team, queues: Sequence[AnnotationQueue], config: JudgementLabelConfig, name: str = ""
) -> Job:
    """Freeze what is said in these queues into a label set. Raises `JobError`, `QueueUnreachable`."""
    named = tuple(Registered(kind="queue", id=queue.pk) for queue in queues)
    title = name or f"Labels of {', '.join(map(str, queues))}"
    spec = JudgedLabelsSpec(name=title[:200], queues=named, judged=config)
    return job_submit(actor=actor, team=team, spec=spec, title=title[:200])
