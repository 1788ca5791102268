"""Flagging a step and taking it back, from the step's panel. Both lead back to the panel."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.annotation import selectors, services
from webapp.common.access import actor_of, team_page
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
def flag_withdraw(request: HttpRequest, team: Team, flag_id: uuid.UUID) -> HttpResponse:
    """Take a flag back."""
    found = selectors.flag_of(team=team, flag_id=flag_id)
    try:
        services.flag_withdraw(actor=actor_of(request), flag=found)
    except services.FlagError as error:
        messages.error(request, str(error))
    return redirect("tree-node", team.slug, found.tree_id, found.idx)
