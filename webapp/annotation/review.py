"""What reviewers do: read an item with all that was said of it, decide, ask for one opinion more, plant controls."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now

from meds3core.judgements.items import StepAnswer
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.annotation.models import Adjudication, Assignment, Judgement, QueueItem
from webapp.annotation.places import EVERYBODY
from webapp.annotation.reviewing import judgements_readable
from webapp.annotation.rows import item_hold, said_columns
from webapp.annotation.work import JudgingError, answers_check, rater_of
from webapp.webhooks.firing import webhooks_fire
from webapp.webhooks.models import Event


def item_seen(*, actor: Actor, item: QueueItem) -> None:
    """Note that somebody reads an item in review: from now on it is not given to them to be judged blind.

    Raises `JudgingError` for somebody who holds the item to judge it now: they judge it, or give it back, first.
    """
    rater = rater_of(actor)
    seen = Assignment.State.SEEN
    again = (Assignment.State.EXPIRED, Assignment.State.RELEASED, Assignment.State.SKIPPED)
    mine = Assignment.objects.filter(item=item, rater=rater)
    with transaction.atomic():
        item_hold(item.pk)  # whoever is being given it at this moment has it afterwards, or sees that it was read
        found = mine.values_list("state", flat=True).first()
        if found == Assignment.State.LOCKED:
            raise JudgingError(
                "You have this item to judge. Judge it or give it back first: here its scores are shown."
            )
        if found is None:
            Assignment.objects.create(
                team_id=item.team_id,
                item=item,
                queue_id=item.queue_id,
                annotator=actor.user,
                rater=rater,
                rater_name=str(actor.user)[:150],
                state=seen,
            )
        elif found in again:
            mine.update(state=seen, revealed=Now())
        elif found == Assignment.State.JUDGED:
            mine.filter(revealed=None).update(revealed=Now())


def judgement_seen(*, judgement: Judgement, blind: str | None) -> None:
    """Raises `JudgingError` where the rater `blind` may yet be given the item, unless the judgement is their own."""
    if not judgements_readable(Judgement.objects.filter(pk=judgement.pk), blind=blind).exists():
        raise JudgingError(
            "You may still be given this item: what others say of it is hidden until you have judged it."
        )


def item_adjudicate(
    *, actor: Actor, item: QueueItem, answers: Sequence[StepAnswer], client_id: UUID | None = None
) -> list[Adjudication]:
    """A reviewer's decision on an item's steps; the newest one holds, earlier ones stay. Raises `JudgingError`.

    The same `client_id` again: nothing is made again. Whoever decides has seen all (`item_seen`).
    """
    item_seen(actor=actor, item=item)
    with transaction.atomic():
        item_hold(item.pk)
        sent = Adjudication.objects.filter(item=item, client_id=client_id).order_by("position")
        if client_id is not None and (known := list(sent)):
            return known
        answers_check(item=item, answers=answers)
        rows = [
            Adjudication(
                team_id=item.team_id,
                item=item,
                queue_id=item.queue_id,
                position=answer.position,
                decided_by=actor.user,
                decided_by_name=actor.name[:150],
                client_id=client_id,
                **said_columns(answer),
            )
            for answer in answers
        ]
        Adjudication.objects.bulk_create(rows)
        audit_write(actor=actor, verb="item.adjudicated", team=item.team, subject=str(item.pk))
        webhooks_fire(team_id=item.team_id, event=Event.ITEM_ADJUDICATED, thing=item.pk)
    return rows


def control_set(*, actor: Actor, item: QueueItem, answers: Sequence[StepAnswer] | None) -> QueueItem:
    """Make an item a control item with this known answer, or with None an item like any other again.

    Everybody may be given a control item; what was said of it before counts towards each person's accuracy too. Whoever
    says the answer knows it (`item_seen`). Raises `JudgingError`.
    """
    item_seen(actor=actor, item=item)
    with transaction.atomic():
        rows = QueueItem.objects.filter(pk=item.pk)
        if answers is not None:
            answers_check(item=item, answers=answers)
            known = [answer.model_dump(mode="json") for answer in answers]
            rows.update(is_control=True, known=known, wanted=EVERYBODY, is_free=True, completed=None)
        else:
            wanted = item.queue.wanted
            rows.update(is_control=False, known=None, wanted=wanted)
            rows.filter(taken__gte=wanted).update(is_free=False)
            rows.filter(judged__gte=wanted, completed=None).update(completed=Now())
        audit_write(actor=actor, verb="item.control", team=item.team, subject=str(item.pk), on=answers is not None)
    item.refresh_from_db()
    return item


def item_ask_again(*, actor: Actor, item: QueueItem) -> QueueItem:
    """Let one person more judge it: a third opinion on what two disagree about."""
    with transaction.atomic():
        rows = QueueItem.objects.filter(pk=item.pk, is_control=False)
        rows.update(wanted=Greatest(F("wanted"), F("judged")) + 1, completed=None)
        rows.filter(taken__lt=F("wanted")).update(is_free=True)
        audit_write(actor=actor, verb="item.asked-again", team=item.team, subject=str(item.pk))
    item.refresh_from_db()
    return item


def item_withdraw(*, actor: Actor, item: QueueItem) -> QueueItem:
    """Hand it out no more; what was said of it stays, and whoever has it at hand may still save."""
    with transaction.atomic():
        if QueueItem.objects.filter(pk=item.pk, withdrawn=None).update(withdrawn=Now()):
            audit_write(actor=actor, verb="item.withdrawn", team=item.team, subject=str(item.pk))
    item.refresh_from_db()
    return item
