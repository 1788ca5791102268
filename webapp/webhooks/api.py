"""API of a team's webhooks, for its owners."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from webapp.accounts.api_auth import actor_of_call, team_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.common.api_answers import ApiPage, Paging, answer_made, api_page
from webapp.common.idempotency import idempotent
from webapp.webhooks import selectors, services
from webapp.webhooks.models import Delivery, Event, Webhook

router = Router(tags=["webhooks"])


class WebhookIn(Schema):
    """Where to call, and of what. The host must be on the operator's list."""

    name: str = Field(min_length=1, max_length=80)
    url: str = Field(min_length=8, max_length=500)
    events: list[Event] = Field(min_length=1)


class WebhookChange(Schema):
    """What to change; the rest stays."""

    name: str | None = Field(default=None, min_length=1, max_length=80)
    url: str | None = Field(default=None, min_length=8, max_length=500)
    events: list[Event] | None = Field(default=None, min_length=1)
    active: bool | None = None


class WebhookOut(Schema):
    """A webhook. Its secret is shown once, when it is made."""

    id: UUID
    name: str
    url: str
    events: list[str]
    active: bool
    failing_since: datetime | None = Field(description="The first failure since the last success.")
    switched_off: datetime | None = Field(description="When we switched it off, since nothing arrived for days.")
    created: datetime

    @staticmethod
    def of(hook: Webhook) -> "WebhookOut":
        """From the row."""
        return WebhookOut(**_columns(hook))


class WebhookMade(WebhookOut):
    """A webhook that was made just now, with the secret that signs its calls: keep it, it is not shown again."""

    secret: str


def _columns(hook: Webhook) -> dict[str, Any]:
    names = ("name", "url", "events", "active", "failing_since", "switched_off", "created")
    return {"id": hook.pk} | {name: getattr(hook, name) for name in names}


class SecretOut(Schema):
    """A new secret: keep it, it is not shown again."""

    secret: str


class DeliveryOut(Schema):
    """A call to a webhook."""

    id: UUID
    event: str
    thing: UUID | None
    state: Delivery.State
    attempts: int
    status: int | None
    error: str
    created: datetime
    due: datetime | None = Field(description="The next try, while it waits.")
    ended: datetime | None

    @staticmethod
    def of(row: Delivery) -> "DeliveryOut":
        """From the row."""
        waits = row.state == Delivery.State.WAITING
        return DeliveryOut(
            id=row.pk,
            event=row.event,
            thing=row.thing,
            state=Delivery.State(row.state),
            attempts=row.attempts,
            status=row.status,
            error=row.error,
            created=row.created,
            due=row.due if waits else None,
            ended=row.ended,
        )


@router.post("/teams/{team_slug}/webhooks", response={201: WebhookMade}, operation_id="webhook_create")
@team_operation(Action.WEBHOOK_MANAGE)
@idempotent
def webhook_create(request: HttpRequest, team_slug: str, body: WebhookIn) -> HttpResponse:
    """Tell another program of events. The answer shows the secret, this once."""
    hook, secret = services.webhook_create(
        actor=actor_of_call(request),
        team=team_of_call(request),
        name=body.name,
        url=body.url,
        events=body.events,
    )
    place = reverse("api-1:webhook_show", kwargs={"team_slug": team_slug, "webhook_id": hook.pk})
    return answer_made(WebhookMade(**_columns(hook), secret=secret), location=place)


@router.get("/teams/{team_slug}/webhooks", response=ApiPage[WebhookOut], operation_id="webhook_list")
@team_operation(Action.WEBHOOK_MANAGE)
def webhook_list(request: HttpRequest, team_slug: str, paging: Query[Paging]) -> ApiPage[WebhookOut]:
    """The team's webhooks."""
    return api_page(request, selectors.webhooks_of(team=team_of_call(request)), WebhookOut.of, paging)


