"""Label sets out of judgements, and reward models trained again with them."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_POST

from meds3core.config.jobs import JudgedLabelsSpec
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.annotation.labelsets import labels_preview
from webapp.annotation.selectors import queues_of
from webapp.common.access import actor_of, team_page
from webapp.common.spec_forms import SpecForm, option
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.transitions import JobError
from webapp.jobs.views.submitting import submitted
from webapp.registry.labels import label_set_of
from webapp.registry.selectors import model_own
from webapp.training.retraining import RetrainError, retrain_submit

MOST_QUEUES = 200
LABELS = {
    "queues": "Queues",
    "name": "Name",
    "judged.rule": "How several judgements become one label",
    "judged.least": "Judgements of a step, at least",
    "judged.neutral": "A neutral step counts as",
    "judged.revised": "Later changes count",
    "judged.controls": "Control items give labels too",
}


@team_page(Action.JOB_SUBMIT)
def judged_labels_create(request: HttpRequest, team: Team) -> HttpResponse:
    """A label set of what is said in chosen queues (`?queue=`): what it would hold, then the job that freezes it."""
    queues = list(queues_of(team=team)[:MOST_QUEUES])
    start: dict[str, Any] = {
        "kind": "judged-labels",
        "queues": [{"kind": "queue", "id": each} for each in request.GET.getlist("queue")],
    }
    form = SpecForm(
        JudgedLabelsSpec,
        request.POST or None,
        start=start,
        options={"queues": [option("queue", each.pk, each) for each in queues]},
        titles={"judged": ("From judgements to labels", "How what people said of a step becomes one label.")},
        labels=LABELS,
    )
    data, preview = request.POST, None
    if request.method == "POST" and form.is_valid():
        if "preview" in data:
            named = {one.id for one in form.spec.queues}
            preview = labels_preview(queues=[each for each in queues if each.pk in named], config=form.spec.judged)
        elif "show_json" not in data:
            names = ", ".join(str(each) for each in queues if each.pk in {one.id for one in form.spec.queues})
            name = form.spec.name or f"Labels of {names}"
            return submitted(request, team, form.spec, name[:200], back=("judged-labels-create", team.slug))
    try:
        queue_list = reverse("queue-list", args=[team.slug])
    except NoReverseMatch:
        queue_list = ""
    context = {
        "team": team,
        "form": form,
        "queues": queues,
        "queue_list": queue_list,
        "preview": preview,
        "dropped": sorted(preview.dropped.items()) if preview else [],
        "show_json": "show_json" in data,
    }
    return render(request, "training/judged_labels.html", context, status=400 if form.errors else 200)


@team_page(Action.JOB_SUBMIT)
@require_POST
def prm_retrain(request: HttpRequest, team: Team, label_set_id: uuid.UUID) -> HttpResponse:
    """Train a reward model (`model`) again with these labels beside those that made it; leads to the run."""
    labels = label_set_of(team=team, label_set_id=label_set_id)
    try:
        wanted = uuid.UUID(request.POST.get("model", ""))
    except ValueError:
        messages.error(request, "Choose the process reward model that is trained again.")
        return redirect("label-set", team.slug, labels.pk)
    model = model_own(team=team, model_id=wanted)
    try:
        job = retrain_submit(actor=actor_of(request), team=team, model=model, labels=[labels])
    except (RetrainError, JobError) as error:
        messages.error(request, str(error))
        return redirect("label-set", team.slug, labels.pk)
    except QueueUnreachable as error:  # it is stored and starts later
        messages.warning(request, str(error))
        return redirect("label-set", team.slug, labels.pk)
    return redirect("training-run", team.slug, job.pk)
