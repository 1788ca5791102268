"""Reads of searches and trees. Pages, API and workers get them from here."""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.jobs.models import Job, JobInput, State
from webapp.jobs.shards import Standing
from webapp.jobs.transitions import ENDED
from webapp.trees.figures import SearchFigures, tree_figures
from webapp.trees.models import NodeRow, SearchQuestion, Tree, TreeScore

UNIT = "trees"
MOST_SHARDS = 64


def trees_usable(team: Team, job_id: UUID) -> bool:
    """Whether a job of the team may read the trees that this job made: there are some, and they are the team's."""
    return Tree.objects.filter(team=team, job_id=job_id).exists()


def search_standing(*, job_id: UUID) -> Standing:
    """How far a search is, over all its workers and attempts; its result when nothing is missing."""
    counts = question_counts(job_id=job_id)
    total = sum(counts.values())
    done, failed = counts[SearchQuestion.State.DONE], counts[SearchQuestion.State.FAILED]
    complete = bool(total) and done + failed == total
    return Standing(done + failed, total, UNIT, complete, _result(job_id, failed) if complete else None)


def question_counts(*, job_id: UUID) -> dict[str, int]:
    """Questions of a search by state; zero for states that none is in."""
    return questions_standing(job_id=job_id)[0]


def questions_standing(*, job_id: UUID) -> tuple[dict[str, int], dict[str, int]]:
    """Questions of a search by state, and those without a tree by the code of the reason, most frequent first."""
    rows = SearchQuestion.objects.filter(job=job_id).order_by().values_list("state", "error_code")
    counts = dict.fromkeys(SearchQuestion.State.values, 0)
    codes: dict[str, int] = {}
    for state, code, count in rows.annotate(count=Count("pk")):
        counts[state] += count
        if state == SearchQuestion.State.FAILED:
            codes[code] = count
    return counts, dict(sorted(codes.items(), key=lambda pair: (-pair[1], pair[0])))


def _result(job_id: UUID, failed: int) -> dict[str, Any]:
    digest = hashlib.blake2b(digest_size=16)
    trees = 0
    rows = Tree.objects.filter(job=job_id, stage="").order_by("position").values_list("content_hash", flat=True)
    for content_hash in rows.iterator(chunk_size=2000):
        trees += 1
        digest.update(content_hash.encode() + b"\n")
    return {"trees": trees, "failures": failed, "content_hash": digest.hexdigest()}


# --- what pages and the API show -----------------------------------------------------------------------------------


def searches_of(*, team: Team) -> QuerySet[Job]:
    """A team's searches, newest first; evolutions that stored trees are among them."""
    with_trees = Q(kind="search") | Q(kind="evolution")
    return Job.objects.filter(with_trees, team=team, parent=None).select_related("created_by").defer("result")


def search_of(*, team: Team, job_id: UUID) -> Job:
    """One of them. Raises `Http404`."""
    found = searches_of(team=team).filter(pk=job_id).select_related("team").first()
    if found is None:
        raise Http404("There is no such search, or it belongs to another team.")
    return found


def trees_of(*, team: Team, job_id: UUID | None = None, stage: str | None = None) -> QuerySet[Tree]:
    """A team's trees without their arenas: all, or those of one search."""
    rows = Tree.objects.filter(team=team).defer("arena")
    if job_id is not None:
        rows = rows.filter(job=job_id)
    return rows if stage is None else rows.filter(stage=stage)


def tree_of(*, team: Team, tree_id: UUID) -> Tree:
    """One tree with its arena. Raises `Http404`."""
    found = Tree.objects.filter(team=team, pk=tree_id).select_related("job", "policy", "team").first()
    if found is None:
        raise Http404("There is no such tree, or it belongs to another team.")
    return found


def search_question(*, job_id: UUID, position: int) -> SearchQuestion:
    """A question of a search, with its text where its dataset is still there. Raises `Http404`."""
    rows = SearchQuestion.objects.filter(job=job_id, position=position).select_related("question")
    found = rows.first()
    if found is None:
        raise Http404("This search has no such question.")
    return found


def tree_at(*, job_id: UUID, position: int) -> UUID | None:
    """The finished tree of a search's question, if it is stored."""
    return Tree.objects.filter(job=job_id, stage="", position=position).values_list("pk", flat=True).first()


def scores_of(*, tree: Tree) -> list[TreeScore]:
    """Reward models' scores of a tree, oldest first."""
    return list(TreeScore.objects.filter(tree=tree).select_related("model").order_by("id"))


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Which nodes; a field that is None does not narrow."""

    move: str | None = None
    least_drop: float | None = None
    least_value: float | None = None
    most_value: float | None = None
    verdict: bool | None = None
    text: str = ""


def nodes_of(*, team: Team, job_id: UUID | None = None, tree_id: UUID | None = None, wanted: NodeFilter) -> Any:
    """Nodes of a team's trees, by id; of one search or one tree where they are named."""
    rows = NodeRow.objects.filter(tree__team=team).select_related("tree").defer("tree__arena")
    if job_id is not None:
        rows = rows.filter(tree__job=job_id)
    if tree_id is not None:
        rows = rows.filter(tree=tree_id)
    narrow = {
        "move": wanted.move,
        "drop__gte": wanted.least_drop,
        "value__gte": wanted.least_value,
        "value__lte": wanted.most_value,
        "verdict": wanted.verdict,
        "text__icontains": wanted.text or None,
    }
    return rows.filter(**{name: value for name, value in narrow.items() if value is not None})


