"""Errors of the API in one shape (RFC 9457), also those that Django answers before the API is asked."""

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

API = "/api/"
PROBLEM = "application/problem+json"


def problem(status: int, title: str, detail: str, code: str, **more: Any) -> HttpResponse:
    """An error as `application/problem+json`, with the stable code that programs may ask for."""
    body = {"type": f"urn:meds3:error:{code}", "title": title, "status": status, "detail": detail, "code": code, **more}
    return HttpResponse(json.dumps(body), status=status, content_type=PROBLEM)


class ProblemMiddleware:
    """Puts a path that does not exist, and a method that a path does not have, into the API's shape of errors."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Look at the answer."""
        answer = self.get_response(request)
        if not request.path.startswith(API) or answer.headers.get("Content-Type", "").startswith(PROBLEM):
            return answer
        if answer.status_code == 405:
            allowed = answer.headers.get("Allow", "")
            said = problem(405, "Not this method", f"{request.method} is not possible here; {allowed} is.", "method")
            said["Allow"] = allowed
            return said
        if answer.status_code == 404:
            return problem(404, "Not found", "The API has no such path. See its description.", "not-found")
        return answer
