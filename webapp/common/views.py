"""Pages that belong to no app: home, and the two that machines ask."""

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from webapp.accounts.selectors import memberships_for
from webapp.common.access import public, signed_in


@signed_in
def home(request: HttpRequest) -> HttpResponse:
    """What a person sees first: their teams and what goes on there."""
    return render(request, "common/home.html", {"memberships": memberships_for(user=request.user)})


@public
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process answers and reaches its database; says no more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})
