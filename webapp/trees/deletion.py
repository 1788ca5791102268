"""Deleting a search: its trees, nodes and scores, and the job. What depends on it is said before."""

import shutil
from dataclasses import dataclass

from django.db import transaction

from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.annotation.selectors import items_from
from webapp.jobs.models import Job
from webapp.jobs.reports import job_folder
from webapp.jobs.transitions import ENDED, JobError
from webapp.trees.models import NodeRow, SearchQuestion, Tree, TreeScore
from webapp.trees.selectors import users_of_trees

_TREES = 20
"""Trees of one transaction, so that others need not wait."""


@dataclass(frozen=True, slots=True)
class Dependants:
    """What uses a search's trees."""

    blocking: list[Job]
    """Jobs that are not over: they must end first."""
    losing: list[Job]
    """Jobs that are over: what they made stays, but cannot be made again."""
    items: int = 0
    """Copies of steps in annotation queues: they stay, without a way back to their tree."""


def search_dependants(*, job: Job) -> Dependants:
    """Jobs whose specification names these trees, and items that were copied from them."""
    using = users_of_trees(job_id=job.pk)
    return Dependants(
        [each for each in using if each.state not in ENDED],
        [each for each in using if each.state in ENDED],
        items_from(source=job.pk),
    )


def search_delete(*, actor: Actor, job: Job) -> None:
    """Remove a search that is over, with everything it stored. Raises `JobError`, which says what is in the way."""
    if job.kind != "search" or job.parent_id is not None:
        raise JobError(f"{job} is no search of its own. Trees of an evolution go with the evolution.")
    if job.state not in ENDED:
        raise JobError(f"{job} is not over. Cancel it first.")
    blocking = search_dependants(job=job).blocking
    if blocking:
        raise JobError(f"{job} cannot be deleted while {blocking[0]} reads its trees. Cancel that job, or wait.")
    audit_write(actor=actor, verb="search.deleted", team=job.team, subject=str(job.pk), title=job.title)
    trees = Tree.objects.filter(job=job)
    while ids := list(trees.order_by("pk").values_list("pk", flat=True)[:_TREES]):
        with transaction.atomic():
            NodeRow.objects.filter(tree__in=ids).delete()
            TreeScore.objects.filter(tree__in=ids).delete()
            Tree.objects.filter(pk__in=ids).delete()
    SearchQuestion.objects.filter(job=job).delete()
    folders = [job_folder(pk) for pk in (job.pk, *Job.objects.filter(parent=job).values_list("pk", flat=True))]
    with transaction.atomic():
        Job.objects.filter(parent=job).delete()
        Job.objects.filter(pk=job.pk).delete()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
