"""API of models: list, look, name, download, import."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema, Status

from meds3core.config.data_jobs import ModelImportSpec
from webapp.accounts.api_auth import actor_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.common.api_answers import ApiPage, Paging, api_page
from webapp.common.downloads import archive_download, file_download
from webapp.common.idempotency import idempotent
from webapp.jobs.api import job_accepted
from webapp.jobs.api_schemas import JobOut
from webapp.registry import selectors, services
from webapp.registry.ancestry import Thing, ancestry_of
from webapp.registry.cards import card_text
from webapp.registry.dependants import dependants_of
from webapp.registry.importing import model_import
from webapp.registry.models import ModelKind, ModelVersion
from webapp.registry.showing import archive_name
from webapp.registry.sources import roots_offered

router = Router(tags=["models"])


class ModelOut(Schema):
    """A model as lists show it."""

    id: UUID
    name: str
    number: int
    kind: ModelKind
    is_adapter: bool
    bundled: bool = Field(description="It comes with the product; nobody changes it.")
    base: UUID | None
    job: UUID | None = Field(description="Its maker.")
    stage: str
    created: datetime
    bytes: int
    content_hash: str
    aliases: list[str]
    facts: dict[str, Any]

    @staticmethod
    def of(model: ModelVersion) -> "ModelOut":
        """As the API shows it."""
        return ModelOut(**_shown(model))


class FileOut(Schema):
    """A file of a model."""

    name: str
    bytes: int
    sha256: str


class ModelWhole(ModelOut):
    """A model with its files and where it came from."""

    files: list[FileOut]
    provenance: dict[str, Any]
    depends: list[str] = Field(description="What stands against its deletion.")


class ThingOut(Schema):
    """Something in the lineage of a model."""

    key: str = Field(description="Its name in `edges`.")
    kind: str
    id: UUID
    stage: str = Field(description="Of trees of a loop: the stage that grew them.")
    name: str
    content_hash: str
    job: UUID | None = Field(description="Its maker.")
    made_in: str = Field(description="The stage of the loop that made it.")

    @staticmethod
    def of(thing: Thing) -> "ThingOut":
        """As the API shows it."""
        return ThingOut(
            key=thing.key,
            kind=thing.kind,
            id=thing.id,
            stage=thing.stage,
            name=thing.label,
            content_hash=thing.content_hash,
            job=thing.job.pk if thing.job else None,
            made_in=thing.made_in,
        )


class LineageOut(Schema):
    """Where a model came from and what came of it."""

    model: str = Field(description="The model's own name in `edges`.")
    sources: list[ThingOut]
    products: list[ThingOut]
    edges: list[tuple[str, str]] = Field(description="From a source to what was made of it.")
    more: bool = Field(description="Whether there is more than is shown.")


class RootOut(Schema):
    """A folder that the operator listed, and the folders in it that may be imported."""

    name: str
    there: bool
    folders: list[str]
    more: int = Field(description="Folders beyond these.")


class NameIn(Schema):
    """Another name."""

    name: str = Field(min_length=1, max_length=200, pattern=r"\S")


def _shown(model: ModelVersion) -> dict[str, Any]:
    bundled = model.team.is_system
    return {
        "id": model.pk,
        "name": model.name,
        "number": model.number,
        "kind": ModelKind(model.kind),
        "is_adapter": model.is_adapter,
        "bundled": bundled,
        "base": model.base_id,
        "job": None if bundled else model.job_id,
        "stage": model.stage,
        "created": model.created,
        "bytes": model.bytes,
        "content_hash": model.content_hash,
        "aliases": sorted(each.alias for each in model.aliases.all()),
        "facts": model.facts,
    }


def _whole(model: ModelVersion) -> ModelWhole:
    depends = dependants_of(model=model).blocking
    return ModelWhole(**_shown(model), files=model.files, provenance=model.provenance, depends=depends)


@router.get("/teams/{team_slug}/models", response=ApiPage[ModelOut], operation_id="model_list")
@team_operation(Action.MODEL_VIEW)
def model_list(
    request: HttpRequest, team_slug: str, paging: Query[Paging], kind: ModelKind | None = None, name: str = ""
) -> ApiPage[ModelOut]:
    """The team's models and those that come with the product, newest first."""
    rows = selectors.models_of(team=request.team, kind=kind or "", name=name)  # type: ignore[attr-defined]
    return api_page(request, rows, ModelOut.of, paging)


@router.post("/teams/{team_slug}/models", response={202: JobOut}, operation_id="model_import")
@team_operation(Action.MODEL_CHANGE)
@idempotent
def model_bring(request: HttpRequest, team_slug: str, body: ModelImportSpec) -> HttpResponse:
    """Import a model from an upload, a listed folder or the hub: a job checks it, loads it once, and lists it."""
    caller: Any = request.auth  # type: ignore[attr-defined]
    return job_accepted(model_import(actor=caller.actor, team=request.team, spec=body))  # type: ignore[attr-defined]


