"""API of searches, trees, nodes and label sets."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja import Query, Router, Status

from meds3core.config.jobs import JobSpec, TreeScoringSpec
from meds3core.config.references import Registered
from meds3core.data.labels import RECORDS
from webapp.accounts.api_auth import actor_of_call, team_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.annotation.selectors import flag_counts
from webapp.common.api_answers import ApiPage, Paging, Reading, api_page
from webapp.common.downloads import file_download
from webapp.common.files import Store, folder_of
from webapp.common.idempotency import idempotent
from webapp.jobs.api import job_accepted
from webapp.jobs.api_schemas import JobOut
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.registry import labels
from webapp.trees import overviews, selectors
from webapp.trees.api_schemas import (
    DrawingOut,
    LabelSetOut,
    LabelsIn,
    NodeOut,
    NodeSearch,
    NodeWanted,
    ScoresOut,
    ScoringIn,
    SearchIn,
    SearchWhole,
    TreeOut,
    TreeWanted,
)
from webapp.trees.deletion import search_delete
from webapp.trees.drawing import tree_columns
from webapp.trees.services import arena_read

router = Router(tags=["searches"])

SEARCHES = "/teams/{team_slug}/searches"
TREES = "/teams/{team_slug}/trees/{tree_id}"
LABELS = "/teams/{team_slug}/label-sets"


# --- searches ------------------------------------------------------------------------------------------------------


@router.get(SEARCHES, response=ApiPage[JobOut], operation_id="search_list")
@team_operation(Action.TREE_VIEW)
def search_list(request: HttpRequest, team_slug: str, paging: Query[Paging]) -> ApiPage[JobOut]:
    """The team's searches, newest first, and other jobs that stored trees."""
    team = team_of_call(request)
    rows = overviews.searches_open(team=team, rows=selectors.searches_of(team=team))
    return api_page(request, rows, JobOut.of, paging)


@router.post(SEARCHES, response={202: JobOut}, operation_id="search_submit")
@team_operation(Action.JOB_SUBMIT)
@idempotent
def search_submit(request: HttpRequest, team_slug: str, body: SearchIn) -> HttpResponse:
    """A new search. Watch and steer it as a job."""
    return _submitted(request, body.spec, body.title, priority=body.priority)


@router.get(SEARCHES + "/{search_id}", response=SearchWhole, operation_id="search_show")
@team_operation(Action.TREE_VIEW)
def search_show(request: HttpRequest, team_slug: str, search_id: UUID) -> SearchWhole:
    """One search, its questions by state, its figures."""
    return SearchWhole.of(_search(request, search_id))


@router.delete(SEARCHES + "/{search_id}", response={204: None}, operation_id="search_delete")
@team_operation(Action.JOB_CONTROL)
def search_remove(request: HttpRequest, team_slug: str, search_id: UUID) -> Status[None]:
    """Delete a search that is over, with its trees. Refused while a job reads them."""
    search_delete(actor=actor_of_call(request), job=_search(request, search_id))
    return Status(204, None)


@router.get(SEARCHES + "/{search_id}/trees", response=ApiPage[TreeOut], operation_id="search_trees")
@team_operation(Action.TREE_VIEW)
def search_trees(
    request: HttpRequest, team_slug: str, search_id: UUID, reading: Query[Reading], wanted: Query[TreeWanted]
) -> ApiPage[TreeOut]:
    """The search's trees in the order in which they were stored."""
    narrow = {
        "source": wanted.source or None,
        "domain": wanted.domain or None,
        "stage": wanted.stage,
        "stop_reason": wanted.stop_reason.value if wanted.stop_reason else None,
        "solved__gte": wanted.least_solved,
        "solved__lte": wanted.most_solved,
        "largest_drop__gte": wanted.least_drop,
    }
    rows = selectors.trees_of(team=team_of_call(request), job_id=_search(request, search_id).pk)
    rows = rows.filter(**{name: value for name, value in narrow.items() if value is not None})
    return api_page(request, rows, TreeOut.of, reading)


@router.get(SEARCHES + "/{search_id}/nodes", response=ApiPage[NodeOut], operation_id="search_nodes")
@team_operation(Action.TREE_VIEW)
def search_nodes(
    request: HttpRequest, team_slug: str, search_id: UUID, reading: Query[Reading], wanted: Query[NodeWanted]
) -> ApiPage[NodeOut]:
    """Steps of the search's trees: those that lose value, that state wrong answers, that were made by a move."""
    job = _search(request, search_id)
    rows = selectors.nodes_of(team=team_of_call(request), job_id=job.pk, wanted=wanted.filter())
    return api_page(request, rows, NodeOut.of, reading)


@router.post(SEARCHES + "/{search_id}/nodes/search", response=ApiPage[NodeOut], operation_id="search_nodes_text")
@team_operation(Action.TREE_VIEW)
def search_nodes_text(
    request: HttpRequest, team_slug: str, search_id: UUID, reading: Query[Reading], body: NodeSearch
) -> ApiPage[NodeOut]:
    """Steps of the search's trees whose text holds some words; send the same body to `next`."""
    job = _search(request, search_id)
    rows = selectors.nodes_of(team=team_of_call(request), job_id=job.pk, wanted=body.filter(body.text))
    return api_page(request, rows, NodeOut.of, reading)


@router.post(SEARCHES + "/{search_id}/scores", response={202: JobOut}, operation_id="search_score")
@team_operation(Action.JOB_SUBMIT)
@idempotent
def search_score(request: HttpRequest, team_slug: str, search_id: UUID, body: ScoringIn) -> HttpResponse:
    """Let a process reward model score the search's trees."""
    trees = Registered(kind="trees", id=_search(request, search_id).pk)
    spec = TreeScoringSpec(trees=trees, model=Registered(kind="model", id=body.model), scorer=body.scorer)
    return _submitted(request, spec, "")


