"""Error pages: what happened, in plain words, and what to do. Never a traceback."""

from http import HTTPStatus

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

LAST_RESORT = "<!doctype html><html lang='en'><title>Error 500</title><h1>Something broke on our side</h1>"


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400."""
    return _page(request, 400, "This request was not understood", "Go back and try again.")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: the exception's text is for the person."""
    said = str(exception) if isinstance(exception, PermissionDenied) else ""
    return _page(request, 403, "This is not open to you", said or "Ask an owner of the team.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: says the same whether a page never was, was deleted, or is another team's."""
    said = "It may have been deleted, or it belongs to a team that you are not in."
    return _page(request, 404, "There is nothing here", said)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form without its token: an old tab, a blocked cookie, or a page of somebody else's."""
    said = "The form was open for too long, you signed in again since, or cookies are blocked. Nothing was changed."
    return _page(request, 403, "This form is out of date", f"{said} Load the page again and send it once more.")


def server_error(request: HttpRequest) -> HttpResponse:
    """500: drawn without the request, its person or the database, since any of these may be what broke."""
    try:
        text = render_to_string("common/broken.html")
    except Exception:  # static files that were not collected, for one; an answer matters more than its look
        text = LAST_RESORT
    return HttpResponse(text, status=500)


def _page(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    context = {"status": status, "name": HTTPStatus(status).phrase, "title": title, "text": text}
    return render(request, "common/error.html", context, status=status)
