"""The curriculum builder: settings, a preview of counts, and the job that makes the version."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from meds3core.config.data_jobs import CurriculumSpec
from meds3core.data.curriculum import UNMEASURED, band_names
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import actor_of, team_page
from webapp.datasets import selectors
from webapp.datasets.curricula import curriculum_preview, curriculum_submit
from webapp.datasets.forms import CurriculumForm, quotas_of
from webapp.datasets.services import DatasetError
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.transitions import JobError

SHOWN = 100
"""Groups that can have a quota of their own on the page; the API takes 500."""


@team_page(Action.JOB_SUBMIT)
@require_http_methods(["GET", "POST"])
def curriculum(request: HttpRequest, team: Team, version_id: uuid.UUID) -> HttpResponse:
    """Choose questions of a version: what the settings would give; by POST with `make` the job is submitted."""
    version = selectors.version_for(team=team, version_id=version_id, ready=True)
    others = [each for each in selectors.versions_to_choose(team=team, size=100) if each[0] != str(version.pk)]
    given = request.POST if request.method == "POST" else None
    form = CurriculumForm(given, others=others)
    quotas = quotas_of(request.POST)
    spec: CurriculumSpec | None = None
    if given is None:
        spec = CurriculumSpec.model_validate({"questions": [{"kind": "dataset", "id": str(version.pk)}]})
    elif form.is_valid():
        spec = form.spec(version, quotas)
        # A preview that htmx sends while the form is on its way carries the pressed button too.
        if spec is not None and "make" in given and not request.htmx:
            try:
                job = curriculum_submit(actor=actor_of(request), team=team, version=version, spec=spec)
                return redirect("job", team.slug, job.pk)
            except DatasetError as error:
                form.add_error("name", str(error))
            except JobError as error:
                form.add_error(None, str(error))
            except QueueUnreachable as error:
                messages.warning(request, str(error))
                return redirect("dataset", team.slug, version.dataset_id)
    preview = curriculum_preview(version=version, spec=spec) if spec is not None else None
    names = [*band_names(spec.settings), UNMEASURED] if spec is not None else []
    context = {
        "team": team,
        "version": version,
        "version_number": str(version.number),
        "dataset": version.dataset,
        "form": form,
        "preview": preview,
        "bands": names,
        "groups": [
            {
                "plan": plan,
                "bands": [(plan.by_band.get(name, 0), plan.available.get(name, 0)) for name in names],
                "total": plan.filled + sum(plan.by_band.values()),
                "available": sum(plan.available.values()),
                "most": quotas.get(plan.group, ""),
            }
            for plan in (preview.plan.groups[:SHOWN] if preview else ())
        ],
        "hidden_groups": max(0, len(preview.plan.groups) - SHOWN) if preview else 0,
        "kept_quotas": [] if preview else list(quotas.items()),
    }
    template = "datasets/parts/curriculum.html" if request.htmx else "datasets/curriculum.html"
    return render(request, template, context, status=400 if form.errors and not request.htmx else 200)
