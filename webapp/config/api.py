"""The REST API under `/api/v1/`: one place where every app adds its router, one shape of errors (RFC 9457)."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from ninja import NinjaAPI
from ninja.errors import HttpError, Throttled, ValidationError

from meds3core.errors import UserError
from webapp.accounts.api import router as accounts
from webapp.accounts.api_auth import PageAuth, TokenAuth
from webapp.accounts.rules import OperatorAction
from webapp.annotation.api import router as annotation
from webapp.annotation.api_outcome import router as outcome
from webapp.annotation.api_queues import router as queues
from webapp.annotation.api_review import router as review
from webapp.annotation.api_work import router as judging
from webapp.chat.openai_api import ERRORS as OPENAI_ERRORS
from webapp.chat.openai_api import router as openai
from webapp.common.access import PUBLIC, Access, access_of, declared, operator_page
from webapp.common.invalid import what_is_wrong
from webapp.common.problems import problem
from webapp.datasets.api import router as datasets
from webapp.endpoints.api import router as endpoints
from webapp.evaluations.api import router as evaluations
from webapp.jobs.api import router as jobs
from webapp.jobs.api_operations import router as operations
from webapp.jobs.dispatch import QueueUnreachable
from webapp.outgoing.client import OutgoingFailed
from webapp.registry.api import router as registry
from webapp.training.api import router as training
from webapp.trees.api import router as trees
from webapp.uploads.api import router as uploads
from webapp.webhooks.api import router as webhooks

log = structlog.get_logger(__name__)


class Api(NinjaAPI):
    """An API whose every operation says who may call it, as views do, and whose errors have one shape."""

    def __init__(self, *, errors: Mapping[type[Exception], Any] | None = None, **options: Any) -> None:
        super().__init__(**{"auth": [TokenAuth(), PageAuth()], **options})
        for kind, answer in (errors or _ANSWERS).items():
            self.add_exception_handler(kind, answer)

    def _get_urls(self) -> list[URLPattern | URLResolver]:
        patterns = super()._get_urls()
        views: dict[str, Any] = {}
        for pattern in patterns:
            if pattern.name == "api-root":
                declared(pattern.callback, PUBLIC)  # answers 404, always; ninja asks it for its own path
                continue
            if access_of(pattern.callback) is not None:  # the description of the API
                continue
            view, path = inspect.getclosurevars(pattern.callback).nonlocals["self"], str(pattern.pattern)
            if views.setdefault(path, view) is not view:  # ninja asks the first one alone: 405 for the other
                raise ImproperlyConfigured(f"two routers have operations of {path}: put them into one")
            pattern.callback.access = Access(public=True, operations=_declarations(view.operations))
        return patterns


def _declarations(operations: list[Any]) -> dict[str, Access]:
    found = {}
    for operation in operations:
        access = getattr(operation.view_func, "access", None)
        if not isinstance(access, Access):
            raise ImproperlyConfigured(f"API operation {operation.view_func.__name__} does not say who may call it")
        if not operation.auth_callbacks and not access.public:
            raise ImproperlyConfigured(f"API operation {operation.view_func.__name__} authenticates nobody")
        found.update(dict.fromkeys(operation.methods, access))
    return found


# --- errors --------------------------------------------------------------------------------------------------------


def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    if error.status_code == 401:
        detail = "Send a valid token in the header: Authorization: Bearer meds3_…"
        response = problem(401, "Not signed in", detail, "unauthorized")
        response["WWW-Authenticate"] = 'Bearer realm="meds3"'
        return response
    if isinstance(error, Throttled):
        response = problem(429, "Too many requests", f"Wait {error.wait} seconds.", "throttled")
        response["Retry-After"] = str(error.wait or 60)
        return response
    return problem(error.status_code, "The request was refused", str(error), "refused")


def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "Not found", "It does not exist, or it belongs to another team.", "not-found")


def _forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem(403, "Not allowed", str(error), "forbidden")


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    # Where and why, never the value: it may be a question's text.
    problems = [{"where": [str(part) for part in each["loc"]], "what": what_is_wrong(each)} for each in error.errors]
    return problem(422, "The request is not valid", "See `problems`.", "invalid", problems=problems)


def _user_error(request: HttpRequest, error: UserError) -> HttpResponse:
    return problem(422, "This cannot be done", str(error), error.code)


def _unreachable(request: HttpRequest, error: QueueUnreachable) -> HttpResponse:
    return problem(503, "The message queue does not answer", str(error), error.code)


def _outgoing(request: HttpRequest, error: OutgoingFailed) -> HttpResponse:
    return problem(502, "The other side did not answer well", str(error), error.code)


def _broken(request: HttpRequest, error: Exception) -> HttpResponse:
    log.exception("api_operation_failed", path=request.path)
    return problem(500, "Something broke on our side", "It was logged. Try again later.", "server-error")


_ANSWERS: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    HttpError: _http,
    Http404: _not_found,
    PermissionDenied: _forbidden,
    ValidationError: _invalid,
    UserError: _user_error,
    QueueUnreachable: _unreachable,
    OutgoingFailed: _outgoing,
    Exception: _broken,
}

# --- the API -------------------------------------------------------------------------------------------------------

api = Api(
    title="MedS3 Studio",
    version="1",
    description="Teams, datasets, searches, training runs, models and evaluations of one instance.",
    docs_decorator=operator_page(OperatorAction.API_DOCS, or_token=True),
)
for router in (
    accounts,
    jobs,
    operations,
    uploads,
    datasets,
    trees,
    annotation,
    queues,
    judging,
    review,
    outcome,
    registry,
    endpoints,
    evaluations,
    training,
    webhooks,
):
    api.add_router("", router)

openai_api = Api(
    title="OpenAI-compatible API",
    urls_namespace="openai",
    auth=[TokenAuth()],
    errors=OPENAI_ERRORS,
    docs_url=None,
    openapi_url=None,
)
openai_api.add_router("", openai)