@router.get(
    "/teams/{team_slug}/webhooks/{webhook_id}",
    response=WebhookOut,
    operation_id="webhook_show",
    url_name="webhook_show",
)
@team_operation(Action.WEBHOOK_MANAGE)
def webhook_show(request: HttpRequest, team_slug: str, webhook_id: UUID) -> WebhookOut:
    """One webhook."""
    return WebhookOut.of(_hook(request, webhook_id))


@router.patch("/teams/{team_slug}/webhooks/{webhook_id}", response=WebhookOut, operation_id="webhook_change")
@team_operation(Action.WEBHOOK_MANAGE)
def webhook_change(request: HttpRequest, team_slug: str, webhook_id: UUID, body: WebhookChange) -> WebhookOut:
    """Change it, or switch it off and on."""
    hook = _hook(request, webhook_id)
    wanted = {"name": hook.name, "url": hook.url, "events": [Event(each) for each in hook.events]}
    wanted |= {"active": hook.active, **body.model_dump(exclude_none=True)}
    return WebhookOut.of(services.webhook_change(actor=actor_of_call(request), webhook=hook, **wanted))


@router.delete("/teams/{team_slug}/webhooks/{webhook_id}", response={204: None}, operation_id="webhook_delete")
@team_operation(Action.WEBHOOK_MANAGE)
def webhook_delete(request: HttpRequest, team_slug: str, webhook_id: UUID) -> Status[None]:
    """Remove it with its log."""
    services.webhook_delete(actor=actor_of_call(request), webhook=_hook(request, webhook_id))
    return Status(204, None)


@router.post("/teams/{team_slug}/webhooks/{webhook_id}/secret", response=SecretOut, operation_id="webhook_secret_renew")
@team_operation(Action.WEBHOOK_MANAGE)
def webhook_secret_renew(request: HttpRequest, team_slug: str, webhook_id: UUID) -> SecretOut:
    """A new secret in the place of the old one."""
    hook = _hook(request, webhook_id)
    return SecretOut(secret=services.webhook_secret_renew(actor=actor_of_call(request), webhook=hook))


@router.post("/teams/{team_slug}/webhooks/{webhook_id}/trial", response=DeliveryOut, operation_id="webhook_try")
@team_operation(Action.WEBHOOK_MANAGE)
def webhook_try(request: HttpRequest, team_slug: str, webhook_id: UUID) -> DeliveryOut:
    """Send a trial. Whether it arrived stands in the log of deliveries."""
    return DeliveryOut.of(services.webhook_try(actor=actor_of_call(request), webhook=_hook(request, webhook_id)))


@router.get(
    "/teams/{team_slug}/webhooks/{webhook_id}/deliveries",
    response=ApiPage[DeliveryOut],
    operation_id="webhook_deliveries",
)
@team_operation(Action.WEBHOOK_MANAGE)
def webhook_deliveries(
    request: HttpRequest, team_slug: str, webhook_id: UUID, paging: Query[Paging]
) -> ApiPage[DeliveryOut]:
    """What was sent, newest first; kept for a month."""
    rows = selectors.deliveries_of(webhook=_hook(request, webhook_id))
    return api_page(request, rows, DeliveryOut.of, paging)


@router.post(
    "/teams/{team_slug}/webhook-deliveries/{delivery_id}/again",
    response=DeliveryOut,
    operation_id="webhook_deliver_again",
)
@team_operation(Action.WEBHOOK_MANAGE)
def delivery_again(request: HttpRequest, team_slug: str, delivery_id: UUID) -> DeliveryOut:
    """Send the same once more, with an id of its own."""
    delivery = selectors.delivery_of(team=team_of_call(request), delivery_id=delivery_id)
    return DeliveryOut.of(services.delivery_again(actor=actor_of_call(request), delivery=delivery))


def _hook(request: HttpRequest, webhook_id: UUID) -> Webhook:
    return selectors.webhook_of(team=team_of_call(request), webhook_id=webhook_id)
