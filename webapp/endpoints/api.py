"""API of remote engines. Whoever sees models sees them, without their keys; owners register and change them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from webapp.accounts.api_auth import actor_of_call, team_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.common.api_answers import ApiPage, Paging, answer_made, api_page
from webapp.common.idempotency import idempotent
from webapp.endpoints import selectors, services
from webapp.registry.models import Endpoint

router = Router(tags=["remote engines"])

Form = Literal["completions", "chat"]


class EndpointIn(Schema):
    """An OpenAI-compatible server. Its host must be on the operator's list."""

    name: str = Field(min_length=1, max_length=200)
    url: str = Field(min_length=8, max_length=500, description="e.g. https://models.ward.example/v1")
    model: str = Field(min_length=1, max_length=200, description="The name that the server knows the model by.")
    api: Form = "completions"
    context_length: int = Field(default=4096, ge=16, le=10_000_000, description="If the server does not say itself.")
    key: str = Field(default="", max_length=1000, description="Written, never shown.")


class EndpointChange(Schema):
    """What to change; the rest stays. Another host needs its key anew."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    url: str | None = Field(default=None, min_length=8, max_length=500)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    api: Form | None = None
    context_length: int | None = Field(default=None, ge=16, le=10_000_000)
    key: str | None = Field(default=None, max_length=1000)


class EndpointOut(Schema):
    """A remote engine. Named in a job's specification as `{"kind": "endpoint", "id": …}`."""

    id: UUID
    name: str
    url: str
    model: str
    api: str
    context_length: int
    has_key: bool
    created: datetime

    @staticmethod
    def of(row: Endpoint) -> "EndpointOut":
        """From the row."""
        return EndpointOut(
            id=row.pk,
            name=row.name,
            url=row.url,
            model=row.model,
            api=row.api,
            context_length=row.context_length,
            has_key=bool(row.key_encrypted),
            created=row.created,
        )


class Serves(Schema):
    """What the server says it serves."""

    models: list[str]


@router.post("/teams/{team_slug}/endpoints", response={201: EndpointOut}, operation_id="endpoint_create")
@team_operation(Action.ENDPOINT_MANAGE)
@idempotent
def endpoint_create(request: HttpRequest, team_slug: str, body: EndpointIn) -> HttpResponse:
    """Register a remote engine."""
    row = services.endpoint_create(actor=actor_of_call(request), team=team_of_call(request), **body.model_dump())
    place = reverse("api-1:endpoint_show", kwargs={"team_slug": team_slug, "endpoint_id": row.pk})
    return answer_made(EndpointOut.of(row), location=place)


@router.get("/teams/{team_slug}/endpoints", response=ApiPage[EndpointOut], operation_id="endpoint_list")
@team_operation(Action.MODEL_VIEW)
def endpoint_list(request: HttpRequest, team_slug: str, paging: Query[Paging]) -> ApiPage[EndpointOut]:
    """The team's remote engines."""
    return api_page(request, selectors.endpoints_of(team=team_of_call(request)), EndpointOut.of, paging)


@router.get(
    "/teams/{team_slug}/endpoints/{endpoint_id}",
    response=EndpointOut,
    operation_id="endpoint_show",
    url_name="endpoint_show",
)
@team_operation(Action.MODEL_VIEW)
def endpoint_show(request: HttpRequest, team_slug: str, endpoint_id: UUID) -> EndpointOut:
    """One remote engine."""
    return EndpointOut.of(_endpoint(request, endpoint_id))


@router.patch("/teams/{team_slug}/endpoints/{endpoint_id}", response=EndpointOut, operation_id="endpoint_change")
@team_operation(Action.ENDPOINT_MANAGE)
def endpoint_change(request: HttpRequest, team_slug: str, endpoint_id: UUID, body: EndpointChange) -> EndpointOut:
    """Change it."""
    row = _endpoint(request, endpoint_id)
    present = {name: getattr(row, name) for name in ("name", "url", "model", "api", "context_length")}
    wanted = present | body.model_dump(exclude_none=True)
    return EndpointOut.of(services.endpoint_change(actor=actor_of_call(request), endpoint=row, **wanted))


@router.delete("/teams/{team_slug}/endpoints/{endpoint_id}", response={204: None}, operation_id="endpoint_delete")
@team_operation(Action.ENDPOINT_MANAGE)
def endpoint_delete(request: HttpRequest, team_slug: str, endpoint_id: UUID) -> Status[None]:
    """Remove it with its key."""
    services.endpoint_delete(actor=actor_of_call(request), endpoint=_endpoint(request, endpoint_id))
    return Status(204, None)


@router.post("/teams/{team_slug}/endpoints/{endpoint_id}/ask", response=Serves, operation_id="endpoint_ask")
@team_operation(Action.ENDPOINT_MANAGE)
def endpoint_ask(request: HttpRequest, team_slug: str, endpoint_id: UUID) -> Serves:
    """Ask the server which models it serves."""
    return Serves(models=services.endpoint_ask(endpoint=_endpoint(request, endpoint_id)))


def _endpoint(request: HttpRequest, endpoint_id: UUID) -> Endpoint:
    return selectors.endpoint_of(team=team_of_call(request), endpoint_id=endpoint_id)
