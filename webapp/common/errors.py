"""Error pages: what happened, in plain words, and what to do. Never a traceback."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400."""
    return _page(request, 400, "This request was not understood", "Go back and try again.")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: the exception's text is for the person."""
    return _page(request, 403, "This is not open to you", str(exception or "") or "Ask an owner of the team.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404."""
    return _page(request, 404, "There is nothing here", "It may have been deleted, or it belongs to another team.")


def server_error(request: HttpRequest) -> HttpResponse:
    """500."""
    return _page(
        request, 500, "Something broke on our side", "It was logged. Try again; if it stays, tell the operator."
    )


def _page(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    context: dict[str, Any] = {"status": status, "title": title, "text": text}
    return render(request, "common/error.html", context, status=status)
