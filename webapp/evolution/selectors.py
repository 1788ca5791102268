"""Reads of evolutions: which there are, and one of them."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.jobs.models import Job


def evolutions_of(*, team: Team) -> QuerySet[Job]:
    """A team's loops, newest first."""
    rows = Job.objects.filter(team=team, kind="evolution", parent=None).select_related("team", "created_by", "origin")
    return rows.order_by("-pk")


def evolution_of(*, team: Team, evolution_id: UUID) -> Job:
    """One of them. Raises `Http404`, be it another team's or nobody's."""
    found = evolutions_of(team=team).filter(pk=evolution_id).select_related("worker").first()
    if found is None:
        raise Http404("There is no such evolution, or it belongs to another team.")
    return found


def restarts_of(*, job: Job) -> list[Job]:
    """Loops that began with stages of this one, newest first."""
    named = Job.objects.filter(inputs__kind="evolution", inputs__thing=job.pk, team=job.team_id)
    return list(named.order_by("-pk").select_related("team")[:20])


def origin_of(*, job: Job) -> Job | None:
    """The loop that this one took stages over from."""
    named = (job.spec.get("restart") or {}).get("job") or {}
    return Job.objects.filter(pk=named["id"], team=job.team_id).first() if named.get("id") else None
