"""Reads of what people said about steps."""

from collections import Counter
from collections.abc import Collection, Mapping
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.http import Http404

from meds3core.judgements.items import ItemMode
from meds3core.types.judgements import Verdict
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.annotation.models import (
    Adjudication,
    AnnotationQueue,
    Assignment,
    Filling,
    Instructions,
    Judgement,
    QueueItem,
    StepFlag,
)
from webapp.annotation.work import NotGiven, rater_of
from webapp.evaluations.models import Evaluation
from webapp.jobs.models import Job
from webapp.jobs.overviews import ACTIVE
from webapp.trees.models import Tree


def flags_of(*, team: Team) -> QuerySet[StepFlag]:
    """Flags of a team's steps that nobody withdrew, newest first."""
    rows = StepFlag.objects.filter(team=team, withdrawn=None).order_by("-id")
    return rows.select_related("flagged_by", "tree", "evaluation").defer("tree__arena", "evaluation__figures")


def flags_new(*, queue: AnnotationQueue) -> list[UUID]:
    """Standing flags of steps that a queue does not have from the same place yet, oldest first: ids alone."""
    known = set(QueueItem.objects.filter(queue=queue).exclude(source=None).values_list("source", "source_place"))
    rows = StepFlag.objects.filter(team=queue.team_id, withdrawn=None, idx__gt=0).order_by("id")
    columns = rows.values_list("pk", "tree", "evaluation", "place", "sample", "idx")
    return [
        pk
        for pk, tree, evaluation, place, sample, idx in columns.iterator()
        if ((tree, str(idx)) if tree else (evaluation, f"{place}/{sample}/{idx}")) not in known
    ]


def flag_of(*, team: Team, flag_id: UUID) -> StepFlag:
    """One of them. Raises `Http404`."""
    found = flags_of(team=team).filter(pk=flag_id).first()
    if found is None:
        raise Http404("There is no such flag, it was withdrawn, or it belongs to another team.")
    return found


def flags_of_node(*, tree: Tree, idx: int) -> list[StepFlag]:
    """What was said of one step, withdrawn or not, oldest first."""
    rows = StepFlag.objects.filter(tree=tree, idx=idx).order_by("id")
    return list(rows.select_related("flagged_by", "withdrawn_by"))


def flags_of_question(*, evaluation: Evaluation, place: int) -> list[StepFlag]:
    """Flags that stand on answers to one question of an evaluation, oldest first."""
    rows = StepFlag.objects.filter(evaluation=evaluation, place=place, withdrawn=None).order_by("id")
    return list(rows.select_related("flagged_by"))


def flag_counts(*, tree: Tree) -> Mapping[int, int]:
    """How many flags stand on each node of a tree, by index; nodes without one are left out."""
    return Counter(StepFlag.objects.filter(tree=tree, withdrawn=None).values_list("idx", flat=True))


# --- queues --------------------------------------------------------------------------------------------------------


def queues_of(*, team: Team) -> QuerySet[AnnotationQueue]:
    """A team's queues, newest first."""
    return AnnotationQueue.objects.filter(team=team).select_related("created_by").order_by("-id")


def queues_for_flags(*, team: Team, size: int = 50) -> list[AnnotationQueue]:
    """The open queues that a flagged step can be put into, newest first."""
    is_open = {"state": AnnotationQueue.State.OPEN, "mode": ItemMode.STEP.value}
    return list(queues_of(team=team).filter(**is_open)[:size])


def queue_of(*, team: Team, queue_id: UUID) -> AnnotationQueue:
    """One of them. Raises `Http404`."""
    found = AnnotationQueue.objects.filter(team=team, pk=queue_id).select_related("team", "created_by").first()
    if found is None:
        raise Http404("There is no such queue, or it belongs to another team.")
    return found


def queue_usable(team: Team, queue_id: UUID) -> bool:
    """Whether a job of the team may read this queue: its own."""
    return AnnotationQueue.objects.filter(team=team, pk=queue_id).exists()


def items_of(*, queue: AnnotationQueue) -> QuerySet[QueueItem]:
    """A queue's items with all they keep back: for reviewers, never for annotators."""
    return QueueItem.objects.filter(queue=queue).order_by("-priority", "id")


