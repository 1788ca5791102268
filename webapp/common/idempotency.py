"""`Idempotency-Key`: a creating request that is sent again creates nothing again and gets the first one's answer.

    @router.post("/teams/{team_slug}/jobs", response={202: JobOut})
    @team_operation(Action.JOB_SUBMIT)
    @idempotent
    def job_submit(request, team_slug: str, body: JobIn):
        ...
        return answer_made(JobOut.of(job), location=..., status=202)

The operation runs in one transaction with the line that remembers its answer: of two that arrive together the second
waits for the first; one that breaks is forgotten and may be sent again. Hence such an operation is short and asks
nobody outside. It returns what `answer_made` gives, or a schema (status 200).
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Header
from ninja.utils import contribute_operation_args
from pydantic import BaseModel

from meds3core.errors import UserError
from webapp.common.models import IdempotentAnswer
from webapp.common.vault import seal, unseal

KEPT = timedelta(hours=24)
LONGEST_KEY = 200
REPEATED = "Idempotency-Replayed"
"""Header of an answer that was given before."""

Operation = Callable[..., Any]
_ARGUMENT = "idempotency_key"


class KeyReused(UserError):
    """The key belongs to another request."""

    code = "idempotency-key"


def idempotent(operation: Operation) -> Operation:
    """Put innermost, below `team_operation` or `signed_in_operation`: the caller is known by then."""

    @wraps(operation)
    def once(request: HttpRequest, **others: Any) -> Any:
        key = others.pop(_ARGUMENT)
        if not key:
            return operation(request, **others)
        return _once(request, key, lambda: operation(request, **others))

    text = Header(
        None,
        alias="Idempotency-Key",
        max_length=LONGEST_KEY,
        description="The same key and body within 24 hours: nothing is made again, the answer is the first one.",
    )
    contribute_operation_args(once, _ARGUMENT, str | None, text)
    return once


def _once(request: HttpRequest, key: str, run: Callable[[], Any]) -> HttpResponse:
    whose = {
        "team": getattr(request, "team", None),
        "user": request.auth.user,  # type: ignore[attr-defined]
        "key": key,
    }
    digest = hashlib.sha256(b"\0".join([str(request.method).encode(), request.path.encode(), request.body])).hexdigest()
    with transaction.atomic():
        IdempotentAnswer.objects.filter(created__lt=timezone.now() - KEPT).delete()
        # Of two at once, one waits here until the other has committed.
        line, is_first = IdempotentAnswer.objects.get_or_create(**whose, defaults={"digest": digest})
        if not is_first:
            return _repeated(line, digest)
        response = _response(run())
        if response.status_code >= 400:
            transaction.set_rollback(True)
            return response
        IdempotentAnswer.objects.filter(pk=line.pk).update(
            status=response.status_code,
            location=response.get("Location", ""),
            body=seal(response.content.decode()),
        )
    return response


def _repeated(line: IdempotentAnswer, digest: str) -> HttpResponse:
    if line.digest != digest:
        raise KeyReused("This Idempotency-Key was used for another request. Send a new key with a new request.")
    response = HttpResponse(unseal(line.body), status=line.status, content_type="application/json; charset=utf-8")
    if line.location:
        response["Location"] = line.location
    response[REPEATED] = "true"
    return response


def _response(result: Any) -> HttpResponse:
    if isinstance(result, HttpResponse):
        return result
    if isinstance(result, BaseModel):
        return HttpResponse(result.model_dump_json(), content_type="application/json; charset=utf-8")
    raise TypeError("an idempotent operation returns what answer_made gives, or a schema")
