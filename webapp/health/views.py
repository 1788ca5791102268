"""What machines and operators ask about the health of the instance."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from webapp.accounts.rules import OperatorAction
from webapp.accounts.tokens import bearer_of
from webapp.common.access import operator_page, public
from webapp.health.metrics import exposition
from webapp.health.readiness import readiness


@public
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether the instance can serve: 200 or 503. What is the matter is told to a token or an operator only."""
    told = _may_know(request)
    found = readiness(thorough=told)
    body = found.details() if told else {"status": "ok" if found.ok else "not ready"}
    return JsonResponse(body, status=200 if found.ok else 503)


@operator_page(OperatorAction.OPERATIONS_VIEW, or_token=True)
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, by an API token or to an operator."""
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def _may_know(request: HttpRequest) -> bool:
    if "Authorization" in request.headers:
        return bearer_of(request) is not None
    return bool(request.user.is_authenticated and request.user.is_operator)
