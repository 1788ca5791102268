"""Curves of jobs as JSON, for the drawings of pages."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import team_page
from webapp.jobs import curves, selectors
from webapp.jobs.models import Job

MOST_NAMES = 200


@team_page(Action.JOB_VIEW)
@require_GET
def job_metrics(request: HttpRequest, team: Team, job_id: uuid.UUID) -> HttpResponse:
    """The job's curves, or with `name`, `from`, `to`, `points` and `smooth` a closer look at some of them."""
    return curves_answer(request, selectors.job_of(team=team, job_id=job_id))


def curves_answer(request: HttpRequest, job: Job) -> HttpResponse:
    """The answer of `job_metrics`, whoever asks."""
    names = request.GET.getlist("name")
    if len(names) > MOST_NAMES:
        raise Http404("too many names")
    points = _number(request, "points") or curves.POINTS
    found = curves.curves_of(
        job_id=job.pk,
        names=names,
        first=_number(request, "from"),
        last=_number(request, "to"),
        points=min(max(points, 10), curves.MOST_POINTS),
        smooth=request.GET.get("smooth") == "1",
    )
    groups = [{"key": group.key, "title": group.title} for group in curves.GROUPS]
    answer = {"attempt": job.attempt, "groups": groups, "curves": [curve_shown(each) for each in found]}
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})


def curve_shown(curve: curves.Curve) -> dict[str, Any]:
    """As JSON."""
    return {
        "name": curve.name,
        "label": curves.label_of(curve.name),
        "group": curves.group_of(curve.name),
        "points": curve.points,
        "exact": curve.exact,
        **curves.shown(curve.line),
        "smooth": curves.shown(curve.smooth) if curve.smooth else None,
        "span": curve.span,
    }


def _number(request: HttpRequest, name: str) -> int | None:
    """A whole number of the query; none where it is not given."""
    text = request.GET.get(name, "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise Http404("no such place")
    return int(text)
