"""A reward model trained again, with people's labels beside the ones that made it.

Everything else stays as it was: the policy it began from, its label sets, its settings. The new one is the next version
of its name and says what the labels were worth: both are measured on judged steps that the training does not see.
"""

from collections.abc import Sequence

from pydantic import ValidationError

from meds3core.config.jobs import PrmSpec
from meds3core.config.references import Registered
from meds3core.config.training import PrmConfig
from meds3core.errors import UserError
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.registry.labels import is_judged
from webapp.registry.made_of import made_of
from webapp.registry.models import LabelSet, ModelKind, ModelVersion


class RetrainError(UserError):
    """The reward model cannot be trained again with these labels; the message says why."""

    code = "retrain"


def retrainable(*, team: Team, size: int = 50) -> list[ModelVersion]:
    """The team's process reward models that can be trained again; those with an alias first, then newest first."""
    rows = ModelVersion.objects.filter(team=team, kind=ModelKind.PRM, ready=True, job__kind__in=("prm", "evolution"))
    rows = rows.exclude(base=None).select_related("base", "job").prefetch_related("aliases").order_by("-id")
    return sorted(rows[:size], key=lambda model: not model.aliases.all())


def retrain_spec(*, team: Team, model: ModelVersion, labels: Sequence[LabelSet]) -> PrmSpec:
    """The specification. Raises `RetrainError` where it is not known how the model was made, or labels are missing."""
    if model.kind != ModelKind.PRM or model.base is None:
        raise RetrainError(f"It is not known which policy {model} began from. Start a training by hand.")
    if not labels:
        raise RetrainError("Choose labels of people.")
    strangers = [each for each in labels if not is_judged(each)]
    if strangers:
        raise RetrainError(f"{strangers[0]} was not made of judgements.")
    settings, before = _settings(model), made_of(model=model)
    sets = before.sets if before is not None else ()
    there = list(LabelSet.objects.filter(team__in=(team, model.team), pk__in=sets, ready=True))
    if before is None or len(there) < len(sets) or not there:
        raise RetrainError(f"A label set that made {model} was deleted, so it cannot be made again.")
    if all(each.pk in sets for each in labels):
        raise RetrainError(f"{model} has learnt from these labels already.")
    # Rollouts' first, then people's by age: where the same queue was frozen again, the later set counts.
    wanted = sorted({*there, *labels}, key=lambda each: (is_judged(each), each.pk))
    first, *beside = (Registered(kind="labels", id=each.pk) for each in wanted)
    return PrmSpec(
        policy=Registered(kind="model", id=model.base.pk),
        labels=first,
        beside=tuple(beside),
        people=before.people,
        compare=Registered(kind="model", id=model.pk),
        training=settings,
        name=model.name,
    )


def retrain_submit(*, actor: Actor, team: Team, model: ModelVersion, labels: Sequence[LabelSet]) -> Job:
    """Train it again. Raises `RetrainError`, `JobError`, `QueueUnreachable`."""
    spec = retrain_spec(team=team, model=model, labels=labels)
    return job_submit(actor=actor, team=team, spec=spec, title=f"{model.name}, with people's labels"[:200])


def _settings(model: ModelVersion) -> PrmConfig:
    job = model.job
    if job is not None and job.kind == "prm":
        return PrmSpec.model_validate(job.spec).training
    try:
        settings = PrmConfig.model_validate((model.provenance.get("card") or {}).get("config"))
    except ValidationError:
        raise RetrainError(f"It is not known with which settings {model} was trained.") from None
    # The loop may have pinned the number of steps for a comparison; more labels want their own.
    return settings.model_copy(update={"max_steps": None})
