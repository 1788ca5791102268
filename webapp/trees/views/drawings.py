"""The drawing of a tree: its data, and the page of a tree that still grows."""

import hashlib
import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET
from redis import RedisError

from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.annotation.selectors import flag_counts
from webapp.common.access import team_page
from webapp.trees import selectors
from webapp.trees.drawing import FORMAT, growing_columns, tree_columns
from webapp.trees.growing import growing_tree as snapshot_of
from webapp.trees.growing import growing_watch
from webapp.trees.growing_steps import growing_rows


@team_page(Action.TREE_VIEW)
@require_GET
@gzip_page
def tree_drawing(request: HttpRequest, team: Team, tree_id: uuid.UUID) -> HttpResponseBase:
    """A finished tree's columns. A browser that has them is told so: trees do not change, but scores and flags do."""
    found = selectors.tree_of(team=team, tree_id=tree_id)
    scores = selectors.scores_of(tree=found)
    flags = sorted(flag_counts(tree=found))
    scored = [(score.pk, str(score.job_id), str(score.model)) for score in scores]
    known = f"{FORMAT} {found.content_hash} {scored} {flags}"
    tag = f'"{hashlib.blake2b(known.encode(), digest_size=12).hexdigest()}"'
    answer = get_conditional_response(request, etag=tag)
    if answer is None:
        answer = JsonResponse(tree_columns(tree=found, scores=scores, flagged=flags))
        answer["ETag"] = tag
    patch_cache_control(answer, private=True, no_cache=True)
    return answer


@team_page(Action.TREE_VIEW)
@require_GET
def growing_tree(request: HttpRequest, team: Team, search_id: uuid.UUID, position: int) -> HttpResponse:
    """The tree of a question while it grows; leads to the finished tree once there is one. `?part=steps`: its table."""
    job = selectors.search_of(team=team, job_id=search_id)
    question = selectors.search_question(job_id=job.pk, position=position)
    stored = selectors.tree_at(job_id=job.pk, position=position)
    is_part = request.GET.get("part") == "steps"
    if stored is not None and not is_part:
        return redirect("tree", team.slug, stored)
    snapshot, seen = _snapshot(search_id=job.pk, position=position)
    context: dict[str, Any] = {
        "team": team,
        "job": job,
        "question": question,
        "number": position + 1,
        "rows": growing_rows(snapshot=snapshot) if snapshot else [],
        "seen": seen,
        "growing": True,
        "drawing_url": reverse("growing-drawing", args=[team.slug, job.pk, position]),
    }
    return render(request, "trees/parts/growing_steps.html" if is_part else "trees/growing.html", context)


@team_page(Action.TREE_VIEW)
@require_GET
@gzip_page
def growing_drawing(request: HttpRequest, team: Team, search_id: uuid.UUID, position: int) -> HttpResponse:
    """A growing tree's columns as its worker published them last, and how its question stands.

    `state` is `waiting` (also: paused), `growing`, `failed`, or `done` with the `url` of the finished tree and of its
    drawing; without `parent` there is nothing to draw yet. 503 when growing trees cannot be seen (no Redis).
    """
    job = selectors.search_of(team=team, job_id=search_id)
    question = selectors.search_question(job_id=job.pk, position=position)
    stored = selectors.tree_at(job_id=job.pk, position=position)
    if stored is not None:
        pages = {
            "url": reverse("tree", args=[team.slug, stored]),
            "drawing": reverse("tree-drawing", args=[team.slug, stored]),
        }
        answer = JsonResponse({"state": "done", **pages})
    else:
        snapshot, seen = _snapshot(search_id=job.pk, position=position)
        columns = growing_columns(snapshot=snapshot) if snapshot else {}
        answer = JsonResponse(columns | {"state": question.state}, status=200 if seen else 503)
    patch_cache_control(answer, private=True, no_store=True)
    return answer


def _snapshot(*, search_id: uuid.UUID, position: int) -> tuple[dict[str, Any] | None, bool]:
    """The newest one, and whether any could be seen. To look is to ask for the next."""
    try:
        growing_watch(search_id=search_id)
        return snapshot_of(search_id=search_id, position=position), True
    except RedisError:
        return None, False
