"""Label sets: the list, one with its counts and examples, deletion."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import actor_of, team_page
from webapp.common.paging import page_of
from webapp.jobs.transitions import ENDED
from webapp.registry import labels
from webapp.registry.storing import RegistryError
from webapp.training.retraining import retrainable


@team_page(Action.TREE_VIEW)
@require_GET
def label_list(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's label sets, newest first."""
    page = page_of(labels.label_sets_of(team=team), request.GET)
    may_submit = may(request.membership.role, Action.JOB_SUBMIT)
    return render(request, "trees/label_list.html", {"team": team, "page": page, "may_submit": may_submit})


@team_page(Action.TREE_VIEW)
@require_GET
def label_set(request: HttpRequest, team: Team, label_set_id: uuid.UUID) -> HttpResponse:
    """What a label set holds, what was dropped and why, and some of its examples."""
    found = labels.label_set_of(team=team, label_set_id=label_set_id)
    may_submit = may(request.membership.role, Action.JOB_SUBMIT)
    context = {
        "team": team,
        "labels": found,
        "made_from": labels.made_from(label_set=found),
        "queues": labels.queues_behind(label_set=found),
        "users": labels.users_of(label_set=found),
        "sample": labels.examples_of(label_set=found),
        "settings": sorted(found.settings.items()),
        "dropped": sorted(found.counts.get("dropped", {}).items()),
        "may_change": may(request.membership.role, Action.JOB_CONTROL),
        "is_judged": labels.is_judged(found),
        "models": retrainable(team=team) if labels.is_judged(found) and may_submit else [],
        "may_submit": may_submit,
    }
    return render(request, "trees/label_set.html", context)


@team_page(Action.JOB_CONTROL)
def label_remove(request: HttpRequest, team: Team, label_set_id: uuid.UUID) -> HttpResponse:
    """Say what depends on a label set and, when asked again, delete it."""
    found = labels.label_set_of(team=team, label_set_id=label_set_id)
    if request.method == "POST":
        try:
            labels.label_set_delete(actor=actor_of(request), label_set=found)
        except RegistryError as error:
            messages.error(request, str(error))
            return redirect("label-delete", team.slug, found.pk)
        messages.success(request, f"{found} is deleted.")
        return redirect("label-list", team.slug)
    users = labels.users_of(label_set=found)
    context = {
        "team": team,
        "labels": found,
        "blocking": [job for job in users if job.state not in ENDED],
        "losing": [job for job in users if job.state in ENDED],
    }
    return render(request, "trees/label_delete.html", context)
