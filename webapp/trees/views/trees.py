"""One tree: a readable page, and its file."""

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import team_page
from webapp.common.downloads import content_download
from webapp.trees import selectors
from webapp.trees.grid import tree_grid
from webapp.trees.services import arena_read


@team_page(Action.TREE_VIEW)
@require_GET
def tree(request: HttpRequest, team: Team, tree_id: uuid.UUID) -> HttpResponse:
    """The steps of a tree with their values, rollouts and scores."""
    found = selectors.tree_of(team=team, tree_id=tree_id)
    scores = selectors.scores_of(tree=found)
    before, after = selectors.neighbours_of(tree=found)
    context = {
        "team": team,
        "tree": found,
        "grid": tree_grid(tree=found, scores=scores),
        "scores": scores,
        "drawing_url": reverse("tree-drawing", args=[team.slug, found.pk]),
        "before": before,
        "after": after,
        "others": selectors.trees_of_question(tree=found),
    }
    return render(request, "trees/tree.html", context)


@team_page(Action.TREE_VIEW)
@require_GET
def tree_json(request: HttpRequest, team: Team, tree_id: uuid.UUID) -> HttpResponse:
    """The tree as it is stored (`meds3-tree/1`), to keep."""
    found = selectors.tree_of(team=team, tree_id=tree_id)
    name = f"tree-{found.position + 1}-{found.content_hash[:8]}.json"
    return content_download(arena_read(bytes(found.arena)), name=name, content_type="application/json")
