"""Review: the list of items by what people said, one item with all that is known of it, and what reviewers decide."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from meds3core.judgements.items import ItemShown
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.annotation import review, reviewing, selectors
from webapp.annotation.forms import AnswerForm, answers_of
from webapp.annotation.models import Adjudication, QueueItem
from webapp.annotation.shown import answer_of, kept_of
from webapp.annotation.work import JudgingError
from webapp.common.access import actor_of, team_page
from webapp.common.paging import page_of


@team_page(Action.ITEM_REVIEW)
@require_GET
def queue_review(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """Items of a queue with what people say of them; disagreements first."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    which = request.GET.get("show", "disputed")
    which = which if which in reviewing.FILTERS else "disputed"
    blind = _blind(request)
    page = page_of(reviewing.items_narrowed(queue=found, which=which, blind=blind), request.GET, size=25)
    context = {
        "team": team,
        "queue": found,
        "which": which,
        "filters": list(reviewing.FILTERS.items()),
        "page": page,
        "rows": reviewing.review_rows(items=page.rows, blind=blind),
        "disputed": reviewing.disputed_count(queue=found, blind=blind),
        "leaves_out": blind is not None and which in reviewing.TELLING,
    }
    return render(request, "annotation/review.html", context)


@team_page(Action.ITEM_REVIEW)
@require_GET
@never_cache
def queue_item(request: HttpRequest, team: Team, item_id: uuid.UUID) -> HttpResponse:
    """One item with all it keeps back and all that was said. Whoever reads it is not given it to judge any more."""
    item = selectors.item_of(team=team, item_id=item_id)
    return _page(request, team, item)


@team_page(Action.ITEM_DECIDE)
@require_POST
def item_decide(request: HttpRequest, team: Team, item_id: uuid.UUID) -> HttpResponse:
    """A reviewer's decision; then the next disagreement."""
    item = selectors.item_of(team=team, item_id=item_id)
    forms = _forms(item, request.POST)
    answers = answers_of(forms)
    if not answers:
        messages.error(request, "Choose what is to be said of every step, up to the first bad one.")
        return _page(request, team, item, forms=forms)
    try:
        client_id = uuid.UUID(request.POST.get("client_id", ""))
    except ValueError:
        client_id = uuid.uuid4()
    try:
        review.item_adjudicate(actor=actor_of(request), item=item, answers=answers, client_id=client_id)
    except JudgingError as error:
        messages.error(request, str(error))
        return redirect("queue-item", team.slug, item.pk)
    following = reviewing.next_disputed(queue=item.queue, after=item.pk, blind=_blind(request))
    if following is None:
        messages.success(request, "Decided. No disagreement is left.")
        return redirect("queue-review", team.slug, item.queue_id)
    messages.success(request, "Decided. Here is the next disagreement.")
    return redirect("queue-item", team.slug, following)


@team_page(Action.ITEM_DECIDE)
@require_POST
def item_change(request: HttpRequest, team: Team, item_id: uuid.UUID, ask: str) -> HttpResponse:
    """Ask one person more, plant the item as a control item with the decision as its answer, or withdraw it."""
    item = selectors.item_of(team=team, item_id=item_id)
    try:
        match ask:
            case "again":
                review.item_ask_again(actor=actor_of(request), item=item)
                messages.success(request, "One person more is asked.")
            case "control":
                _plant(request, item)
            case "no-control":
                review.control_set(actor=actor_of(request), item=item, answers=None)
                messages.success(request, "It is an item like any other again.")
            case "withdraw":
                review.item_withdraw(actor=actor_of(request), item=item)
                messages.success(request, "It is handed out no more.")
            case _:
                raise BadRequest("again, control, no-control or withdraw")
    except JudgingError as error:
        messages.error(request, str(error))
    return redirect("queue-item", team.slug, item.pk)


def _blind(request: HttpRequest) -> str | None:
    return reviewing.blind_of(actor=actor_of(request), role=request.membership.role)  # type: ignore[attr-defined]


def _plant(request: HttpRequest, item: QueueItem) -> None:
    decided = [each.decision for each in reviewing.step_reviews(item=item) if each.decision is not None]
    if not decided:
        messages.error(request, "Decide first what is to be said of it: that becomes its known answer.")
        return
    answers = [answer_of(row) for row in decided]
    review.control_set(actor=actor_of(request), item=item, answers=answers)
    messages.success(request, "It is a control item now: everybody may be given it, and is measured by your decision.")


def _page(request: HttpRequest, team: Team, item: QueueItem, *, forms: list[AnswerForm] | None = None) -> HttpResponse:
    role = request.membership.role  # type: ignore[attr-defined]
    context: dict[str, Any] = {"team": team, "item": item, "queue": item.queue}
    try:
        review.item_seen(actor=actor_of(request), item=item)
    except JudgingError as error:
        return render(request, "annotation/item_held.html", context | {"trouble": str(error)}, status=409)
    steps = reviewing.step_reviews(item=item)
    kept = kept_of(item=item)
    may_decide = may(role, Action.ITEM_DECIDE)
    context |= {
        "shown": ItemShown.model_validate(item.shown),
        "kept": kept,
        "steps": list(zip(steps, kept.steps, forms or _forms(item), strict=False)),
        "is_decided": any(each.decision for each in steps),
        "people": sorted({opinion.name for each in steps for opinion in each.opinions}),
        "may_decide": may_decide,
        "may_see_trees": may(role, Action.TREE_VIEW),
        "gone": item.source is not None and bool(selectors.sources_gone(items=[item])),
        "client_id": uuid.uuid4(),
        "following": reviewing.next_disputed(queue=item.queue, after=item.pk, blind=_blind(request)),
    }
    return render(request, "annotation/item.html", context)


def _forms(item: QueueItem, data: Any = None) -> list[AnswerForm]:
    """A form per step, beginning with the decision that holds."""
    held = {row.position: row for row in Adjudication.objects.filter(item=item).order_by("id")}
    return [AnswerForm(data, prefix=f"step-{place}", initial=_said(held.get(place))) for place in range(item.steps)]


def _said(row: Adjudication | None) -> dict[str, Any]:
    if row is None:
        return {}
    names = ("verdict", "severity", "correction", "comment")
    return {"errors_named": row.errors} | {name: getattr(row, name) for name in names}
