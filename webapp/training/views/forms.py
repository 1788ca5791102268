"""The form of a new training."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import team_page
from webapp.common.spec_forms import SpecForm
from webapp.jobs.selectors import job_of
from webapp.jobs.views.submitting import submitted
from webapp.registry.models import ModelKind
from webapp.training.methods import METHODS, RUNS, Method
from webapp.training.selectors import label_set_options
from webapp.trees.overviews import dataset_options, model_options

TITLES = {
    "training": ("Training", "How it learns. The preset fills in all of it."),
    "settings": ("Settings of the loop", "The preset fills in all of it."),
    "people": ("People and rollouts", "How the labels of people and of rollouts go together, where there are both."),
}
LABELS = {
    "policy": "Model to begin from",
    "labels": "Label set",
    "beside": "More label sets, learnt from together",
    "compare": "Compare with",
    "people.rule": "Where both labelled a step",
    "people.weight": "Weight of a judged step",
    "people.held_out": "Share of judged questions kept out",
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


def training_form(request: HttpRequest, team: Team, method: str, data: Any) -> SpecForm:
    """The form of a method: what the team may choose from, with the first values that the query says."""
    chosen = METHODS[method]
    datasets = dataset_options(team=team)
    sets = label_set_options(team=team, kind=chosen.labels) if chosen.labels else []
    return SpecForm(
        chosen.spec,
        data,
        start=_start(request, team, method, chosen)[0],
        options={
            "policy": model_options(team=team, kind=ModelKind.POLICY),
            "labels": sets,
            "beside": sets,
            "compare": model_options(team=team, kind=ModelKind.PRM),
            "questions": datasets,
            "held_out": datasets,
            "validation": datasets,
        },
        basic=chosen.basic,
        left_out=("restart",),
        titles=TITLES,
        labels=LABELS,
    )


@team_page(Action.JOB_SUBMIT)
def training_create(request: HttpRequest, team: Team, method: str) -> HttpResponse:
    """A new run: from a preset, or with the settings of an earlier one (`?like=`)."""
    if method not in METHODS:
        raise Http404("there is no such way to train")
    chosen = METHODS[method]
    preset = _start(request, team, method, chosen)[1]
    data = request.POST or None
    form = training_form(request, team, method, data)
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
        "word": method,
        "policies": _choices(form, "policy"),
        "datasets": _choices(form, "questions"),
        "label_sets": _choices(form, "labels"),
        "with_preview": method in RUNS,
    }
    failed = data is not None and bool(form.errors)
    return render(request, "training/create.html", context, status=400 if failed else 200)


def _choices(form: SpecForm, name: str) -> list[Any]:
    field = form.fields.get(name)
    return [choice for choice in getattr(field, "choices", ()) if choice[0]]


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