@router.get("/teams/{team_slug}/import-roots", response=list[RootOut], operation_id="import_roots")
@team_operation(Action.MODEL_CHANGE)
def import_roots(request: HttpRequest, team_slug: str) -> list[RootOut]:
    """The folders from which a model may be picked by its name."""
    return [
        RootOut(name=each.name, there=each.there, folders=list(each.folders), more=each.more)
        for each in roots_offered()
    ]


@router.get("/teams/{team_slug}/models/{uuid:model_id}", response=ModelWhole, operation_id="model_show")
@team_operation(Action.MODEL_VIEW)
def model_show(request: HttpRequest, team_slug: str, model_id: UUID) -> ModelWhole:
    """One model."""
    return _whole(selectors.model_of(team=request.team, model_id=model_id))  # type: ignore[attr-defined]


@router.get("/teams/{team_slug}/models/{uuid:model_id}/lineage", response=LineageOut, operation_id="model_lineage")
@team_operation(Action.MODEL_VIEW)
def model_lineage(request: HttpRequest, team_slug: str, model_id: UUID) -> LineageOut:
    """What went into it, back to the questions, and what came of it."""
    model = selectors.model_of(team=request.team, model_id=model_id)  # type: ignore[attr-defined]
    found = ancestry_of(team=request.team, model=model)  # type: ignore[attr-defined]
    return LineageOut(
        sources=[ThingOut.of(each) for each in found.sources],
        products=[ThingOut.of(each) for each in found.products],
        edges=sorted(found.edges),
        model=found.focus.key,
        more=found.more,
    )


@router.get("/teams/{team_slug}/models/{uuid:model_id}/card", operation_id="model_card")
@team_operation(Action.MODEL_VIEW)
def model_card(request: HttpRequest, team_slug: str, model_id: UUID) -> HttpResponse:
    """Its card as Markdown: facts alone."""
    model = selectors.model_of(team=request.team, model_id=model_id)  # type: ignore[attr-defined]
    text = card_text(team=request.team, model=model)  # type: ignore[attr-defined]
    return HttpResponse(text, content_type="text/markdown; charset=utf-8")


@router.get("/teams/{team_slug}/models/{uuid:model_id}/archive", operation_id="model_archive")
@team_operation(Action.MODEL_VIEW)
def model_archive(request: HttpRequest, team_slug: str, model_id: UUID) -> Any:
    """All its files as one tar archive."""
    model = selectors.model_of(team=request.team, model_id=model_id)  # type: ignore[attr-defined]
    inside, names = archive_name(model), [each["name"] for each in model.files]
    folder = selectors.model_folder(model_id=model.pk)
    return archive_download(request, folder, names, name=f"{inside}.tar", inside=inside)


@router.get("/teams/{team_slug}/models/{uuid:model_id}/files/{path:file_name}", operation_id="model_file")
@team_operation(Action.MODEL_VIEW)
def model_file(request: HttpRequest, team_slug: str, model_id: UUID, file_name: str) -> Any:
    """One of its files, or a part of it (`Range`)."""
    model = selectors.model_of(team=request.team, model_id=model_id)  # type: ignore[attr-defined]
    path = selectors.model_file(model=model, name=file_name)
    return file_download(request, path, name=path.name)


@router.patch("/teams/{team_slug}/models/{uuid:model_id}", response=ModelWhole, operation_id="model_rename")
@team_operation(Action.MODEL_CHANGE)
def model_rename(request: HttpRequest, team_slug: str, model_id: UUID, body: NameIn) -> ModelWhole:
    """Another name for all versions of it."""
    model = _own(request, model_id)
    services.model_rename(actor=actor_of_call(request), model=model, name=body.name.strip())
    return _whole(model)


@router.delete("/teams/{team_slug}/models/{uuid:model_id}", response={204: None}, operation_id="model_delete")
@team_operation(Action.MODEL_CHANGE)
def model_delete(request: HttpRequest, team_slug: str, model_id: UUID) -> Status[None]:
    """Remove it with its files; refused, with the reasons, while something depends on it."""
    services.model_delete(actor=actor_of_call(request), model=_own(request, model_id))
    return Status(204, None)


@router.put(
    "/teams/{team_slug}/models/{uuid:model_id}/aliases/{slug:alias}",
    response=ModelOut,
    operation_id="model_alias_set",
)
@team_operation(Action.MODEL_CHANGE)
def model_alias_set(request: HttpRequest, team_slug: str, model_id: UUID, alias: str) -> ModelOut:
    """Let a word such as `production` mean this version of its name."""
    model = _own(request, model_id)
    services.model_alias_set(actor=actor_of_call(request), model=model, alias=alias)
    return ModelOut.of(model)


@router.delete(
    "/teams/{team_slug}/models/{uuid:model_id}/aliases/{slug:alias}",
    response={204: None},
    operation_id="model_alias_end",
)
@team_operation(Action.MODEL_CHANGE)
def model_alias_end(request: HttpRequest, team_slug: str, model_id: UUID, alias: str) -> Status[None]:
    """Take the word away from it."""
    services.model_alias_end(actor=actor_of_call(request), model=_own(request, model_id), alias=alias)
    return Status(204, None)


def _own(request: HttpRequest, model_id: UUID) -> ModelVersion:
    return selectors.model_own(team=request.team, model_id=model_id)  # type: ignore[attr-defined]
