"""Reads of what people said about steps."""

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.annotation.models import StepFlag
from webapp.trees.models import Tree


def flags_of(*, team: Team) -> QuerySet[StepFlag]:
    """Flags of a team's steps that nobody withdrew, newest first."""
    rows = StepFlag.objects.filter(team=team, withdrawn=None).order_by("-id")
    return rows.select_related("flagged_by", "tree").defer("tree__arena")


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


def flag_counts(*, tree: Tree) -> Mapping[int, int]:
    """How many flags stand on each node of a tree, by index; nodes without one are left out."""
    return Counter(StepFlag.objects.filter(tree=tree, withdrawn=None).values_list("idx", flat=True))
