"""API of judging: what an annotator takes, says, takes back. Every answer is made in `shown`.

The work page talks to these operations too.
"""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from webapp.accounts.api_auth import actor_of_call, team_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.annotation import selectors, work
from webapp.annotation.api_schemas import (
    HeldOut,
    JudgementIn,
    MineWhole,
    PulledOut,
    PullIn,
    ReleaseIn,
    SaidOut,
    SavedOut,
)
from webapp.annotation.models import QueueItem
from webapp.annotation.shown import RevealedItem, WorkItem, revealed_item, rounds_said, work_item
from webapp.common.api_answers import ApiPage, Paging, answer_made, api_page

router = Router(tags=["judging"])

QUEUE = "/teams/{team_slug}/queues/{queue_id}"
ITEM = "/teams/{team_slug}/items/{item_id}"


@router.post(QUEUE + "/pull", response=PulledOut, operation_id="item_pull")
@team_operation(Action.ITEM_JUDGE)
def item_pull(request: HttpRequest, team_slug: str, queue_id: UUID, body: PullIn) -> PulledOut:
    """An item to judge, yours for ten minutes; one that you hold and do not name comes again.

    `reason` says why there is none: the queue is `closed`, you are `not-named` in it, your `limit` is reached, you are
    `holding` as many as one may, or all is `done`.
    """
    queue = selectors.queue_of(team=team_of_call(request), queue_id=queue_id)
    found = work.item_pull(actor=actor_of_call(request), queue=queue, holding=body.holding)
    return PulledOut.of(found, work_item(assignment=found.assignment) if found.assignment else None)


@router.get(QUEUE + "/mine", response=ApiPage[SaidOut], operation_id="judgement_mine")
@team_operation(Action.ITEM_JUDGE)
def judgement_mine(request: HttpRequest, team_slug: str, queue_id: UUID, paging: Query[Paging]) -> ApiPage[SaidOut]:
    """What you judged in a queue, newest first."""
    queue = selectors.queue_of(team=team_of_call(request), queue_id=queue_id)
    rows = selectors.assignments_said(actor=actor_of_call(request), queue=queue)
    page = api_page(request, rows, lambda row: row, paging)
    said = selectors.verdicts_now(assignments=page.items)
    return ApiPage(
        items=[
            SaidOut(item=row.item_id, at=row.judged, revealed=row.revealed is not None, verdicts=said[row.pk])
            for row in page.items
        ],
        next=page.next,
    )


@router.get(ITEM + "/work", response=MineWhole, operation_id="item_work")
@team_operation(Action.ITEM_JUDGE)
def item_work(request: HttpRequest, team_slug: str, item_id: UUID) -> MineWhole:
    """An item that you were given, with what you said of it."""
    given = selectors.assignment_of(actor=actor_of_call(request), item=_item(request, item_id))
    return MineWhole(item=work_item(assignment=given), said=rounds_said(assignment=given))


@router.post(ITEM + "/renew", response=HeldOut, operation_id="item_renew")
@team_operation(Action.ITEM_JUDGE)
def item_renew(request: HttpRequest, team_slug: str, item_id: UUID) -> HeldOut:
    """Keep an item for another ten minutes."""
    given = work.lock_renew(actor=actor_of_call(request), item=_item(request, item_id))
    return HeldOut(expires=given.expires if given else None)


@router.post(ITEM + "/release", response={204: None}, operation_id="item_release")
@team_operation(Action.ITEM_JUDGE)
def item_release(request: HttpRequest, team_slug: str, item_id: UUID, body: ReleaseIn) -> Status[None]:
    """Give an item back without a judgement."""
    work.item_release(actor=actor_of_call(request), item=_item(request, item_id), skip=body.skip)
    return Status(204, None)


@router.post(ITEM + "/judgements", response={201: SavedOut}, operation_id="judgement_save")
@team_operation(Action.ITEM_JUDGE)
def judgement_save(request: HttpRequest, team_slug: str, item_id: UUID, body: JudgementIn) -> HttpResponse:
    """Say what you think of an item that you were given, or change what you said (`change`).

    Sent again with the same `id` it is saved once. After the lock has run out it is kept all the same (`late`).
    """
    actor, item = actor_of_call(request), _item(request, item_id)
    say = work.judgement_revise if body.change else work.judgement_save
    saved = say(actor=actor, item=item, client_id=body.id, answers=body.answers, seconds=body.seconds)
    first = saved.judgements[0]
    answer = SavedOut(
        item=item.pk,
        judgements=[row.pk for row in saved.judgements],
        round=first.round,
        blind=first.blind,
        late=saved.late,
        repeated=saved.repeated,
        revealed=revealed_item(actor=actor, item=item) if body.reveal else None,
    )
    return answer_made(answer, location=f"/api/v1/teams/{team_slug}/items/{item.pk}/work")


@router.post(ITEM + "/undo", response=WorkItem, operation_id="judgement_undo")
@team_operation(Action.ITEM_JUDGE)
def judgement_undo(request: HttpRequest, team_slug: str, item_id: UUID) -> WorkItem:
    """Take back what you said, as long as you were not shown what the item keeps back. Sent again, nothing more."""
    taken = work.judgement_undo(actor=actor_of_call(request), item=_item(request, item_id))
    return work_item(assignment=taken.assignment)


@router.get(ITEM + "/revealed", response=RevealedItem, operation_id="item_revealed")
@team_operation(Action.ITEM_JUDGE)
def item_revealed(request: HttpRequest, team_slug: str, item_id: UUID) -> RevealedItem:
    """What the item kept back, once you have judged it; from then on a change is not blind."""
    return revealed_item(actor=actor_of_call(request), item=_item(request, item_id))


def _item(request: HttpRequest, item_id: UUID) -> QueueItem:
    return selectors.item_of(team=team_of_call(request), item_id=item_id)
