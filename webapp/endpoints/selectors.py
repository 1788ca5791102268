"""Reads of remote engines."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.registry.models import Endpoint


def endpoints_of(*, team: Team) -> QuerySet[Endpoint]:
    """A team's remote engines, by name."""
    return Endpoint.objects.filter(team=team).order_by("name")


def endpoint_of(*, team: Team, endpoint_id: UUID) -> Endpoint:
    """One of them. Raises `Http404`."""
    found = Endpoint.objects.filter(team=team, pk=endpoint_id).select_related("team").first()
    if found is None:
        raise Http404("There is no such remote engine, or it belongs to another team.")
    return found
