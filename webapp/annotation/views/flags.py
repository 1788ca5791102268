"""Flagging a step of a tree or of an answer, taking it back, sending it to a queue. All lead back to the step."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from meds3core.errors import UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.annotation import selectors, services
from webapp.annotation.filling import flags_send
from webapp.annotation.models import StepFlag
from webapp.annotation.queues import QueueError
from webapp.common.access import actor_of, team_page
from webapp.evaluations.selectors import evaluation_for
from webapp.trees.selectors import tree_of


@team_page(Action.STEP_FLAG)
@require_POST
def step_flag(request: HttpRequest, team: Team, tree_id: uuid.UUID, node: int) -> HttpResponse:
    """Mark a step as one to look at."""
    found = tree_of(team=team, tree_id=tree_id)
    try:
        services.step_flag(actor=actor_of(request), tree=found, idx=node, comment=request.POST.get("comment", ""))
    except services.FlagError as error:
        messages.error(request, str(error))
    return redirect("tree-node", team.slug, tree_id, min(node, found.nodes))


@team_page(Action.STEP_FLAG)
@require_POST
def answer_flag(request: HttpRequest, team: Team, evaluation_id: uuid.UUID, position: int) -> HttpResponse:
    """Mark a step of an evaluation's answer as one to look at; back to the question."""
    found = evaluation_for(team=team, evaluation_id=evaluation_id)
    try:
        sample, step = (int(request.POST.get(name, "")) for name in ("sample", "step"))
        comment = request.POST.get("comment", "")
        services.answer_flag(
            actor=actor_of(request), evaluation=found, place=position, sample=sample, step=step, comment=comment
        )
        messages.success(request, f"Step {step} is flagged.")
    except ValueError:
        messages.error(request, "Choose a step.")
    except UserError as error:
        messages.error(request, str(error))
    return redirect("evaluation-question", team.slug, found.pk, position)


@team_page(Action.STEP_FLAG)
@require_POST
def flag_withdraw(request: HttpRequest, team: Team, flag_id: uuid.UUID) -> HttpResponse:
    """Take a flag back."""
    found = selectors.flag_of(team=team, flag_id=flag_id)
    try:
        services.flag_withdraw(actor=actor_of(request), flag=found)
    except services.FlagError as error:
        messages.error(request, str(error))
    return _back(team, found)


@team_page(Action.QUEUE_CHANGE)
@require_POST
def flag_send(request: HttpRequest, team: Team, flag_id: uuid.UUID) -> HttpResponse:
    """Put a flagged step into a queue; back to the step, which says so."""
    found = selectors.flag_of(team=team, flag_id=flag_id)
    offered = {str(each.pk): each for each in selectors.queues_for_flags(team=team)}
    queue = offered.get(request.POST.get("queue", ""))
    if queue is None:
        messages.error(request, "Choose an open queue of single steps.")
    else:
        try:
            filling = flags_send(actor=actor_of(request), queue=queue, flags=[found])
            was = "The step is in" if filling.added else "The step was already in"
            messages.success(request, f"{was} {queue.name}.")
        except QueueError as error:
            messages.error(request, str(error))
    return _back(team, found)


def _back(team: Team, flag: StepFlag) -> HttpResponse:
    if flag.tree_id is None:
        return redirect("evaluation-question", team.slug, flag.evaluation_id, flag.place)
    return redirect("tree-node", team.slug, flag.tree_id, flag.idx)
