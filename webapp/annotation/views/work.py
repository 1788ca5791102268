"""The work page and what it asks while somebody judges: the next item, its lock, saving, taking back, what was hidden.

Everything that is sent of an item is made by `webapp.annotation.shown`. Errors that have words for the person answer
409 with them in `detail` and the error's `code`; nothing of a body that is not understood is repeated. What may be sent
twice answers with `repeated`: by it a page knows that it was this server that answered.
"""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from pydantic import Field, ValidationError

from meds3core.errors import UserError
from meds3core.judgements.items import TEXT_LENGTH, StepAnswer
from meds3core.types.record import Record
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.annotation import selectors, work
from webapp.annotation.models import QueueItem
from webapp.annotation.progress import my_progress
from webapp.annotation.queues import instructions_seen
from webapp.annotation.shown import revealed_item, work_item
from webapp.annotation.words import KINDS, SEVERITIES
from webapp.common.access import actor_of, team_page


class Holding(Record):
    """What a page has at hand when it asks for one item more."""

    holding: tuple[uuid.UUID, ...] = Field(default=(), max_length=200)


class Said(Record):
    """A judgement as a page sends it."""

    client_id: uuid.UUID
    answers: tuple[StepAnswer, ...] = Field(min_length=1, max_length=200)
    seconds: float | None = Field(default=None, ge=0, le=86_400)


class Undone(Record):
    """Which judgement is taken back, by the id that its page gave it; None: whatever stands."""

    client_id: uuid.UUID | None = None


class Read(Record):
    """The version of the instructions that was read."""

    number: int = Field(ge=1, le=1_000_000)


@team_page(Action.ITEM_JUDGE)
@require_GET
@never_cache
def queue_work(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """The page where somebody judges. Items come later, one by one."""
    queue = selectors.queue_of(team=team, queue_id=queue_id)
    mine = my_progress(actor=actor_of(request), queues=[queue])[queue.pk]
    newest = next(iter(selectors.instructions_of(queue=queue)), None)
    context = {
        "team": team,
        "queue": queue,
        "kinds": KINDS,
        "severities": SEVERITIES,
        "text_length": TEXT_LENGTH,
        "instructions": newest,
        "is_unread": newest is not None and mine.instructions_seen < newest.number,
        "item_url": reverse("item-act", args=[team.slug, uuid.UUID(int=0), "act"]),
    }
    return render(request, "annotation/work.html", context)


@team_page(Action.ITEM_JUDGE)
@require_POST
def work_next(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """One item more, or why there is none; and how far the person is."""
    queue = selectors.queue_of(team=team, queue_id=queue_id)
    try:
        held = Holding.model_validate_json(request.body or b"{}")
    except ValidationError:
        return _not_understood()
    actor = actor_of(request)
    pulled = work.item_pull(actor=actor, queue=queue, holding=held.holding)
    item = work_item(assignment=pulled.assignment).model_dump(mode="json") if pulled.assignment else None
    mine = my_progress(actor=actor, queues=[queue])[queue.pk]
    unread = mine.instructions if mine.instructions > mine.instructions_seen else None
    progress = {"judged": mine.judged, "left": mine.left}
    return _answer({"item": item, "reason": pulled.reason or "", "progress": progress, "unread": unread})


@team_page(Action.ITEM_JUDGE)
@require_http_methods(["GET", "POST"])
def work_instructions(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """The newest instructions, for a page that was opened before they were written; or a note that they were read."""
    queue = selectors.queue_of(team=team, queue_id=queue_id)
    if request.method == "GET":
        newest = next(iter(selectors.instructions_of(queue=queue)), None)
        return render(request, "annotation/parts/instructions_newest.html", {"instructions": newest})
    try:
        number = Read.model_validate_json(request.body).number
    except ValidationError:
        return _not_understood()
    instructions_seen(actor=actor_of(request), queue=queue, number=number)
    return _answer({})


@team_page(Action.ITEM_JUDGE)
@require_POST
def item_act(request: HttpRequest, team: Team, item_id: uuid.UUID, act: str) -> HttpResponse:
    """What a person does with an item that was given to them: one of `ACTS`."""
    try:
        item = selectors.item_of(team=team, item_id=item_id)
    except Http404 as error:  # what waited on a device while its queue was deleted: whoever said it is told
        return JsonResponse({"detail": str(error), "code": "gone"}, status=404)
    if act not in ACTS:
        return JsonResponse({"detail": "There is no such thing to do with an item."}, status=400)
    try:
        return _answer(ACTS[act](actor_of(request), item, request.body))
    except ValidationError:
        return _not_understood()
    except UserError as error:
        return JsonResponse({"detail": str(error), "code": error.code}, status=409)


def _lock(actor: Actor, item: QueueItem, _body: bytes) -> dict[str, Any]:
    held = work.lock_renew(actor=actor, item=item)
    return {"held": held is not None}


def _release(actor: Actor, item: QueueItem, _body: bytes) -> dict[str, Any]:
    work.item_release(actor=actor, item=item)
    return {}


def _skip(actor: Actor, item: QueueItem, _body: bytes) -> dict[str, Any]:
    work.item_release(actor=actor, item=item, skip=True)
    return {}


def _save(actor: Actor, item: QueueItem, body: bytes) -> dict[str, Any]:
    said = Said.model_validate_json(body)
    saved = work.judgement_save(actor=actor, item=item, **_said(said))
    return {"late": saved.late, "repeated": saved.repeated}


def _revise(actor: Actor, item: QueueItem, body: bytes) -> dict[str, Any]:
    said = Said.model_validate_json(body)
    saved = work.judgement_revise(actor=actor, item=item, **_said(said))
    return {"late": False, "repeated": saved.repeated}


def _undo(actor: Actor, item: QueueItem, body: bytes) -> dict[str, Any]:
    undone = Undone.model_validate_json(body or b"{}")
    return {"repeated": work.judgement_undo(actor=actor, item=item, client_id=undone.client_id).repeated}


def _reveal(actor: Actor, item: QueueItem, _body: bytes) -> dict[str, Any]:
    return revealed_item(actor=actor, item=item).model_dump(mode="json")


ACTS = {
    "lock": _lock,
    "release": _release,
    "skip": _skip,
    "save": _save,
    "revise": _revise,
    "undo": _undo,
    "reveal": _reveal,
}
"""By the last part of the URL."""


def _said(said: Said) -> dict[str, Any]:
    return {"client_id": said.client_id, "answers": said.answers, "seconds": said.seconds}


def _answer(content: dict[str, Any]) -> HttpResponse:
    return JsonResponse(content, headers={"Cache-Control": "no-store"})


def _not_understood() -> HttpResponse:
    return JsonResponse({"detail": "This was not understood. Load the page again."}, status=400)