def search_figures(*, job_id: UUID) -> SearchFigures:
    """Totals and distributions over all of a search's trees."""
    return tree_figures(Tree.objects.filter(job=job_id))


def stages_with_trees(*, job_id: UUID) -> list[str]:
    """Stages of an evolution that stored trees; of a search the empty one."""
    return list(Tree.objects.filter(job=job_id).order_by("stage").values_list("stage", flat=True).distinct())


MOST_CHOICES = 200


def filter_choices(*, job_id: UUID, stage: str) -> dict[str, list[str]]:
    """Sources, domains and stop reasons of a search's trees, in one query."""
    names = ("source", "domain", "stop_reason")
    found = list(Tree.objects.filter(job=job_id, stage=stage).order_by().values_list(*names).distinct())
    of = {name: sorted({row[place] for row in found if row[place]}) for place, name in enumerate(names)}
    return {name: words[:MOST_CHOICES] for name, words in of.items()}


def jobs_around(*, job: Job, size: int = 50) -> tuple[list[Job], list[Job]]:
    """The shards of a search in their order, and the jobs that read its trees, newest first. One query."""
    named = JobInput.objects.filter(kind="trees", thing=job.pk).values("job")
    rows = Job.objects.filter(Q(parent=job) | Q(pk__in=named)).select_related("worker").defer("result").order_by("-id")
    found = list(rows[: size + MOST_SHARDS])
    shards = [each for each in found if each.parent_id == job.pk]
    return shards[::-1], [each for each in found if each.parent_id != job.pk][:size]


def users_of_trees(*, job_id: UUID) -> list[Job]:
    """Jobs whose specification names these trees: what depends on them. Newest first."""
    named = JobInput.objects.filter(kind="trees", thing=job_id).values("job")
    return list(Job.objects.filter(pk__in=named).order_by("-id")[:50])


def neighbours_of(*, tree: Tree) -> tuple[UUID | None, UUID | None]:
    """The trees before and after this one in its search."""
    rows = Tree.objects.filter(job=tree.job_id, stage=tree.stage)
    before = rows.filter(position__lt=tree.position).order_by("-position").values_list("pk", flat=True).first()
    after = rows.filter(position__gt=tree.position).order_by("position").values_list("pk", flat=True).first()
    return before, after


def trees_of_question(*, tree: Tree, size: int = 20) -> list[Tree]:
    """The team's other trees of the same question, newest first."""
    rows = Tree.objects.filter(team=tree.team_id, question_hash=tree.question_hash).exclude(pk=tree.pk)
    return list(rows.defer("arena").select_related("job").order_by("-id")[:size])


def scoring_jobs(*, job_id: UUID, size: int = 3) -> list[Job]:
    """Jobs that let a reward model score these trees: those that are not over, and the last one if it failed."""
    named = JobInput.objects.filter(kind="trees", thing=job_id).values("job")
    rows = Job.objects.filter(pk__in=named, kind="tree-scoring").select_related("team").order_by("-id")[:size]
    shown = [job for job in rows if job.state not in ENDED or job.state == State.FAILED]
    return [job for place, job in enumerate(shown) if job.state not in ENDED or not place]


# --- what workers read ---------------------------------------------------------------------------------------------


def trees_count(*, job_id: UUID) -> int:
    """How many trees a job made."""
    return Tree.objects.filter(job=job_id).count()


def tree_ids_of_stage(*, job_id: UUID, stage: str) -> dict[str, UUID]:
    """The trees that a stage of an evolution made, by the hash of their content."""
    rows = Tree.objects.filter(job=job_id, stage=stage).order_by()
    return dict(rows.values_list("content_hash", "pk"))


def trees_unscored(*, job_id: UUID, model_id: UUID) -> list[UUID]:
    """The trees of a job that this reward model has not scored, in the order of stage and question."""
    scored = TreeScore.objects.filter(model=model_id, tree__job=job_id).values("tree")
    rows = Tree.objects.filter(job=job_id).exclude(pk__in=scored).order_by("stage", "position")
    return list(rows.values_list("pk", flat=True))


def trees_too_long(*, job_id: UUID, model_id: UUID) -> int:
    """How many trees do not fit this reward model."""
    return TreeScore.objects.filter(tree__job=job_id, model=model_id, scores=[]).count()


def arena_of(*, tree_id: UUID) -> bytes:
    """A tree's compressed arena."""
    return bytes(Tree.objects.values_list("arena", flat=True).get(pk=tree_id))
