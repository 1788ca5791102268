"""A loop that begins with another one's stages: what it would take over, said before it is started.

The graph is planned from the settings alone. Where datasets and the first model are the same, so are their keys, and so
what is said here is what the worker finds, as far as the other loop's files are still there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meds3core.config.jobs import EvolutionSpec
from meds3core.config.references import Reference, Registered
from meds3core.errors import Meds3Error
from meds3core.evolution.graph import PlannedStage, plan
from meds3core.evolution.loop import EvolutionInputs, Sizes, evolution_graph
from meds3core.evolution.restart import left_alone
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job, JobStage, State


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a restart takes over and what it does anew: stages of the new loop, in order."""

    kept: list[str]
    anew: list[str]
    seconds: float
    """What the stages that are kept took."""
    unfinished: list[str]
    """Stages that would be kept if the other loop had finished them; they are among `anew`."""


def planned_stages(spec: EvolutionSpec) -> dict[str, PlannedStage]:
    """The graph of a loop by its settings, without its files. Raises `ConfigError` for settings that do not fit."""
    given = EvolutionInputs(
        questions=_named(spec.questions),
        policy=_named(spec.policy),
        held_out=_named(spec.held_out),
        validation=_named(spec.validation) if spec.validation else None,
    )
    counts = _counts(spec)
    sizes = Sizes(
        questions=counts.get(_named(spec.questions), 1),
        held_out=counts.get(_named(spec.held_out), 1),
        validation=counts.get(_named(spec.validation), 1) if spec.validation else 0,
    )
    return plan(evolution_graph(spec.settings, given, sizes).stages, content=str)


def takeover_of(*, job: Job, spec: EvolutionSpec, stage: str) -> Takeover:
    """What a loop of this specification would take over from `job`. Raises `ConfigError`."""
    before = planned_stages(EvolutionSpec.model_validate(job.spec))
    after = planned_stages(spec)
    same = left_alone(before, after, stage)
    rows = dict(JobStage.objects.filter(job=job, state=State.SUCCEEDED).values_list("name", "details"))
    kept = [name for name in after if name in same and name in rows]
    return Takeover(
        kept=kept,
        anew=[name for name in after if name not in kept],
        seconds=sum(float(rows[name].get("seconds") or 0) for name in kept),
        unfinished=[name for name in after if name in same and name not in rows],
    )


def stage_settings(*, job: Job, stage: str) -> Mapping[str, Any]:
    """The settings that a stage has; none for one that the loop's settings do not have."""
    try:
        entry = planned_stages(EvolutionSpec.model_validate(job.spec)).get(stage)
    except (Meds3Error, ValueError):
        return {}
    return entry.stage.settings.model_dump(mode="json") if entry else {}


def _named(reference: Reference) -> Path:
    """A thing by its id, where the worker has its file."""
    assert isinstance(reference, Registered)  # the command line alone names places
    return Path(reference.kind) / str(reference.id)


def _counts(spec: EvolutionSpec) -> dict[Path, int]:
    wanted = [each.id for each in (spec.questions, spec.held_out, spec.validation) if isinstance(each, Registered)]
    rows = DatasetVersion.objects.filter(pk__in=wanted).values_list("pk", "questions")
    return {Path("dataset") / str(pk): count or 1 for pk, count in rows}
