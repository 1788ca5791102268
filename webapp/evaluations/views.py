"""Pages of evaluations: the list, one evaluation with its strategies and questions, the form of a new one."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from meds3core.config.jobs import EvaluationSpec
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import actor_of, team_page
from webapp.common.downloads import file_download
from webapp.common.files import Store, folder_of
from webapp.common.paging import page_of
from webapp.common.spec_forms import SpecForm
from webapp.evaluations import selectors, services
from webapp.jobs.selectors import job_of
from webapp.jobs.views.submitting import submitted
from webapp.registry.models import ModelKind
from webapp.trees.overviews import dataset_options, model_options

FILES = {
    "report": (services.REPORT, "text/html"),
    "figures": (services.FIGURES, "application/json"),
    "questions": (services.ROWS, "application/x-ndjson"),
}
"""The files of an evaluation by the word in URLs."""

BASIC = ("name", "questions", "validation", "policy", "prm", "orm", "limit", "collect.samples.n", "engine.kind")
LABELS = {
    "name": "Name",
    "questions": "Benchmark",
    "validation": "Validation questions",
    "prm": "Process reward model",
    "orm": "Outcome reward model",
    "limit": "First so many questions",
    "collect.samples.n": "Samples per question",
}
TITLES = {
    "collect": ("Answers", "Greedy answers of every question, and samples from which all strategies are computed."),
    "engine": ("Engine", "What runs the policy on the worker."),
    "scoring": ("Reward models", "How they are run over the samples."),
    "figures": ("Figures", "Intervals, paired tests, which strategies."),
}


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_list(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's evaluations, newest first."""
    context = {
        "team": team,
        "page": page_of(selectors.evaluations_of(team=team), request.GET),
        "may_submit": may(request.membership.role, Action.JOB_SUBMIT),
        "is_first": not {"before", "after"} & set(request.GET),
    }
    return render(request, "evaluations/list.html", context)


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_page(request: HttpRequest, team: Team, evaluation_id: uuid.UUID) -> HttpResponse:
    """What was measured: headline, strategies with intervals, the questions one by one."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    role = request.membership.role
    context = {
        "team": team,
        "evaluation": found,
        "strategies": selectors.strategies_of(evaluation=found),
        "answers": selectors.answers_page(evaluation=found),
        "files": [
            word for word, (name, _) in FILES.items() if (folder_of(Store.EVALUATIONS, found.pk) / name).exists()
        ],
        "may_change": may(role, Action.EVALUATION_CHANGE),
        "may_submit": may(role, Action.JOB_SUBMIT),
    }
    return render(request, "evaluations/evaluation.html", context)


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_answers(request: HttpRequest, team: Team, evaluation_id: uuid.UUID) -> HttpResponse:
    """More questions, as rows to be put behind those that the page has."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    after = request.GET.get("after", "")
    if after and (not after.isdecimal() or len(after) > 9):
        raise Http404("no such place")
    answers = selectors.answers_page(evaluation=found, after=int(after) if after else -1)
    return render(request, "evaluations/parts/answers.html", {"team": team, "evaluation": found, "answers": answers})


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_file(request: HttpRequest, team: Team, evaluation_id: uuid.UUID, which: str) -> HttpResponseBase:
    """The report as one self-contained page, the figures, or the rows of questions, to keep."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    if which not in FILES:
        raise Http404("no such file")
    name, content_type = FILES[which]
    path = folder_of(Store.EVALUATIONS, found.pk) / name
    return file_download(request, path, name=f"{found.name} {name}", content_type=content_type)


@team_page(Action.EVALUATION_CHANGE)
def evaluation_delete(request: HttpRequest, team: Team, evaluation_id: uuid.UUID) -> HttpResponse:
    """Ask, then remove it."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    if request.method == "POST":
        services.evaluation_delete(actor=actor_of(request), evaluation=found)
        messages.success(request, f"{found} is deleted.")
        return redirect("evaluation-list", team.slug)
    return render(request, "evaluations/delete.html", {"team": team, "evaluation": found})


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
