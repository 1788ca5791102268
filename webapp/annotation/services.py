"""Writes of what people say about steps. Comments are content: they stand in their row and in no log."""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from meds3core.errors import UserError
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team
from webapp.accounts.rules import Role
from webapp.accounts.selectors import membership_of
from webapp.annotation.candidates import GREEDY
from webapp.annotation.models import COMMENT_LENGTH, StepFlag
from webapp.common.files import Store, folder_of
from webapp.evaluations.index import index_open
from webapp.evaluations.models import Evaluation
from webapp.trees.models import Tree

MAY_WITHDRAW_ANY = (Role.OWNER, Role.MANAGER)
"""Who withdraws flags of others."""


class FlagError(UserError):
    """A step cannot be flagged like this, or this flag not be withdrawn; the message says why."""

    code = "flag"


def step_flag(*, actor: Actor, tree: Tree, idx: int, comment: str = "") -> StepFlag:
    """Mark a step of a tree as one to look at. A person who flags the same step again changes what they said.

    Raises `FlagError` for a node that the tree does not have, or a comment that is too long.
    """
    if not 0 <= idx <= tree.nodes:
        raise FlagError(f"The tree has no step {idx}: its nodes are 0 to {tree.nodes}.")
    return _flag(actor, tree.team, comment, str(tree.pk), {"tree": tree, "idx": idx})


def answer_flag(
    *, actor: Actor, evaluation: Evaluation, place: int, sample: int, step: int, comment: str = ""
) -> StepFlag:
    """Mark a step of an evaluation's answer; `sample` -1 is the greedy answer to the question at `place`.

    Raises `FlagError` for a step that there is not, or a comment that is too long, and `EvaluationFileError`.
    """
    index = index_open(folder_of(Store.EVALUATIONS, evaluation.pk))
    if not 0 <= place < len(index):
        raise FlagError(f"The evaluation has no question {place}: they are 0 to {len(index) - 1}.")
    row = index.row(place)
    answers = {GREEDY: row.greedy} if row.greedy is not None else {}
    answers |= dict(enumerate(row.samples))
    if sample not in answers or not 1 <= step < len(answers[sample].bodies):
        raise FlagError("There is no such step in that answer.")
    where = {"evaluation": evaluation, "place": place, "sample": sample, "idx": step}
    return _flag(actor, evaluation.team, comment, str(evaluation.pk), where)


def _flag(actor: Actor, team: Team, comment: str, subject: str, where: dict[str, Any]) -> StepFlag:
    comment = comment.replace("\0", "").strip()
    if len(comment) > COMMENT_LENGTH:
        raise FlagError(f"The comment has {len(comment):,} characters; {COMMENT_LENGTH:,} are kept at most.")
    mine = StepFlag.objects.filter(**where, flagged_by=actor.user, withdrawn=None)
    if not mine.update(comment=comment):
        said = {"comment": comment, "flagged_by": actor.user, "flagged_by_name": actor.name[:150]}
        try:
            with transaction.atomic():
                StepFlag.objects.create(team=team, **where, **said)
                audit_write(actor=actor, verb="step.flagged", team=team, subject=subject, node=where["idx"])
        except IntegrityError:  # the same person, twice at the same moment
            mine.update(comment=comment)
    return mine.select_related("team").latest("id")


def flag_withdraw(*, actor: Actor, flag: StepFlag) -> None:
    """Take a flag back: one's own, or as a manager anybody's. Raises `FlagError`."""
    own = actor.user is not None and flag.flagged_by_id == actor.user.pk
    if not own and actor.user is not None:
        role = membership_of(user=actor.user, team_slug=flag.team.slug).role
        if role not in MAY_WITHDRAW_ANY:
            raise FlagError(f"{flag.flagged_by_name} flagged this step. Only they or a manager can withdraw that.")
    with transaction.atomic():
        standing = StepFlag.objects.filter(pk=flag.pk, withdrawn=None)
        if standing.update(withdrawn=timezone.now(), withdrawn_by=actor.user):
            audit_write(
                actor=actor,
                verb="step.flag-withdrawn",
                team=flag.team,
                subject=str(flag.tree_id or flag.evaluation_id),
                node=flag.idx,
            )
