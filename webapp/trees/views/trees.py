"""One tree: its page, its steps as a table, what is looked for in it, its scores, and its file."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from meds3core.config.jobs import TreeScoringSpec
from meds3core.config.references import Registered
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.annotation.models import COMMENT_LENGTH
from webapp.annotation.reviewing import said_of_node
from webapp.annotation.selectors import flags_of_node, queues_for_flags
from webapp.annotation.services import MAY_WITHDRAW_ANY
from webapp.common.access import actor_of, team_page
from webapp.common.downloads import content_download
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.services import job_submit
from webapp.jobs.transitions import ENDED, JobError
from webapp.registry.models import ModelKind
from webapp.trees import overviews, selectors
from webapp.trees.finding import FindForm, nodes_found
from webapp.trees.grid import tree_grid
from webapp.trees.opened import OpenedTree, tree_open
from webapp.trees.panel import node_panel
from webapp.trees.services import arena_read

MOST_LISTED = 100
"""Nodes that are found and listed with their texts; all of them are marked."""


@team_page(Action.TREE_VIEW)
@require_GET
def tree(request: HttpRequest, team: Team, tree_id: uuid.UUID) -> HttpResponse:
    """A tree: its drawing, its steps, and all that is known of the chosen one."""
    opened = tree_open(row=selectors.tree_of(team=team, tree_id=tree_id))
    return _page(request, team, opened, first=overviews.place_of(request.GET.get("from", "0")))


@team_page(Action.TREE_VIEW)
@require_GET
def tree_node(request: HttpRequest, team: Team, tree_id: uuid.UUID, node: int) -> HttpResponse:
    """What is known of one node: the panel alone for the page that is open, else the page with it."""
    opened = tree_open(row=selectors.tree_of(team=team, tree_id=tree_id))
    if node >= len(opened.record.nodes):
        raise Http404("This tree has no such step.")
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "trees/parts/node.html", _panel(request, team, opened, node))
    return _page(request, team, opened, node=node)


@team_page(Action.TREE_VIEW)
@require_GET
def tree_rows(request: HttpRequest, team: Team, tree_id: uuid.UUID) -> HttpResponse:
    """A page of the table of steps: from a place, or the one that holds a node."""
    opened = tree_open(row=selectors.tree_of(team=team, tree_id=tree_id))
    node = overviews.place_of(request.GET["node"]) if "node" in request.GET else None
    if node is not None and node >= len(opened.record.nodes):
        raise Http404("This tree has no such step.")
    grid = tree_grid(**opened.said, first=overviews.place_of(request.GET.get("from", "0")), node=node)
    context = {"team": team, "tree": opened.row, "scores": opened.scores, "grid": grid}
    return render(request, "trees/parts/steps.html", context)


@team_page(Action.TREE_VIEW)
@require_POST
def tree_find(request: HttpRequest, team: Team, tree_id: uuid.UUID) -> HttpResponse:
    """The nodes that are what is looked for: the list of them for the page that is open, else the page with it."""
    opened = tree_open(row=selectors.tree_of(team=team, tree_id=tree_id))
    form = FindForm(request.POST)
    found: dict[str, Any] = {"find": form, "team": team, "tree": opened.row}
    if form.is_valid() and form.sought().anything:
        nodes = nodes_found(**opened.said, sought=form.sought())
        found |= {"marked": [node.id for node, _ in nodes], "found": nodes[:MOST_LISTED], "most": MOST_LISTED}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "trees/parts/found.html", found)
    return _page(request, team, opened, found=found)


@team_page(Action.TREE_VIEW)
@require_GET
def tree_scores(request: HttpRequest, team: Team, tree_id: uuid.UUID) -> HttpResponse:
    """The reward models that scored a tree, and how jobs stand that are about to. `known`: scores that a page has."""
    row = selectors.tree_of(team=team, tree_id=tree_id)
    context = _scores(team, row.job_id, selectors.scores_of(tree=row)) | {
        "tree": row,
        "known": overviews.place_of(request.GET.get("known", "0")),
    }
    return render(request, "trees/parts/scores.html", context)


@team_page(Action.JOB_SUBMIT)
@require_POST
def tree_score(request: HttpRequest, team: Team, tree_id: uuid.UUID) -> HttpResponse:
    """Let a process reward model score this tree and the others of its search; back to the tree, which says how far."""
    row = selectors.tree_of(team=team, tree_id=tree_id)
    offered = dict(overviews.model_options(team=team, kind=ModelKind.PRM))
    chosen = request.POST.get("model", "")
    if chosen not in offered:
        messages.error(request, "Choose the process reward model that scores the tree.")
        return redirect("tree", team.slug, row.pk)
    spec = TreeScoringSpec(
        trees=Registered(kind="trees", id=row.job_id), model=Registered(kind="model", id=chosen.rpartition(":")[2])
    )
    try:
        job_submit(actor=actor_of(request), team=team, spec=spec, title=f"Scores by {offered[chosen]}")
    except JobError as error:
        messages.error(request, str(error))
    except QueueUnreachable as error:  # it is stored and starts later
        messages.warning(request, str(error))
    return redirect(f"{reverse('tree', args=[team.slug, row.pk])}#scores-title")


@team_page(Action.TREE_VIEW)
@require_GET
def tree_json(request: HttpRequest, team: Team, tree_id: uuid.UUID) -> HttpResponse:
    """The tree as it is stored (`meds3-tree/1`), to keep."""
    found = selectors.tree_of(team=team, tree_id=tree_id)
    name = f"tree-{found.position + 1}-{found.content_hash[:8]}.json"
    return content_download(arena_read(bytes(found.arena)), name=name, content_type="application/json")


def _page(
    request: HttpRequest,
    team: Team,
    opened: OpenedTree,
    *,
    first: int = 0,
    node: int | None = None,
    found: dict[str, Any] | None = None,
) -> HttpResponse:
    row = opened.row
    before, after = selectors.neighbours_of(tree=row)
    may_submit = may(request.membership.role, Action.JOB_SUBMIT)  # type: ignore[attr-defined]
    context = {
        "opened": opened,
        "question": opened.record.question,
        "provenance": opened.record.provenance,
        "grid": tree_grid(**opened.said, first=first, node=node),
        "find": FindForm(),
        "before": before,
        "after": after,
        "others": selectors.trees_of_question(tree=row),
        "may_submit": may_submit,
        "prms": overviews.model_options(team=team, kind=ModelKind.PRM) if may_submit else [],
        "drawing_url": reverse("tree-drawing", args=[team.slug, row.pk]),
        "growing": False,
        "known": len(opened.scores),
        **_panel(request, team, opened, node or 0),
        **_scores(team, row.job_id, opened.scores),
        **(found or {}),
    }
    return render(request, "trees/tree.html", context)


def _panel(request: HttpRequest, team: Team, opened: OpenedTree, node: int) -> dict[str, Any]:
    role = request.membership.role  # type: ignore[attr-defined]
    said = flags_of_node(tree=opened.row, idx=node)
    own = next((flag for flag in said if flag.stands and flag.flagged_by_id == request.user.pk), None)
    return {
        "team": team,
        "tree": opened.row,
        "panel": node_panel(**opened.said, idx=node),
        "said": said,
        "own_flag": own,
        "may_flag": may(role, Action.STEP_FLAG),
        "may_withdraw_any": role in MAY_WITHDRAW_ANY,
        "comment_length": COMMENT_LENGTH,
        "judged": said_of_node(
            actor=actor_of(request),
            team=team,
            tree_id=opened.row.pk,
            idx=node,
            may_judge=may(role, Action.ITEM_JUDGE),
        ),
        "queues": queues_for_flags(team=team) if said and may(role, Action.QUEUE_CHANGE) else [],
    }


def _scores(team: Team, job_id: uuid.UUID, scores: list[Any]) -> dict[str, Any]:
    jobs = selectors.scoring_jobs(job_id=job_id)
    return {"team": team, "scores": scores, "scoring": jobs, "scoring_on": any(job.state not in ENDED for job in jobs)}
