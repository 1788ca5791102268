"""Pages of training: the runs of a team, and the form of a new one."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import team_page
from webapp.common.paging import page_of
from webapp.common.spec_forms import SpecForm
from webapp.jobs import overviews
from webapp.jobs.selectors import job_of
from webapp.jobs.views.submitting import submitted
from webapp.registry.models import ModelKind
from webapp.training.methods import METHODS, Method
from webapp.training.selectors import label_set_options, models_made
from webapp.trees.overviews import dataset_options, model_options

TITLES = {
    "training": ("Training", "How it learns. The preset fills in all of it."),
    "settings": ("Settings of the loop", "The preset fills in all of it."),
}
LABELS = {
    "policy": "Model to begin from",
    "labels": "Label set",
    "held_out": "Held-out questions",
    "validation": "Validation questions",
    "questions": "Training questions",
    "name": "Name of what is made",
    "settings.questions.quotas.count": "Questions of an iteration",
    "settings.search.max_nodes": "Steps of a tree, at most",
    "settings.search.rollouts": "Rollouts of a step",
    "settings.dpo_after": "Preference training after",
    "settings.control": "Control beside fine-tuning",
}
PRESET_LABELS = {"paper": "As published", "clinic": "For the bundled policy"}


@team_page(Action.JOB_VIEW)
@require_GET
def training_list(request: HttpRequest, team: Team) -> HttpResponse:
    """Training runs and loops, newest first."""
    rows = overviews.team_jobs(team_id=team.pk, kinds=list(METHODS))
    page = page_of(rows, request.GET)
    made = models_made(jobs=page.rows)
    context = {
        "team": team,
        "page": page,
        "rows": [(job, made.get(job.pk, [])) for job in page.rows],
        "methods": METHODS,
        "may_submit": may(request.membership.role, Action.JOB_SUBMIT),
        "is_first": not {"before", "after"} & set(request.GET),
    }
    return render(request, "training/list.html", context)


@team_page(Action.JOB_SUBMIT)
def training_create(request: HttpRequest, team: Team, method: str) -> HttpResponse:
    """A new run: from a preset, or with the settings of an earlier one (`?like=`)."""
    if method not in METHODS:
        raise Http404("there is no such way to train")
    chosen = METHODS[method]
    start, preset = _start(request, team, method, chosen)
    data = request.POST or None
    datasets = dataset_options(team=team)
    policies = model_options(team=team, kind=ModelKind.POLICY)
    label_sets = label_set_options(team=team, kind=chosen.labels) if chosen.labels else []
    form = SpecForm(
        chosen.spec,
        data,
        start=start,
        options={
            "policy": policies,
            "labels": label_sets,
            "questions": datasets,
            "held_out": datasets,
            "validation": datasets,
        },
        basic=chosen.basic,
        left_out=("restart",),
        titles=TITLES,
        labels=LABELS,
    )
    if data is not None and form.is_valid() and "show_json" not in data:
        name = form.spec.name or chosen.label
        return submitted(request, team, form.spec, name, back=("training-create", team.slug, method))
    here = request.GET.copy()
    presets = []
    for word in chosen.presets:
        here["preset"] = word
        presets.append((f"?{here.urlencode()}", PRESET_LABELS.get(word, word)))
    context = {
        "team": team,
        "method": chosen,
        "form": form,
        "presets": presets,
        "preset": PRESET_LABELS.get(preset, preset),
        "show_json": bool(data and "show_json" in data),
        "policies": policies,
        "datasets": datasets,
        "label_sets": label_sets,
    }
    failed = data is not None and bool(form.errors)
    return render(request, "training/create.html", context, status=400 if failed else 200)


def _start(request: HttpRequest, team: Team, method: str, chosen: Method) -> tuple[dict[str, Any], str]:
    """What the form begins with, and the name of its preset."""
    like, start = request.GET.get("like", ""), dict[str, Any]()
    if like:
        try:
            earlier = job_of(team=team, job_id=uuid.UUID(like))
        except ValueError:
            raise Http404("no such job") from None
        if earlier.kind == method:
            start = dict(earlier.spec)
    preset = request.GET.get("preset", "" if start else "clinic" if "clinic" in chosen.presets else "paper")
    if preset in chosen.presets:
        start[chosen.settings] = chosen.presets[preset].model_dump(mode="json")
    for field, kind in (("policy", "model"), ("labels", "labels"), ("questions", "dataset"), ("held_out", "dataset")):
        if request.GET.get(field):
            start[field] = {"kind": kind, "id": request.GET[field]}
    return start, preset