def item_of(*, team: Team, item_id: UUID) -> QueueItem:
    """One item with all it keeps back: for reviewers, or as what a service of `work` is given. Raises `Http404`."""
    found = QueueItem.objects.filter(team=team, pk=item_id).select_related("queue", "team").first()
    if found is None:
        raise Http404("There is no such item, or it belongs to another team.")
    return found


def instructions_of(*, queue: AnnotationQueue) -> list[Instructions]:
    """Every version of a queue's instructions, newest first."""
    return list(Instructions.objects.filter(queue=queue).order_by("-number"))


def fillings_of(*, queue: AnnotationQueue) -> QuerySet[Filling]:
    """What was put into a queue, newest first."""
    return Filling.objects.filter(queue=queue).select_related("created_by").order_by("-id")


def filling_jobs(*, queue: AnnotationQueue) -> list[Job]:
    """Jobs that are still filling a queue, or will be, oldest first."""
    rows = Job.objects.filter(team=queue.team_id, kind="queue-filling", state__in=ACTIVE)
    return list(rows.filter(spec__queue__id=str(queue.pk)).order_by("id"))


def assignment_of(*, actor: Actor, item: QueueItem) -> Assignment:
    """The person's own assignment of an item. Raises `NotGiven`."""
    found = Assignment.objects.filter(item=item, rater=rater_of(actor)).select_related("item", "queue").first()
    if found is None:
        raise NotGiven("This item was not given to you. Take the next one from the queue.")
    return found


def assignments_said(*, actor: Actor, queue: AnnotationQueue) -> QuerySet[Assignment]:
    """What the person judged in a queue, newest first: what `undo` and `change` reach."""
    mine = Assignment.objects.filter(queue=queue, rater=rater_of(actor), state=Assignment.State.JUDGED)
    return mine.select_related("item").order_by("-judged")


def judgements_of(*, queue: AnnotationQueue, which: str = "all") -> QuerySet[Judgement]:
    """Judgements of a queue with their assignments, without their items: these are wide, and have several each.

    `which`: `all` rounds; `blind`, the one of each rater that agreement reads; `current`, what each says now, which
    labels read. Judgements of withdrawn items are among them.
    """
    rows = Judgement.objects.filter(queue=queue).select_related("assignment").order_by("id")
    if which == "blind":
        return rows.filter(round=F("assignment__blind_round"))
    return rows.filter(round=F("assignment__current_round")) if which == "current" else rows


def adjudications_of(*, queue: AnnotationQueue) -> QuerySet[Adjudication]:
    """Every decision on items of a queue, oldest first: of one (item, position) the last one holds."""
    return Adjudication.objects.filter(queue=queue).order_by("id")


def item_history(*, item: QueueItem) -> tuple[list[Judgement], list[Adjudication]]:
    """All that was ever said of an item, oldest first: for reviewers."""
    said = Judgement.objects.filter(item=item).select_related("assignment").order_by("id")
    return list(said), list(Adjudication.objects.filter(item=item).order_by("id"))


def judgement_of(*, team: Team, judgement_id: UUID) -> Judgement:
    """One judgement with its assignment. Raises `Http404`."""
    found = Judgement.objects.filter(team=team, pk=judgement_id).select_related("assignment", "item").first()
    if found is None:
        raise Http404("There is no such judgement, or it belongs to another team.")
    return found


def verdicts_now(*, assignments: Collection[Assignment]) -> Mapping[UUID, list[Verdict]]:
    """What each rater says now, by step, of these assignments; one query."""
    rounds = Judgement.objects.filter(assignment__in=assignments, round=F("assignment__current_round"))
    found: dict[UUID, list[Verdict]] = {each.pk: [] for each in assignments}
    for assignment_id, verdict in rounds.order_by("position").values_list("assignment", "verdict"):
        found[assignment_id].append(Verdict(verdict))
    return found


def sources_gone(*, items: Collection[QueueItem]) -> set[UUID]:
    """Sources of these items that were deleted since; two queries. The copies stay."""
    named = {item.source for item in items if item.source is not None and item.source_kind in ("tree", "sample")}
    there = set(Tree.objects.filter(pk__in=named).values_list("pk", flat=True))
    return named - there - set(Evaluation.objects.filter(pk__in=named).values_list("pk", flat=True))


def items_from(*, source: UUID) -> int:
    """How many items were copied from a search, an evaluation or one of its trees: they stay when it is deleted."""
    return QueueItem.objects.filter(Q(source=source) | Q(source_job=source)).count()
