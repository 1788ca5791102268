"""Writes of searches and trees: questions handed out to workers, finished trees stored, scores beside them.

Every write of a worker names the job and attempt that it is for and is refused once the job has gone on without it
(`StaleAttempt`). A tree, its nodes and its question's state are one short transaction.
"""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from meds3core.data.trees import tree_line
from meds3core.types.question import Question
from meds3core.types.tree import Tree
from webapp.common.bulk import key_of, rows_insert
from webapp.datasets.models import QuestionRow
from webapp.jobs.models import Job
from webapp.jobs.reports import attempt_hold
from webapp.jobs.transitions import LIVE, StaleAttempt
from webapp.trees import models
from webapp.trees.models import NodeRow, SearchQuestion, TreeScore
from webapp.trees.reading import node_figures, tree_figures
from webapp.trees.tallies import tally_pack

_BATCH = 500
"""Rows of one statement: SQLite allows 32,766 parameters, and a transaction stays short."""
_COMPRESSION = 6


@dataclass(frozen=True, slots=True)
class ClaimedQuestion:
    """A question that this attempt grows now."""

    position: int
    row_id: int
    question: Question


# --- questions of a search -----------------------------------------------------------------------------------------


def search_prepare(*, search_id: UUID, version_id: UUID, limit: int | None = None) -> int:
    """List the questions of a search, once; gives how many there are. Several workers may do it at the same time."""
    wanted = QuestionRow.objects.filter(version=version_id).order_by("position").values_list("pk", flat=True)[:limit]
    rows = SearchQuestion.objects.filter(job=search_id)
    total = wanted.count()
    if rows.count() >= total:
        return total
    batch: list[SearchQuestion] = []
    for position, row_id in enumerate(wanted.iterator(chunk_size=_BATCH)):
        batch.append(SearchQuestion(job_id=search_id, position=position, question_id=row_id))
        if len(batch) == _BATCH:
            SearchQuestion.objects.bulk_create(batch, ignore_conflicts=True)
            batch = []
    SearchQuestion.objects.bulk_create(batch, ignore_conflicts=True)
    return total


def questions_claim(
    *, search_id: UUID, job_id: UUID, attempt: int, count: int, held: Collection[int] | None = None
) -> list[ClaimedQuestion]:
    """Take up to `count` waiting questions, first ones first; none when nothing waits. Raises `StaleAttempt`.

    `job_id` is the search itself or one of its shards. `held` are the positions that this attempt knows it has: what
    it took besides was in an answer that got lost, and is given again.
    """
    mine = SearchQuestion.objects.filter(
        job=search_id, state=SearchQuestion.State.GROWING, shard=job_id, attempt=attempt
    )
    if held is not None and (unheard := _claimed(mine.exclude(position__in=held))):
        return unheard
    waiting = SearchQuestion.objects.filter(job=search_id, state=SearchQuestion.State.WAITING)
    while ids := list(waiting.order_by("position").values_list("pk", flat=True)[:count]):
        with transaction.atomic():
            attempt_hold(job_id=job_id, attempt=attempt)
            taken = waiting.filter(pk__in=ids).update(
                state=SearchQuestion.State.GROWING, shard=job_id, attempt=attempt, error_code=""
            )
        if taken:
            return _claimed(mine.filter(pk__in=ids))
    return []


def questions_reclaim(*, search_id: UUID) -> int:
    """Give back the questions of attempts that are over, so that any worker takes them; gives how many."""
    growing = SearchQuestion.objects.filter(job=search_id, state=SearchQuestion.State.GROWING)
    held = Q(shard__state__in=LIVE, shard__attempt=F("attempt"))
    lost = list(growing.exclude(held).values_list("pk", "shard", "attempt"))
    freed = 0
    for pk, shard, attempt in lost:
        # Still in the same hands: another worker may have taken it since.
        freed += growing.filter(pk=pk, shard=shard, attempt=attempt).update(state=SearchQuestion.State.WAITING)
    return freed


def question_fail(*, search_id: UUID, job_id: UUID, attempt: int, position: int, code: str) -> None:
    """Note that a question's tree broke for a reason of its own; the search goes on. Raises `StaleAttempt`."""
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        _settle(search_id, job_id, attempt, position, SearchQuestion.State.FAILED, code)


def questions_try_again(*, search_id: UUID, job_id: UUID, attempt: int) -> list[str]:
    """Let the questions wait again that have no tree; gives the codes of the reasons. Raises `StaleAttempt`."""
    failed = SearchQuestion.objects.filter(job=search_id, state=SearchQuestion.State.FAILED)
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        codes = sorted(set(failed.values_list("error_code", flat=True)))
        failed.update(state=SearchQuestion.State.WAITING)
    return codes


