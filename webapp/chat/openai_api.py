"""The OpenAI-compatible API, `/v1/…`: any existing client talks to a team's models with a team token.

Errors have OpenAI's form. What a program asks is a conversation that is forgotten as soon as it was answered.
"""

import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import structlog
from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from ninja import Router
from ninja.errors import HttpError, Throttled, ValidationError

from meds3core.errors import ContextOverflow, UserError
from webapp.accounts.api_auth import actor_of_call, team_of_call, token_operation
from webapp.accounts.rules import Action
from webapp.chat import openai_answers, selectors, services
from webapp.chat.models import Conversation, Role
from webapp.chat.openai_schemas import CompletionIn
from webapp.chat.texts import said
from webapp.common.invalid import what_is_wrong
from webapp.registry.models import ModelVersion

router = Router()

FULL_SECONDS = 5
"""After which a program may try again when as many answers are to come as its team may have."""

log = structlog.get_logger(__name__)


class Refused(Exception):
    """A request that cannot be answered, in OpenAI's words."""

    def __init__(self, status: int, message: str, *, kind: str = "invalid_request_error", code: str | None = None,
                 param: str | None = None) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.kind, self.code, self.param = status, kind, code, param


@router.get("/models", operation_id="openai_models")
@token_operation(Action.CHAT_USE)
def models(request: HttpRequest) -> HttpResponse:
    """What the token's team may talk with."""
    return JsonResponse({"object": "list", "data": [_model(each) for each in selectors.served_by(team=_team(request))]})


@router.get("/models/{path:model}", operation_id="openai_model")
@token_operation(Action.CHAT_USE)
def model(request: HttpRequest, model: str) -> HttpResponse:
    """One of them."""
    return JsonResponse(_model(_served(request, model)))


@router.post("/chat/completions", operation_id="openai_completion")
@token_operation(Action.CHAT_USE)
def completion(request: HttpRequest, body: CompletionIn) -> HttpResponse:
    """Answer a conversation, at once or bit by bit."""
    made = _ask(request, body)
    conversation, answers = made
    shape = openai_answers.Shape(
        id=f"chatcmpl-{conversation.pk.hex}",
        created=int(time.time()),
        model=body.model,
        apart=body.meds3.reasoning == "apart",
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
    )
    if not body.stream:
        try:
            found = async_to_sync(openai_answers.whole)(answers, shape)
        finally:
            services.conversation_forget(conversation_id=conversation.pk)
        return JsonResponse(found)
    stream = openai_answers.Stream(conversation.pk, answers, shape)
    try:
        first = async_to_sync(stream.first)()
    except BaseException:
        services.conversation_forget(conversation_id=conversation.pk)
        raise
    return _streamed(stream.rest(first))


def _streamed(lines: AsyncIterator[bytes]) -> StreamingHttpResponse:
    answer = StreamingHttpResponse(lines, content_type="text/event-stream; charset=utf-8")
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"
    return answer


def _ask(request: HttpRequest, body: CompletionIn) -> tuple[Conversation, list[UUID]]:
    served = _served(request, body.model)
    team = _team(request)
    if not body.stops == tuple(filter(None, body.stops)):
        raise Refused(400, "A stop string is empty.", param="stop")
    if any(said(each) != each for each in body.stops):
        raise Refused(400, "A stop string holds characters that no answer has.", param="stop")
    if param := body.unsupported:
        raise Refused(400, f"{param} is not supported here.", code="unsupported_parameter", param=param)
    config = services.config_of(body.config())
    scorer: ModelVersion | None = None
    if body.meds3.scorer:
        scorer = _scorer(request, body.meds3.scorer)
    roles = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
    if body.messages[-1].role != "user":
        raise Refused(400, "The last message must be the user's.", param="messages")
    if not body.messages[-1].text.strip():
        raise Refused(400, "The last message is empty.", param="messages")
    conversation = services.conversation_create(
        actor=actor_of_call(request),
        team=team,
        policy=served.policy,
        endpoint=served.endpoint,
        scorer=scorer,
        config=config,
        title="API",
        door=Conversation.Door.API,
    )
    turns = [(roles[each.role], each.text) for each in body.messages]
    try:
        answers = services.turns_asked(conversation=conversation, turns=turns, answers=body.n or 1)
    except BaseException:
        services.conversation_forget(conversation_id=conversation.pk)
        raise
    return conversation, [each.pk for each in answers]


