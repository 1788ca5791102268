"""API of queues: making, filling, instructing, closing them, and how far they are."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from meds3core.judgements.copying import item_copy
from meds3core.judgements.flagging import Rule
from meds3core.judgements.items import ItemMode, ItemOrigin
from webapp.accounts.api_auth import actor_of_call, team_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.annotation import filling, queues, reviewing, selectors
from webapp.annotation.api_review import blind_of_call
from webapp.annotation.api_review_schemas import ItemOut
from webapp.annotation.api_schemas import (
    FillingIn,
    FillingOut,
    FlagsIn,
    InstructionsIn,
    InstructionsOut,
    MembersIn,
    PreviewIn,
    PreviewOut,
    ProgressOut,
    QueueIn,
    QueueOut,
    SeenIn,
    SendIn,
    SentOut,
)
from webapp.annotation.models import AnnotationQueue
from webapp.annotation.progress import my_progress, people_progress, queues_progress
from webapp.annotation.queues import QueueSettings, settings_of
from webapp.common.api_answers import ApiPage, Paging, answer_made, api_page
from webapp.common.idempotency import idempotent
from webapp.jobs.api import job_accepted
from webapp.jobs.api_schemas import JobOut

router = Router(tags=["queues"])

QUEUES = "/teams/{team_slug}/queues"
QUEUE = QUEUES + "/{queue_id}"


@router.get(QUEUES, response=ApiPage[QueueOut], operation_id="queue_list")
@team_operation(Action.QUEUE_VIEW)
def queue_list(request: HttpRequest, team_slug: str, paging: Query[Paging]) -> ApiPage[QueueOut]:
    """The team's queues, newest first, with what is left in them for you."""
    rows = selectors.queues_of(team=team_of_call(request))
    page = api_page(request, rows, lambda row: row, paging)
    mine = my_progress(actor=actor_of_call(request), queues=page.items)
    return ApiPage(items=[QueueOut.of(row, mine[row.pk]) for row in page.items], next=page.next)


@router.post(QUEUES, response={201: QueueOut}, operation_id="queue_create")
@team_operation(Action.QUEUE_CHANGE)
@idempotent
def queue_create(request: HttpRequest, team_slug: str, body: QueueIn) -> HttpResponse:
    """A queue without items."""
    made = queues.queue_create(
        actor=actor_of_call(request), team=team_of_call(request), settings=body.settings, instructions=body.instructions
    )
    return answer_made(_out(request, made), location=f"/api/v1/teams/{team_slug}/queues/{made.pk}")


@router.post(QUEUES + "/preview", response=PreviewOut, operation_id="queue_preview")
@team_operation(Action.QUEUE_CHANGE)
def queue_preview(request: HttpRequest, team_slug: str, body: PreviewIn) -> PreviewOut:
    """How many items each rule would put into a queue. Nothing is made."""
    team = team_of_call(request)
    queue = selectors.queue_of(team=team, queue_id=body.queue) if body.queue else None
    wanted = {"rules": body.rules, "items": body.items, "seed": body.seed}
    mode = ItemMode(queue.mode) if queue else body.mode
    return PreviewOut.of(
        filling.filling_preview(team=team, source=body.source.source, mode=mode, queue=queue, **wanted)
    )


@router.get(QUEUE, response=QueueOut, operation_id="queue_show")
@team_operation(Action.QUEUE_VIEW)
def queue_show(request: HttpRequest, team_slug: str, queue_id: UUID) -> QueueOut:
    """One queue."""
    return _out(request, _queue(request, queue_id))


@router.delete(QUEUE, response={204: None}, operation_id="queue_delete")
@team_operation(Action.QUEUE_CHANGE)
def queue_delete(request: HttpRequest, team_slug: str, queue_id: UUID) -> Status[None]:
    """Delete a closed queue with its items and everything said of them."""
    queues.queue_delete(actor=actor_of_call(request), queue=_queue(request, queue_id))
    return Status(204, None)


@router.get(QUEUE + "/settings", response=QueueSettings, operation_id="queue_settings")
@team_operation(Action.ITEM_REVIEW)
def queue_settings(request: HttpRequest, team_slug: str, queue_id: UUID) -> QueueSettings:
    """How a queue works."""
    return settings_of(queue=_queue(request, queue_id))


