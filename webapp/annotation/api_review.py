"""API of review: items with all they keep back, judgements, decisions, control items."""

from typing import Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Status

from meds3core.judgements.items import ItemShown
from webapp.accounts.api_auth import actor_of_call, team_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.accounts.selectors import membership_of
from webapp.annotation import review, reviewing, selectors
from webapp.annotation.api_review_schemas import (
    ControlIn,
    DecisionIn,
    DecisionOut,
    ItemWhole,
    JudgementOut,
)
from webapp.annotation.models import QueueItem
from webapp.annotation.shown import kept_of
from webapp.common.api_answers import ApiPage, Paging, api_page

router = Router(tags=["review"])

QUEUE = "/teams/{team_slug}/queues/{queue_id}"
ITEM = "/teams/{team_slug}/items/{item_id}"


def blind_of_call(request: HttpRequest) -> str | None:
    """For whom lists hide what they may yet judge (`reviewing.blind_of`): by the person's role, not by the token's."""
    actor, team = actor_of_call(request), team_of_call(request)
    assert actor.user is not None
    return reviewing.blind_of(actor=actor, role=membership_of(user=actor.user, team_slug=team.slug).role)


@router.get(QUEUE + "/judgements", response=ApiPage[JudgementOut], operation_id="judgement_list")
@team_operation(Action.ITEM_REVIEW)
def judgement_list(
    request: HttpRequest,
    team_slug: str,
    queue_id: UUID,
    paging: Query[Paging],
    which: Literal["all", "blind", "current"] = "all",
) -> ApiPage[JudgementOut]:
    """What people said in a queue, newest first: everything, what agreement reads, or what each says now.

    What others said of items that you may still be given is not among it.
    """
    queue = selectors.queue_of(team=team_of_call(request), queue_id=queue_id)
    rows = reviewing.judgements_readable(
        selectors.judgements_of(queue=queue, which=which), blind=blind_of_call(request)
    )
    return api_page(request, rows, JudgementOut.of, paging)


@router.get("/teams/{team_slug}/judgements/{judgement_id}", response=JudgementOut, operation_id="judgement_show")
@team_operation(Action.ITEM_REVIEW)
def judgement_show(request: HttpRequest, team_slug: str, judgement_id: UUID) -> JudgementOut:
    """One judgement. Refused while you may still be given its item, unless it is your own."""
    found = selectors.judgement_of(team=team_of_call(request), judgement_id=judgement_id)
    review.judgement_seen(judgement=found, blind=blind_of_call(request))
    return JudgementOut.of(found)


@router.get(ITEM, response=ItemWhole, operation_id="item_show")
@team_operation(Action.ITEM_REVIEW)
def item_show(request: HttpRequest, team_slug: str, item_id: UUID) -> ItemWhole:
    """An item with all it keeps back and all that was said of it. From then on it is not given to you to judge.

    Refused while you hold it to judge it.
    """
    item = _item(request, item_id)
    review.item_seen(actor=actor_of_call(request), item=item)
    said, decided = selectors.item_history(item=item)
    return ItemWhole(
        id=item.pk,
        queue=item.queue_id,
        content=ItemShown.model_validate(item.shown),
        kept=kept_of(item=item),
        source_kind=item.source_kind,
        source=item.source,
        source_exists=not selectors.sources_gone(items=[item]),
        judged=item.judged,
        completed=item.completed,
        withdrawn=item.withdrawn,
        judgements=[JudgementOut.of(row) for row in said],
        decisions=[DecisionOut.of(row) for row in decided],
    )


@router.delete(ITEM, response={204: None}, operation_id="item_withdraw")
@team_operation(Action.ITEM_DECIDE)
def item_withdraw(request: HttpRequest, team_slug: str, item_id: UUID) -> Status[None]:
    """Hand an item out no more; what was said of it stays."""
    review.item_withdraw(actor=actor_of_call(request), item=_item(request, item_id))
    return Status(204, None)


@router.post(ITEM + "/decisions", response={201: list[DecisionOut]}, operation_id="item_decide")
@team_operation(Action.ITEM_DECIDE)
def item_decide(request: HttpRequest, team_slug: str, item_id: UUID, body: DecisionIn) -> Status[list[DecisionOut]]:
    """Decide what is to be said of an item's steps; the newest decision holds, earlier ones stay."""
    made = review.item_adjudicate(
        actor=actor_of_call(request), item=_item(request, item_id), answers=body.answers, client_id=body.id
    )
    return Status(201, [DecisionOut.of(row) for row in made])


@router.put(ITEM + "/control", response={204: None}, operation_id="item_control")
@team_operation(Action.ITEM_DECIDE)
def item_control(request: HttpRequest, team_slug: str, item_id: UUID, body: ControlIn) -> Status[None]:
    """Make an item a control item, or an item like any other again."""
    review.control_set(actor=actor_of_call(request), item=_item(request, item_id), answers=body.answers)
    return Status(204, None)


@router.post(ITEM + "/again", response={204: None}, operation_id="item_ask_again")
@team_operation(Action.ITEM_DECIDE)
def item_ask_again(request: HttpRequest, team_slug: str, item_id: UUID) -> Status[None]:
    """Let one person more judge an item."""
    review.item_ask_again(actor=actor_of_call(request), item=_item(request, item_id))
    return Status(204, None)


def _item(request: HttpRequest, item_id: UUID) -> QueueItem:
    return selectors.item_of(team=team_of_call(request), item_id=item_id)
