"""What a loop takes over from another one: stages that it does not run, and what they made, which stays where it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from webapp.evaluations.models import Evaluation
from webapp.jobs.models import JobStage
from webapp.registry.models import LabelSet, ModelVersion
from webapp.trees.models import Tree


@dataclass(frozen=True)
class Takeover:
    """Without arguments: nothing is taken over."""

    origin: UUID | None = None
    taken: frozenset[str] = frozenset()
    """Stages that lie in the other loop's store."""
    models: Mapping[str, UUID] = field(default_factory=dict)
    holders: Mapping[str, UUID] = field(default_factory=dict)
    """By stage: the job to which belongs what the stage made; the other loop may itself have taken it over."""

    @classmethod
    def from_loop(cls, origin: UUID, taken: Iterable[str]) -> "Takeover":
        """What of these stages still stands on the shelf. What was deleted since is put there anew by the new loop."""
        names = frozenset(taken)
        details = dict(JobStage.objects.filter(job=origin, name__in=names).values_list("name", "details"))
        holder = {name: UUID(str(details.get(name, {}).get("made_by") or origin)) for name in names}
        models: dict[str, UUID] = {}
        holders: dict[str, UUID] = {}
        jobs = set(holder.values())
        for job, stage, model in ModelVersion.objects.filter(job__in=jobs, stage__in=names, ready=True).values_list(
            "job", "stage", "pk"
        ):
            if job == holder[stage]:
                models[stage], holders[stage] = model, job
        for rows in (
            LabelSet.objects.filter(job__in=jobs, stage__in=names, ready=True),
            Evaluation.objects.filter(job__in=jobs, stage__in=names, ready=True),
            Tree.objects.filter(job__in=jobs, stage__in=names),
        ):
            for job, stage in rows.order_by().values_list("job", "stage").distinct():
                if job == holder[stage]:
                    holders[stage] = job
        return cls(origin, names, models, holders)

    def has(self, stage: str) -> bool:
        """Whether what the stage made stands on the shelf already."""
        return stage in self.holders

    def model(self, stage: str) -> UUID:
        """The model that the stage made."""
        return self.models[stage]

    def holder(self, stage: str) -> UUID | None:
        """The job to which belongs what the stage made; none: the loop's own."""
        return self.holders.get(stage)

    def details(self, stage: str) -> dict[str, Any]:
        """What pages show of it."""
        if stage not in self.taken:
            return {}
        found = {"taken_from": str(self.origin)}
        return found | ({"made_by": str(self.holders[stage])} if self.has(stage) else {})
