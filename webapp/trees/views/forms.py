"""Forms of searches and of label sets, made from their specifications."""

import uuid
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse

from meds3core.config.jobs import LabelsSpec, SearchSpec
from meds3core.config.labels import PairLabelConfig, SftLabelConfig, StepLabelConfig
from meds3core.config.search import PRESETS
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import team_page
from webapp.common.spec_forms import SpecForm
from webapp.jobs.views.submitting import submitted
from webapp.registry.models import LabelSet, ModelKind
from webapp.trees import overviews, selectors

SEARCH_BASIC = (
    "questions",
    "policy",
    "limit",
    "shards",
    "search.max_nodes",
    "search.branching",
    "search.rollouts",
    "search.max_depth",
    "search.simulation",
    "search.backup",
    "engine.kind",
)
SEARCH_TITLES = {
    "search": ("Search", "How each tree grows. The presets fill in all of it."),
    "engine": ("Engine", "What runs the policy on the worker."),
    "scoring": ("Guidance", "How the reward model is run that guides a search with simulation “scorer”."),
}
SEARCH_LABELS = {
    "questions": "Questions",
    "limit": "First so many questions",
    "scorer": "Process reward model that guides",
    "shards": "Workers",
    "concurrency": "Trees at once",
}
PRESET_LABELS = {"paper": "As published", "quick": "Quick look", "thorough": "Thorough"}
LABEL_CONFIGS: dict[str, Any] = {"sft": SftLabelConfig(), "pairs": PairLabelConfig(), "steps": StepLabelConfig()}


class NameForm(forms.Form):
    """What a new job is called."""

    title = forms.CharField(
        label="Name", max_length=150, required=False, help_text="Lists show it. Without one it is named after its kind."
    )


def search_form(team: Team, data: Any, start: dict[str, Any]) -> SpecForm:
    """The form of a search: what the team may choose from, with these first values."""
    return SpecForm(
        SearchSpec,
        data,
        start=start,
        options={
            "questions": overviews.dataset_options(team=team),
            "policy": overviews.model_options(team=team, kind=ModelKind.POLICY),
            "scorer": overviews.model_options(team=team, kind=ModelKind.PRM),
            "engine": overviews.engine_options(team=team),
        },
        basic=SEARCH_BASIC,
        titles=SEARCH_TITLES,
        labels=SEARCH_LABELS,
    )


@team_page(Action.JOB_SUBMIT)
def search_create(request: HttpRequest, team: Team) -> HttpResponse:
    """A new search: from a preset, or with the settings of an earlier one (`?like=`)."""
    data = request.POST or None
    start, preset = search_start(request, team)
    form = search_form(team, data, start)
    name = NameForm(data)
    if data is not None and name.is_valid() and form.is_valid() and "show_json" not in data:
        return submitted(request, team, form.spec, name.cleaned_data["title"], back=("search-create", team.slug))
    here = request.GET.copy()
    context = {
        "team": team,
        "form": form,
        "name": name,
        "presets": [(_with(here, preset=key), _called(key)) for key in PRESET_LABELS],
        "preset": _called(preset),
        "show_json": bool(data and "show_json" in data),
        "datasets": list(form.fields["questions"].choices),
        "policies": list(form.fields["policy"].choices),
    }
    failed = data is not None and bool(form.errors or name.errors)
    return render(request, "trees/search_create.html", context, status=400 if failed else 200)


def search_start(request: HttpRequest, team: Team) -> tuple[dict[str, Any], str]:
    """What the form begins with, and the name of its preset."""
    like = request.GET.get("like", "")
    try:
        start = dict(selectors.search_of(team=team, job_id=uuid.UUID(like)).spec) if like else {}
    except ValueError:
        start = {}
    preset = request.GET.get("preset", "" if start else "quick")
    if preset in PRESETS:
        start["search"] = PRESETS[preset].model_dump(mode="json")
    for field, kind, name in (("questions", "dataset", "dataset"), ("policy", "model", "policy")):
        if request.GET.get(name):
            start[field] = {"kind": kind, "id": request.GET[name]}
    return start, preset


def _called(preset: str) -> str:
    """A preset with the figures that tell it from the others."""
    if preset not in PRESET_LABELS:
        return ""
    config = PRESETS[preset]
    return f"{PRESET_LABELS[preset]}: up to {config.max_nodes} steps, {config.rollouts} rollouts"


def _with(query: QueryDict, **changes: str) -> str:
    query = query.copy()
    for name, value in changes.items():
        query[name] = value
    return f"?{query.urlencode()}"


@team_page(Action.JOB_SUBMIT)
def labels_create(request: HttpRequest, team: Team) -> HttpResponse:
    """A label set from the trees of chosen searches (`?search=`), of one of the three kinds (`?kind=`)."""
    kind = request.GET.get("kind", "sft")
    kind = kind if kind in LABEL_CONFIGS else "sft"
    searches = overviews.search_options(team=team)
    others = tuple(each for each in LABEL_CONFIGS if each != kind)
    start: dict[str, Any] = {"kind": "labels", kind: LABEL_CONFIGS[kind].model_dump(mode="json")}
    start["trees"] = [{"kind": "trees", "id": each} for each in request.GET.getlist("search")]
    form = SpecForm(
        LabelsSpec,
        request.POST or None,
        start=start,
        options={"trees": searches},
        left_out=(*others, *(() if kind == "steps" else ("judge",))),
        titles={kind: (str(LabelSet.Kind(kind).label), _about(kind))},
        labels={"trees": "Searches", "name": "Name", "judge": "Judge"},
        always=(kind,),
    )
    data = request.POST
    if request.method == "POST" and form.is_valid() and "show_json" not in data:
        return submitted(request, team, form.spec, form.spec.name, back=("label-create", team.slug))
    here = request.GET.copy()
    context = {
        "team": team,
        "form": form,
        "searches": searches,
        "presets": [(_with(here, kind=each.value), each.label) for each in LabelSet.Kind],
        "preset": LabelSet.Kind(kind).label,
        "show_json": "show_json" in data,
        "search_list": reverse("search-list", args=[team.slug]),
    }
    return render(request, "trees/labels_create.html", context, status=400 if form.errors else 200)


def _about(kind: str) -> str:
    return {
        "sft": "Right trajectories to imitate, for fine-tuning.",
        "pairs": "Two continuations of one prefix, one to be preferred, for preference training.",
        "steps": "A label for each step, for a process reward model.",
    }[kind]