# --- trees ---------------------------------------------------------------------------------------------------------


def tree_store(
    *,
    job_id: UUID,
    attempt: int,
    position: int,
    tree: Tree,
    search_id: UUID | None = None,
    question_row_id: int | None = None,
    policy_id: UUID | None = None,
    stage: str = "",
) -> UUID:
    """Store a finished tree with its nodes, in one transaction; gives its id. Raises `StaleAttempt`.

    `job_id` and `attempt` say who writes; the tree belongs to `search_id`, which a shard gives and others need not. A
    search (no `stage`) has its question's state changed along with it. A tree that an earlier attempt stored under the
    same stage and position is left as it is, and its id is given.
    """
    owner = search_id or job_id
    row = _tree_row(owner, position, tree, stage, question_row_id, policy_id)
    nodes = _node_rows(row, tree)
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        row.team_id = Job.objects.values_list("team_id", flat=True).get(pk=owner)
        present = models.Tree.objects.filter(job=owner, stage=stage, position=position).values_list("pk", flat=True)
        known = present.first()
        if known is None:
            row.save(force_insert=True)
            rows_insert(NodeRow, _NODE_COLUMNS, nodes)
        if not stage:
            _settle(owner, job_id, attempt, position, SearchQuestion.State.DONE)
    return known or row.pk


def tree_score_store(
    *, job_id: UUID, attempt: int, tree_id: UUID, model_id: UUID, scores: Sequence[float | None]
) -> None:
    """Store a reward model's scores of a tree, in place of earlier ones of the same model. Raises `StaleAttempt`."""
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        TreeScore.objects.update_or_create(
            tree_id=tree_id, model_id=model_id, defaults={"job_id": job_id, "scores": list(scores)}
        )


def arena_read(arena: bytes) -> str:
    """The tree's line, from what is stored."""
    return zlib.decompress(arena).decode()


def _tree_row(
    owner: UUID, position: int, tree: Tree, stage: str, question_row_id: int | None, policy_id: UUID | None
) -> models.Tree:
    figures = tree_figures(tree)
    question = tree.question
    return models.Tree(
        job_id=owner,
        stage=stage,
        position=position,
        question_id=question_row_id,
        question_id_text=question.id[:512],
        question_hash=question.content_hash,
        policy_id=policy_id,
        source=(question.source or "")[:120],
        domain=(question.domain or "")[:120],
        stop_reason=tree.stop_reason.value,
        nodes=figures.nodes,
        depth=figures.depth,
        rollouts=tree.totals.rollouts,
        generated_tokens=tree.totals.generated_tokens,
        root_value=tree.nodes[0].value,
        solved=figures.solved,
        right_answers=figures.right_answers,
        wrong_answers=figures.wrong_answers,
        largest_drop=figures.largest_drop,
        content_hash=tree.content_hash,
        tally=tally_pack(tree),
        arena=zlib.compress(tree_line(tree).encode(), _COMPRESSION),
    )


_NODE_COLUMNS = (
    *("tree_id", "idx", "parent_idx", "depth", "move", "value", "right", "rollouts", "visits", "drop", "verdict"),
    "text",
)


def _node_rows(row: models.Tree, tree: Tree) -> list[tuple[object, ...]]:
    key = key_of(NodeRow, "tree", row.pk)
    return [
        (
            *(key, node.id, node.parent, node.depth, node.move.value, node.value),
            *(figures.right, figures.rollouts, node.visits, figures.drop, node.verdict),
            node.text.replace("\0", "\ufffd"),  # PostgreSQL stores none; the arena has the text as it was
        )
        for node, figures in zip(tree.nodes, node_figures(tree), strict=True)
    ]


def _claimed(rows: QuerySet[SearchQuestion]) -> list[ClaimedQuestion]:
    return [
        ClaimedQuestion(row.position, row.question.pk, Question.model_validate(row.question.record))
        for row in rows.select_related("question").order_by("position")
        if row.question is not None
    ]


def _settle(search_id: UUID, job_id: UUID, attempt: int, position: int, state: str, code: str = "") -> None:
    mine = SearchQuestion.objects.filter(job=search_id, position=position, shard=job_id, attempt=attempt)
    # Its own state again: the answer of an earlier commit was lost.
    written = mine.filter(state__in=(SearchQuestion.State.GROWING, state)).update(state=state, error_code=code[:40])
    if not written:
        raise StaleAttempt(f"question {position} of search {search_id} has gone on without attempt {attempt}")