def _team(request: HttpRequest) -> Any:
    return team_of_call(request)


def _served(request: HttpRequest, name: str) -> selectors.Served:
    found = selectors.served_named(team=_team(request), model=name)
    if found is None:
        raise Refused(404, "The model does not exist, or your team may not use it.", code="model_not_found",
                      param="model")  # fmt: skip
    return found


def _scorer(request: HttpRequest, name: str) -> ModelVersion:
    rows = selectors.scorers_of(team=_team(request)).select_related("team")
    for row in rows:
        if name in (str(row.pk), f"{row.team.slug}/{row.name}@v{row.number}", f"{row.team.slug}/{row.name}"):
            return row
    raise Refused(404, "There is no such process reward model.", code="model_not_found", param="meds3.scorer")


def _model(served: selectors.Served) -> dict[str, Any]:
    row = served.policy or served.endpoint
    assert row is not None
    context = served.endpoint.context_length if served.endpoint else served.policy.facts.get("max_positions")  # type: ignore[union-attr]
    return {
        "id": served.id,
        "object": "model",
        "created": int(row.created.timestamp()),
        "owned_by": served.id.partition("/")[0],
        "max_model_len": context,
    }


# --- errors --------------------------------------------------------------------------------------------------------


def error_of(status: int, message: str, kind: str, code: str | None = None, param: str | None = None) -> HttpResponse:
    """In OpenAI's form."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JsonResponse(body, status=status)


def _refused(request: HttpRequest, error: Refused) -> HttpResponse:
    return error_of(error.status, str(error), error.kind, error.code, error.param)


def _failed(request: HttpRequest, error: openai_answers.AnswerFailed) -> HttpResponse:
    return error_of(error.status, str(error), error.kind, error.code)


def _user_error(request: HttpRequest, error: UserError) -> HttpResponse:
    if isinstance(error, services.TooManyTurns):
        answer = error_of(429, str(error), "rate_limit_error", "rate_limit_exceeded")
        answer["Retry-After"] = str(FULL_SECONDS)
        return answer
    code = "context_length_exceeded" if isinstance(error, ContextOverflow) else error.code
    return error_of(400, str(error), "invalid_request_error", code)


def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    if error.status_code == 401:
        said = "Send a valid token: Authorization: Bearer meds3_…"
        answer = error_of(401, said, "authentication_error", "invalid_api_key")
        answer["WWW-Authenticate"] = 'Bearer realm="meds3"'
        return answer
    if isinstance(error, Throttled):
        answer = error_of(429, f"Wait {error.wait} seconds.", "rate_limit_error", "rate_limit_exceeded")
        answer["Retry-After"] = str(error.wait or 60)
        return answer
    return error_of(error.status_code, str(error), "invalid_request_error")


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]  # where and why, never the value
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return error_of(400, f"{where}: {what_is_wrong(first)}", "invalid_request_error", "invalid_value", where)


def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return error_of(404, str(error), "invalid_request_error", "not_found")


def _forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return error_of(403, str(error), "permission_error", "forbidden")


def _broken(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("openai_operation_failed", path=request.path, kind=type(error).__name__)
    return error_of(500, "Something broke on our side. Try again later.", "server_error", "server_error")


ERRORS: dict[type[Exception], Any] = {
    Refused: _refused,
    openai_answers.AnswerFailed: _failed,
    UserError: _user_error,
    HttpError: _http,
    ValidationError: _invalid,
    Http404: _not_found,
    PermissionDenied: _forbidden,
    Exception: _broken,
}