@router.put(QUEUE + "/settings", response=QueueSettings, operation_id="queue_change")
@team_operation(Action.QUEUE_CHANGE)
def queue_change(request: HttpRequest, team_slug: str, queue_id: UUID, body: QueueSettings) -> QueueSettings:
    """Other settings. With more people wanted, items that were complete open again."""
    queue = _queue(request, queue_id)
    return settings_of(queue=queues.queue_change(actor=actor_of_call(request), queue=queue, settings=body))


@router.post(QUEUE + "/close", response=QueueOut, operation_id="queue_close")
@team_operation(Action.QUEUE_CHANGE)
def queue_close(request: HttpRequest, team_slug: str, queue_id: UUID) -> QueueOut:
    """Hand out nothing more. What people have at hand can still be saved."""
    return _out(request, queues.queue_close(actor=actor_of_call(request), queue=_queue(request, queue_id)))


@router.post(QUEUE + "/reopen", response=QueueOut, operation_id="queue_reopen")
@team_operation(Action.QUEUE_CHANGE)
def queue_reopen(request: HttpRequest, team_slug: str, queue_id: UUID) -> QueueOut:
    """Hand out items again."""
    return _out(request, queues.queue_reopen(actor=actor_of_call(request), queue=_queue(request, queue_id)))


@router.get(QUEUE + "/progress", response=ProgressOut, operation_id="queue_progress")
@team_operation(Action.ITEM_REVIEW)
def queue_progress(request: HttpRequest, team_slug: str, queue_id: UUID) -> ProgressOut:
    """A queue in figures, and everybody who judged in it."""
    queue = _queue(request, queue_id)
    return ProgressOut.of(queues_progress(queues=[queue.pk])[queue.pk], people_progress(queue=queue))


# --- filling -------------------------------------------------------------------------------------------------------


@router.get(QUEUE + "/fillings", response=ApiPage[FillingOut], operation_id="filling_list")
@team_operation(Action.ITEM_REVIEW)
def filling_list(request: HttpRequest, team_slug: str, queue_id: UUID, paging: Query[Paging]) -> ApiPage[FillingOut]:
    """What was put into a queue, newest first."""
    return api_page(request, selectors.fillings_of(queue=_queue(request, queue_id)), FillingOut.of, paging)


@router.post(QUEUE + "/fillings", response={200: FillingOut, 202: JobOut}, operation_id="queue_fill")
@team_operation(Action.QUEUE_CHANGE)
def queue_fill(
    request: HttpRequest, team_slug: str, queue_id: UUID, body: FillingIn
) -> Status[FillingOut] | HttpResponse:
    """Put steps of a search or an evaluation into a queue. Sent again, it adds what the queue does not have yet.

    From a large source a job does it (202): its result says how many came in.
    """
    actor, source = actor_of_call(request), body.source.source
    wanted = {"source": source, "rules": body.rules, "items": body.items, "seed": body.seed}
    queue = _queue(request, queue_id)
    if not filling.is_waited_for(source=source, items=body.items):
        return job_accepted(filling.filling_submit(actor=actor, queue=queue, **wanted))
    return Status(200, FillingOut.of(filling.queue_fill(actor=actor, queue=queue, **wanted)))


@router.post(QUEUE + "/flags", response=FillingOut, operation_id="queue_flags_send")
@team_operation(Action.QUEUE_CHANGE)
def queue_flags_send(request: HttpRequest, team_slug: str, queue_id: UUID, body: FlagsIn) -> FillingOut:
    """Put flagged steps into a queue: those that are named, or all that it does not have, 5,000 at a time."""
    actor, queue = actor_of_call(request), _queue(request, queue_id)
    if body.flags is None:
        return FillingOut.of(filling.flags_fill(actor=actor, queue=queue))
    rows = selectors.flags_of(team=team_of_call(request)).filter(pk__in=body.flags)
    return FillingOut.of(filling.flags_send(actor=actor, queue=queue, flags=list(rows)))