# --- trees ---------------------------------------------------------------------------------------------------------


@router.get(TREES, response=TreeOut, operation_id="tree_show")
@team_operation(Action.TREE_VIEW)
def tree_show(request: HttpRequest, team_slug: str, tree_id: UUID) -> TreeOut:
    """One tree without its nodes."""
    return TreeOut.of(selectors.tree_of(team=team_of_call(request), tree_id=tree_id))


@router.get(TREES + "/content", operation_id="tree_content")
@team_operation(Action.TREE_VIEW)
def tree_content(request: HttpRequest, team_slug: str, tree_id: UUID) -> HttpResponse:
    """The whole tree in the form `meds3-tree/1`, with sample rollouts, as `meds3 search` writes it."""
    found = selectors.tree_of(team=team_of_call(request), tree_id=tree_id)
    return HttpResponse(arena_read(bytes(found.arena)), content_type="application/json; charset=utf-8")


@router.get(TREES + "/nodes", response=ApiPage[NodeOut], operation_id="tree_nodes")
@team_operation(Action.TREE_VIEW)
def tree_nodes(
    request: HttpRequest, team_slug: str, tree_id: UUID, reading: Query[Reading], wanted: Query[NodeWanted]
) -> ApiPage[NodeOut]:
    """The tree's steps by index."""
    found = selectors.tree_of(team=team_of_call(request), tree_id=tree_id)
    rows = selectors.nodes_of(team=team_of_call(request), tree_id=found.pk, wanted=wanted.filter())
    return api_page(request, rows, NodeOut.of, reading)


@router.get(TREES + "/scores", response=list[ScoresOut], operation_id="tree_scores")
@team_operation(Action.TREE_VIEW)
def tree_scores(request: HttpRequest, team_slug: str, tree_id: UUID) -> list[ScoresOut]:
    """Scores of the tree's nodes by every reward model that was asked."""
    found = selectors.tree_of(team=team_of_call(request), tree_id=tree_id)
    return [ScoresOut.of(each) for each in selectors.scores_of(tree=found)]


@router.get(TREES + "/drawing", response=DrawingOut, operation_id="tree_drawing")
@team_operation(Action.TREE_VIEW)
def tree_drawing(request: HttpRequest, team_slug: str, tree_id: UUID) -> DrawingOut:
    """The tree's figures as columns, a node's place being its index: what drawings and notebooks begin with."""
    found = selectors.tree_of(team=team_of_call(request), tree_id=tree_id)
    flags = flag_counts(tree=found)
    return DrawingOut(**tree_columns(tree=found, scores=selectors.scores_of(tree=found), flagged=flags))


# --- label sets ----------------------------------------------------------------------------------------------------


@router.get(LABELS, response=ApiPage[LabelSetOut], operation_id="label_set_list")
@team_operation(Action.TREE_VIEW)
def label_set_list(request: HttpRequest, team_slug: str, paging: Query[Paging]) -> ApiPage[LabelSetOut]:
    """The team's label sets, newest first."""
    return api_page(request, labels.label_sets_of(team=team_of_call(request)), LabelSetOut.of, paging)


@router.post(LABELS, response={202: JobOut}, operation_id="label_set_build")
@team_operation(Action.JOB_SUBMIT)
@idempotent
def label_set_build(request: HttpRequest, team_slug: str, body: LabelsIn) -> HttpResponse:
    """Build a label set from trees. The job's result names it."""
    return _submitted(request, body.spec, body.title or body.spec.name)


@router.get(LABELS + "/{label_set_id}", response=LabelSetOut, operation_id="label_set_show")
@team_operation(Action.TREE_VIEW)
def label_set_show(request: HttpRequest, team_slug: str, label_set_id: UUID) -> LabelSetOut:
    """One label set."""
    return LabelSetOut.of(labels.label_set_of(team=team_of_call(request), label_set_id=label_set_id))


@router.get(LABELS + "/{label_set_id}/records", operation_id="label_set_records")
@team_operation(Action.TREE_VIEW)
def label_set_records(request: HttpRequest, team_slug: str, label_set_id: UUID) -> HttpResponseBase:
    """The examples as JSONL, as `meds3 labels build` writes them."""
    found = labels.label_set_of(team=team_of_call(request), label_set_id=label_set_id)
    path = folder_of(Store.LABELS, found.pk) / RECORDS
    return file_download(request, path, name=f"labels-{found.pk}.jsonl", content_type="application/x-ndjson")


@router.delete(LABELS + "/{label_set_id}", response={204: None}, operation_id="label_set_delete")
@team_operation(Action.JOB_CONTROL)
def label_set_remove(request: HttpRequest, team_slug: str, label_set_id: UUID) -> Status[None]:
    """Delete a label set. Refused while a job reads it."""
    found = labels.label_set_of(team=team_of_call(request), label_set_id=label_set_id)
    labels.label_set_delete(actor=actor_of_call(request), label_set=found)
    return Status(204, None)


def _submitted(request: HttpRequest, spec: JobSpec, title: str, *, priority: int = 0) -> HttpResponse:
    job = job_submit(
        actor=actor_of_call(request), team=team_of_call(request), spec=spec, title=title, priority=priority
    )
    return job_accepted(job)


def _search(request: HttpRequest, search_id: UUID) -> Job:
    return selectors.search_of(team=team_of_call(request), job_id=search_id)
