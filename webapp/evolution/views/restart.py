"""Begin a loop anew from one of its stages: what comes before is taken over, settings may be changed."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from meds3core.config.jobs import EvolutionSpec
from meds3core.errors import Meds3Error
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import actor_of, team_page
from webapp.common.spec_forms import SpecForm
from webapp.evolution import selectors
from webapp.evolution.restarts import takeover_of
from webapp.evolution.stages import loop_stages
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.jobs.transitions import JobError
from webapp.registry.models import ModelKind
from webapp.training.methods import METHODS
from webapp.training.views.forms import LABELS
from webapp.trees.overviews import dataset_options, model_options

BASIC = (
    *METHODS["evolution"].basic,
    "settings.sft.learning_rate",
    "settings.sft.epochs",
    "settings.dpo.learning_rate",
    "settings.dpo.beta",
    "settings.prm.learning_rate",
    "settings.seed",
)
MORE_LABELS = {
    "settings.sft.learning_rate": "Fine-tuning: learning rate",
    "settings.sft.epochs": "Fine-tuning: epochs",
    "settings.dpo.learning_rate": "Preference training: learning rate",
    "settings.dpo.beta": "Preference training: beta",
    "settings.prm.learning_rate": "Process reward model: learning rate",
}


@team_page(Action.JOB_SUBMIT)
@require_http_methods(["GET", "POST"])
def evolution_restart(request: HttpRequest, team: Team, evolution_id: uuid.UUID) -> HttpResponse:
    """The settings of the loop to change, and what would be taken over with them."""
    job = selectors.evolution_of(team=team, evolution_id=evolution_id)
    stages = loop_stages(job=job)
    stage = request.POST.get("stage", request.GET.get("stage", ""))
    if stage and stage not in {each.name for each in stages}:
        raise Http404("The loop has no such stage.")
    data = request.POST or None
    form = _form(team, job, stage, data)
    spec, takeover, refused = _looked_at(job, stage, form, data is not None)
    if data is not None and spec is not None and takeover is not None and "look" not in data:
        answer = _started(request, team, job, spec, stage)
        if answer is not None:
            return answer
    context = {
        "team": team,
        "job": job,
        "stages": stages,
        "stage": stage,
        "form": form,
        "takeover": takeover,
        "refused": refused,
        "looked": data is not None,
    }
    failed = data is not None and (bool(form.errors) or bool(refused))
    return render(request, "evolution/restart.html", context, status=400 if failed else 200)


def _form(team: Team, job: Job, stage: str, data: Any) -> SpecForm:
    datasets = dataset_options(team=team)
    start = dict(job.spec) | {"restart": {"job": {"kind": "evolution", "id": str(job.pk)}, "stage": stage}}
    if data is None:
        start["name"] = f"{job.spec.get('name') or job}, again"[:200]
    return SpecForm(
        EvolutionSpec,
        data,
        start=start,
        options={
            "policy": model_options(team=team, kind=ModelKind.POLICY),
            "questions": datasets,
            "held_out": datasets,
            "validation": datasets,
        },
        basic=BASIC,
        left_out=("restart",),
        titles={"settings": ("Settings of the loop", "As they were. What is changed here is done anew.")},
        labels=LABELS | MORE_LABELS,
    )


def _looked_at(job: Job, stage: str, form: SpecForm, is_sent: bool) -> tuple[EvolutionSpec | None, Any, str]:
    """The specification, what it would take over, and why it cannot be."""
    if is_sent:
        if not form.is_valid():
            return None, None, ""
        spec = form.spec
    else:
        spec = EvolutionSpec.model_validate(job.spec)
    try:
        return spec, takeover_of(job=job, spec=spec, stage=stage), ""
    except Meds3Error as error:
        return spec, None, f"{str(error)[:1].upper()}{str(error)[1:]}."


def _started(request: HttpRequest, team: Team, job: Job, spec: EvolutionSpec, stage: str) -> HttpResponse | None:
    title = spec.name or f"{job}, again"
    try:
        made = job_submit(actor=actor_of(request), team=team, spec=spec, title=title[:200], origin=job)
    except JobError as error:
        messages.error(request, str(error))
        return None
    except QueueUnreachable as error:  # it is stored and starts later
        messages.warning(request, str(error))
        return redirect("evolution-list", team.slug)
    return redirect("evolution", team.slug, made.pk)