@router.get(QUEUE + "/items", response=ApiPage[ItemOut], operation_id="item_list")
@team_operation(Action.ITEM_REVIEW)
def item_list(request: HttpRequest, team_slug: str, queue_id: UUID, paging: Query[Paging]) -> ApiPage[ItemOut]:
    """A queue's items, in no order that means anything, without what they keep back.

    Of those that you may still be given, not even how many people judged them.
    """
    queue = _queue(request, queue_id)
    page = api_page(request, selectors.items_of(queue=queue), lambda row: row, paging)
    hidden = reviewing.items_hidden(blind=blind_of_call(request), items=page.items)
    return ApiPage(items=[ItemOut.of(row, is_hidden=row.pk in hidden) for row in page.items], next=page.next)


@router.post(QUEUE + "/items", response=SentOut, operation_id="queue_items_send")
@team_operation(Action.QUEUE_CHANGE)
def queue_items_send(request: HttpRequest, team_slug: str, queue_id: UUID, body: SendIn) -> SentOut:
    """Put steps of a program's own into a queue; those of known answer become control items.

    A step that the queue has already is left as it is, and its id is given.
    """
    queue = _queue(request, queue_id)
    new = [
        filling.NewItem(
            item_copy(
                each.question,
                each.prefix,
                each.steps,
                mode=ItemMode(queue.mode),
                siblings=each.siblings,
                rules=(Rule.FLAGGED,),
                origin=ItemOrigin(kind="sent"),
            ),
            known=each.known,
        )
        for each in body.items
    ]
    made, rows = filling.items_add(
        actor=actor_of_call(request), queue=queue, items=new, source_kind="sent", title=body.title
    )
    return SentOut(filling=FillingOut.of(made), items=[row.pk for row in rows])


# --- instructions and people ---------------------------------------------------------------------------------------


@router.get(QUEUE + "/instructions", response=list[InstructionsOut], operation_id="instructions_list")
@team_operation(Action.QUEUE_VIEW)
def instructions_list(request: HttpRequest, team_slug: str, queue_id: UUID) -> list[InstructionsOut]:
    """Every version of what annotators are told, newest first."""
    return [InstructionsOut.of(row) for row in selectors.instructions_of(queue=_queue(request, queue_id))]


@router.post(QUEUE + "/instructions", response={201: InstructionsOut}, operation_id="instructions_write")
@team_operation(Action.QUEUE_CHANGE)
@idempotent
def instructions_write(request: HttpRequest, team_slug: str, queue_id: UUID, body: InstructionsIn) -> HttpResponse:
    """A new version; everybody is shown it before their next item."""
    queue = _queue(request, queue_id)
    made = queues.instructions_write(actor=actor_of_call(request), queue=queue, text=body.text, examples=body.examples)
    return answer_made(InstructionsOut.of(made), location=f"/api/v1/teams/{team_slug}/queues/{queue.pk}/instructions")


@router.post(QUEUE + "/instructions/seen", response={204: None}, operation_id="instructions_seen")
@team_operation(Action.ITEM_JUDGE)
def instructions_seen(request: HttpRequest, team_slug: str, queue_id: UUID, body: SeenIn) -> Status[None]:
    """Note which version you were shown."""
    queue = _queue(request, queue_id)
    queues.instructions_seen(actor=actor_of_call(request), queue=queue, number=body.number)
    return Status(204, None)


@router.put(QUEUE + "/members", response={204: None}, operation_id="queue_members")
@team_operation(Action.QUEUE_CHANGE)
def queue_members(request: HttpRequest, team_slug: str, queue_id: UUID, body: MembersIn) -> Status[None]:
    """Name the people who may judge in a queue that is for named people only."""
    queues.members_set(actor=actor_of_call(request), queue=_queue(request, queue_id), users=body.users)
    return Status(204, None)


def _queue(request: HttpRequest, queue_id: UUID) -> AnnotationQueue:
    return selectors.queue_of(team=team_of_call(request), queue_id=queue_id)


def _out(request: HttpRequest, queue: AnnotationQueue) -> QueueOut:
    return QueueOut.of(queue, my_progress(actor=actor_of_call(request), queues=[queue])[queue.pk])
