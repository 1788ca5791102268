"""What the views of conversations share: finding one's own, and drawing the thread anew."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify

from meds3core.errors import UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.annotation.selectors import queues_for_flags
from webapp.chat import selectors, services, showing
from webapp.chat.matching import examples_for
from webapp.chat.models import Conversation, Message

Made = TypeVar("Made")


def own_conversation(request: HttpRequest, team: Team, conversation_id: UUID) -> Conversation:
    """One that the person may go on with. Raises `Http404`."""
    return selectors.conversation_for(user=request.user, team=team, conversation_id=conversation_id, own=True)


def owns(request: HttpRequest) -> bool:
    """Whether the person is an owner of the team."""
    return may(request.membership.role, Action.TEAM_OWN)  # type: ignore[attr-defined]


def message_in(found: Conversation, message_id: UUID) -> Message:
    """One of its messages. Raises `Http404`."""
    return selectors.message_of(conversation=found, message_id=message_id)


def begun(form: Form, begin: Callable[[], Made]) -> Made | None:
    """What a service makes of a form; none where either refuses: the form says why."""
    if not form.is_valid():
        return None
    try:
        return begin()
    except UserError as error:
        form.add_error(None, str(error))
        return None


def id_of(text: str) -> UUID:
    """An id that a form sent. Raises `ChatError`."""
    try:
        return UUID(text)
    except ValueError:
        raise services.ChatError("What this answers is not known. Load the page again.") from None


def thread_context(request: HttpRequest, team: Team, found: Conversation, error: str = "") -> dict[str, object]:
    """For `chat/parts/thread.html`."""
    turns = showing.thread_of(found, request.user)
    own = found.owner_id == request.user.pk
    may_send = own and may(request.membership.role, Action.QUEUE_CHANGE)  # type: ignore[attr-defined]
    return {
        "team": team,
        "conversation": found,
        "turns": turns,
        "leaf": turns[-1].message if turns else None,
        "own": own,
        "may_delete": selectors.may_delete(user=request.user, conversation=found, is_owner=owns(request)),
        "queues": queues_for_flags(team=team) if may_send and turns else [],
        "may_send": may_send,
        "examples": examples_for(team=team, policy=found.policy) if own and not turns else [],
        "error": error,
    }


def after(request: HttpRequest, team: Team, found: Conversation, error: str = "", done: str = "") -> HttpResponse:
    """The thread as it is now; without a script, the page. `done`: what has happened, in words."""
    if not getattr(request, "htmx", False):
        if error:
            messages.error(request, error)
        if done:
            messages.success(request, done)
        return to_conversation(team, found)
    found = selectors.conversation_for(user=request.user, team=team, conversation_id=found.pk)
    context = thread_context(request, team, found, error) | {"done": done}
    answer = render(request, "chat/parts/thread.html", context)
    if not error:
        answer["X-Chat-Asked"] = "1"  # the page empties its box
    return answer


def to_conversation(team: Team, found: Conversation) -> HttpResponse:
    """Its page."""
    return redirect("chat", team_slug=team.slug, conversation_id=found.pk)


def as_file(found: Conversation, text: str, ending: str, kind: str) -> HttpResponse:
    """A download."""
    name = slugify(found.title)[:60] or "conversation"
    answer = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.{ending}"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
