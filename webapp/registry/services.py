"""Writes of models: registered by the job that made them, named, pointed to by aliases, deleted.

A model's row comes first and is not listed; its files follow, synced and renamed; then the row says `ready`. What an
attempt leaves half-way is taken up by the next one of the same job, or removed when the job has ended.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Max

from meds3core.models.describe import ModelRole, card_of, describe_model, is_adapter
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team
from webapp.jobs.models import Job
from webapp.jobs.transitions import ENDED, StaleAttempt, live_rows, refuse_stale
from webapp.registry.dependants import dependants_of
from webapp.registry.lineage import inputs_of
from webapp.registry.models import ModelAlias, ModelKind, ModelVersion
from webapp.registry.selectors import model_folder
from webapp.registry.storing import RegistryError, folder_remove, folder_take_over
from webapp.webhooks.firing import webhooks_fire
from webapp.webhooks.models import Event

__all__ = [
    "RegistryError",
    "model_alias_end",
    "model_alias_set",
    "model_delete",
    "model_register",
    "model_rename",
    "models_tidy",
]


ALIAS_LENGTH = 40


# --- made by jobs --------------------------------------------------------------------------------------------------


def model_register(
    *,
    job_id: UUID,
    attempt: int,
    folder: Path,
    name: str,
    kind: ModelKind | ModelRole,
    base_id: UUID | None = None,
    stage: str = "",
    score_head: Any = None,
    facts: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """List a model that a job made: its folder's files become the registry's own, under the team's next number.

    `base_id` is the model that it began from; an adapter needs it. `stage` tells the models of an evolution apart.
    Asked again by the same job (stage, name, kind), it gives what is there, or finishes what an attempt left half-way.
    `facts` and `provenance` add to what is read from the folder and the job. Files are linked, not copied, where they
    lie on one file system: the job does not write into `folder` again.

    Raises `PolicyError` or `RegistryError` for a folder that is no such model, `StaleAttempt` when the job has gone on
    without this attempt; nothing is left behind then.
    """
    job = _held(job_id, attempt)
    kind = ModelKind(kind)
    models_tidy()
    mine = ModelVersion.objects.filter(job=job, stage=stage, name=name, kind=kind)
    listed = mine.filter(ready=True).first()
    if listed is not None:
        return listed
    base = ModelVersion.objects.get(pk=base_id) if base_id is not None else None
    if is_adapter(folder) and base is None:
        raise RegistryError(f"{name} is an adapter: it is registered with its base.")
    found = describe_model(
        folder,
        cast(ModelRole, kind.value),
        base=model_folder(model_id=base.pk) if base is not None and is_adapter(folder) else None,
        score_head=score_head,
    )
    model = mine.first() or _numbered(
        team=job.team, name=name, kind=kind, job=job, stage=stage, created_by=job.created_by
    )
    made_by = {
        "kind": job.kind,
        "spec": job.spec,
        "spec_hash": job.spec_hash,
        "inputs": inputs_of(job=job),
        "card": card_of(folder).get("provenance", {}),
    }
    try:
        stored = folder_take_over(folder, model.pk, still=lambda: _held(job_id, attempt))
        with transaction.atomic():
            _held(job_id, attempt)
            ModelVersion.objects.filter(pk=model.pk).update(
                ready=True,
                base=base,
                is_adapter=is_adapter(folder),
                content_hash=stored.content_hash,
                files=stored.files,
                bytes=stored.bytes,
                facts={**found.model_dump(mode="json"), **(facts or {})},
                provenance={**made_by, **(provenance or {})},
            )
            audit_write(
                actor=Actor(job.created_by, SYSTEM.via),
                verb="model.registered",
                team=job.team,
                subject=str(model.pk),
                kind=kind.value,
                job=str(job.pk),
            )
            webhooks_fire(team_id=job.team_id, event=Event.MODEL_READY, thing=model.pk)
    except StaleAttempt:  # what is half-way belongs to the attempt that lives, or to `models_tidy`
        raise
    except BaseException:
        _unlist(model)
        raise
    model.refresh_from_db()
    return model


def models_tidy() -> int:
    """Remove what jobs that have ended left half-way; gives how many."""
    left = list(ModelVersion.objects.filter(ready=False, job__state__in=ENDED))
    for model in left:
        _unlist(model)
    return len(left)


def _held(job_id: UUID, attempt: int) -> Job:
    """The job, its row written in this transaction if there is one. Raises `StaleAttempt`."""
    refuse_stale(
        written=live_rows(job_id=job_id, attempt=attempt).update(attempt=attempt), job_id=job_id, attempt=attempt
    )
    return Job.objects.select_related("team", "created_by").get(pk=job_id)


def _numbered(*, team: Team, name: str, **columns: Any) -> ModelVersion:
    """A row that is not listed yet, with the next number of its team and name."""
    while True:
        last = ModelVersion.objects.filter(team=team, name=name).aggregate(last=Max("number"))["last"] or 0
        try:
            with transaction.atomic():
                return ModelVersion.objects.create(team=team, name=name, number=last + 1, **columns)
        except IntegrityError:  # somebody took the number since we looked
            continue


def _unlist(model: ModelVersion) -> None:
    if ModelVersion.objects.filter(pk=model.pk, ready=False).delete()[0]:
        folder_remove(model.pk)


# --- what people ask -----------------------------------------------------------------------------------------------


@transaction.atomic
def model_alias_set(*, actor: Actor, model: ModelVersion, alias: str) -> ModelAlias:
    """Let the word mean this version of its name from now on. A model that is not ready cannot have one."""
    if not model.ready:
        raise RegistryError(f"{model} is not ready yet.")
    if len(alias) > ALIAS_LENGTH:
        raise RegistryError(f"An alias has {ALIAS_LENGTH} characters at most.")
    given, _ = ModelAlias.objects.update_or_create(
        team=model.team, name=model.name, alias=alias, defaults={"model": model}
    )
    audit_write(actor=actor, verb="model.alias", team=model.team, subject=str(model.pk), alias=alias)
    return given


@transaction.atomic
def model_alias_end(*, actor: Actor, model: ModelVersion, alias: str) -> None:
    """Take the word away from this model."""
    if ModelAlias.objects.filter(model=model, alias=alias).delete()[0]:
        audit_write(actor=actor, verb="model.alias-ended", team=model.team, subject=str(model.pk), alias=alias)


@transaction.atomic
def model_rename(*, actor: Actor, model: ModelVersion, name: str) -> None:
    """Call all versions of this model's name by another name. Raises `RegistryError` when the name is taken."""
    if name == model.name:
        return
    before = model.name
    ModelVersion.objects.filter(team=model.team, name=before).update(number=F("number"))  # renames wait for each other
    if ModelVersion.objects.filter(team=model.team, name=name).exists():
        raise RegistryError(f"There is a model called {name} already. Choose another name.")
    ModelVersion.objects.filter(team=model.team, name=before).update(name=name)
    ModelAlias.objects.filter(team=model.team, name=before).update(name=name)
    audit_write(actor=actor, verb="model.renamed", team=model.team, subject=str(model.pk))
    model.name = name


def model_delete(*, actor: Actor, model: ModelVersion) -> None:
    """Remove a model and its files. Raises `RegistryError`, which says what depends on it."""
    with transaction.atomic():
        found = dependants_of(model=model)
        if found.blocking:
            raise RegistryError(f"{model} cannot be deleted: {'; '.join(found.blocking)}.")
        audit_write(actor=actor, verb="model.deleted", team=model.team, subject=str(model.pk), name=str(model))
        ModelVersion.objects.filter(pk=model.pk).delete()
        transaction.on_commit(lambda: folder_remove(model.pk))
