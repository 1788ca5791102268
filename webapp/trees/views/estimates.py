"""What a search would cost, asked from its form: from earlier searches at once, and measured by a small job."""

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from meds3core.config.jobs import EstimateSpec
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import actor_of, team_page
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.services import job_submit
from webapp.jobs.transitions import ENDED, JobError
from webapp.trees import estimates
from webapp.trees.views.forms import search_form, search_start

FIRST = 10
"""Priority of an estimate: somebody waits for it before they start what it is about."""


@team_page(Action.JOB_SUBMIT)
@require_POST
def search_estimate(request: HttpRequest, team: Team) -> HttpResponse:
    """Measure the search that the form describes; meanwhile say what earlier ones tell."""
    form = search_form(team, request.POST, search_start(request, team)[0])
    if not form.is_valid():
        return render(request, "trees/parts/estimate.html", {"team": team, "form": form})
    context = {"team": team, "earlier": estimates.estimate_from_earlier(team=team, spec=form.spec)}
    spec = EstimateSpec(search=form.spec)
    try:
        job = job_submit(actor=actor_of(request), team=team, spec=spec, title="Estimate of a search", priority=FIRST)
    except (JobError, QueueUnreachable) as error:
        return render(request, "trees/parts/estimate.html", {**context, "refused": str(error)})
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("job", team.slug, job.pk)
    return render(request, "trees/parts/estimate.html", {**context, "job": job})


@team_page(Action.JOB_SUBMIT)
@require_GET
def search_estimate_part(request: HttpRequest, team: Team, estimate_id: uuid.UUID) -> HttpResponse:
    """How the measuring stands, or what it found."""
    job = estimates.estimate_of(team=team, job_id=estimate_id)
    context = {"team": team, "job": job, "over": job.state in ENDED}
    return render(request, "trees/parts/estimate_measured.html", context)
