"""What a person does with one answer: stop it, have another one, go on from it, rate it, have a step judged."""

from collections.abc import Callable
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from meds3core.errors import UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.annotation.selectors import queues_for_flags
from webapp.chat import judging, selectors, services
from webapp.chat.models import Conversation, Message
from webapp.chat.views.parts import after, message_in
from webapp.common.access import actor_of, team_page


def _acted(
    request: HttpRequest,
    team: Team,
    conversation_id: UUID,
    message_id: UUID,
    act: Callable[[Conversation, Message], object],
    *,
    own: bool = True,
) -> HttpResponse:
    """Do it, and show the thread with what came of it; not `own`: also in a conversation that somebody shared."""
    found = selectors.conversation_for(user=request.user, team=team, conversation_id=conversation_id, own=own)
    message = message_in(found, message_id)
    error, done = "", ""
    try:
        told = act(found, message)
        done = told if isinstance(told, str) else ""
    except UserError as refused:
        error = str(refused)
    return after(request, team, found, error, done)


@team_page(Action.CHAT_USE)
@require_POST
def stop(request: HttpRequest, team: Team, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """Have an answer end."""
    return _acted(request, team, conversation_id, message_id, lambda _, message: services.turn_stop(message=message))


@team_page(Action.CHAT_USE)
@require_POST
def again(request: HttpRequest, team: Team, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """Another answer to the same."""
    return _acted(
        request,
        team,
        conversation_id,
        message_id,
        lambda found, message: services.turn_again(conversation=found, message=message),
    )


@team_page(Action.CHAT_USE)
@require_POST
def branch(request: HttpRequest, team: Team, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """Another way on from before a step."""
    return _acted(
        request,
        team,
        conversation_id,
        message_id,
        lambda found, message: services.turn_branch(conversation=found, message=message, step=_step(request)),
    )


@team_page(Action.CHAT_USE)
@require_POST
def go_on(request: HttpRequest, team: Team, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """Go on where an answer was cut off."""
    return _acted(
        request,
        team,
        conversation_id,
        message_id,
        lambda found, message: services.turn_continue(conversation=found, message=message),
    )


@team_page(Action.CHAT_USE)
@require_POST
def choose(request: HttpRequest, team: Team, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """Show another branch."""
    return _acted(
        request,
        team,
        conversation_id,
        message_id,
        lambda found, message: services.branch_choose(conversation=found, message=message),
    )


@team_page(Action.CHAT_USE)
@require_POST
def rate(request: HttpRequest, team: Team, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """Say what one thinks of an answer, also of one that somebody shared."""

    def say(_: Conversation, message: Message) -> None:
        thumb, comment = request.POST.get("thumb", ""), request.POST.get("comment", "")
        if thumb not in ("1", "0", "-1"):
            raise services.ChatError("Say whether the answer is good or bad.")
        services.rating_set(user=request.user, message=message, thumb=int(thumb), comment=comment)

    return _acted(request, team, conversation_id, message_id, say, own=False)


@team_page(Action.QUEUE_CHANGE)
@require_POST
def judge(request: HttpRequest, team: Team, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """Let people judge a step: a copy of it, with the question and the steps before, goes into a queue."""

    def send(_: Conversation, message: Message) -> str:
        offered = {str(each.pk): each for each in queues_for_flags(team=team)}
        queue = offered.get(request.POST.get("queue", ""))
        if queue is None:
            raise services.ChatError("Choose an open queue of single steps.")
        made = judging.step_send(actor=actor_of(request), message=message, step=_step(request), queue=queue)
        return f"The step is in {queue.name}." if made.added else f"The step was already in {queue.name}."

    return _acted(request, team, conversation_id, message_id, send)


def _step(request: HttpRequest) -> int:
    text = request.POST.get("step", "")
    if not text.isdecimal() or len(text) > 6:
        raise services.ChatError("Choose a step.")
    return int(text)
