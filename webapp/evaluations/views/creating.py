"""The form of a new evaluation."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from meds3core.config.jobs import EvaluationSpec
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import team_page
from webapp.common.spec_forms import SpecForm
from webapp.jobs.selectors import job_of
from webapp.jobs.views.submitting import submitted
from webapp.registry.labels import judged_options
from webapp.registry.models import ModelKind
from webapp.trees.overviews import dataset_options, model_options

BASIC = (
    "name",
    "questions",
    "validation",
    "policy",
    "prm",
    "orm",
    "judged",
    "limit",
    "collect.samples.n",
    "engine.kind",
)
LABELS = {
    "name": "Name",
    "questions": "Benchmark",
    "validation": "Validation questions",
    "prm": "Process reward model",
    "orm": "Outcome reward model",
    "judged": "Steps that people judged",
    "limit": "First so many questions",
    "collect.samples.n": "Samples per question",
}
TITLES = {
    "collect": ("Answers", "Greedy answers of every question, and samples from which all strategies are computed."),
    "engine": ("Engine", "What runs the policy on the worker."),
    "scoring": ("Reward models", "How they are run over the samples."),
    "figures": ("Figures", "Intervals, paired tests, which strategies."),
}


@team_page(Action.JOB_SUBMIT)
def evaluation_create(request: HttpRequest, team: Team) -> HttpResponse:
    """A new evaluation; with the settings of an earlier one (`?like=` its job)."""
    start = _start(request, team)
    data = request.POST or None
    datasets = dataset_options(team=team)
    policies = model_options(team=team, kind=ModelKind.POLICY)
    form = SpecForm(
        EvaluationSpec,
        data,
        start=start,
        options={
            "questions": datasets,
            "validation": datasets,
            "policy": policies,
            "prm": model_options(team=team, kind=ModelKind.PRM),
            "orm": model_options(team=team, kind=ModelKind.ORM),
            "judged": judged_options(team=team),
        },
        basic=BASIC,
        titles=TITLES,
        labels=LABELS,
    )
    if data is not None and form.is_valid() and "show_json" not in data:
        name = form.spec.name or "Evaluation"
        return submitted(request, team, form.spec, name, back=("evaluation-create", team.slug))
    context = {
        "team": team,
        "form": form,
        "show_json": bool(data and "show_json" in data),
        "datasets": datasets,
        "policies": policies,
    }
    failed = data is not None and bool(form.errors)
    return render(request, "evaluations/create.html", context, status=400 if failed else 200)


def _start(request: HttpRequest, team: Team) -> dict[str, Any]:
    like, start = request.GET.get("like", ""), dict[str, Any]()
    if like:
        try:
            earlier = job_of(team=team, job_id=uuid.UUID(like))
        except ValueError:
            raise Http404("no such job") from None
        if earlier.kind == "evaluation":
            start = dict(earlier.spec)
    for field, kind in (("policy", "model"), ("prm", "model"), ("questions", "dataset")):
        if request.GET.get(field):
            start[field] = {"kind": kind, "id": request.GET[field]}
    return start
