"""What an annotator does: takes an item, keeps its lock, judges, takes back, changes.

Every change of an item's places and of its assignments begins with holding the item's row (`item_hold`), so that locks
that run out, late savings and new pulls wait for each other. Nobody but `webapp.annotation.shown` makes what is sent.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from meds3core.errors import UserError
from meds3core.judgements.items import StepAnswer
from meds3core.types.judgements import Verdict
from webapp.accounts.actors import Actor
from webapp.annotation.models import AnnotationQueue, Assignment, Judgement, QueueItem, QueueMember
from webapp.annotation.places import LOCK, assignment_whole, candidates_of, item_lock, place_give_back, place_take
from webapp.annotation.rows import ONE_PLACE_LESS, item_hold, said_columns
from webapp.webhooks.firing import webhooks_fire
from webapp.webhooks.models import Event

MOST_HELD = 3
"""Items that one person may hold at once: the one they look at, and the next ones, loaded beforehand."""

State = Assignment.State


class JudgingError(UserError):
    """A judgement cannot be taken like this. Nothing of it was kept; the message says why."""

    code = "judging"


class NotGiven(JudgingError):
    """The item was never handed to this person."""

    code = "not-given"


class AlreadyJudged(JudgingError):
    """They judged it before, in another window or on another device."""

    code = "already-judged"


class NothingSaid(JudgingError):
    """They have not judged the item: there is nothing to take back or to change."""

    code = "nothing-said"


class SeenBefore(JudgingError):
    """They know what the item keeps back, or it is too late to take back what they said."""

    code = "seen"


class Nothing(StrEnum):
    """Why somebody is given no item."""

    CLOSED = "closed"
    NOT_NAMED = "not-named"
    LIMIT = "limit"
    HOLDING = "holding"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Pulled:
    """An item to judge, or why there is none."""

    assignment: Assignment | None
    reason: Nothing | None = None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A judgement that counts no more. `repeated`: it had been taken back before."""

    assignment: Assignment
    repeated: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A judgement that is kept. `repeated`: it had been sent before; `late`: its lock had run out, it counts anyway."""

    assignment: Assignment
    judgements: list[Judgement]
    repeated: bool
    late: bool


def rater_of(actor: Actor) -> str:
    """The name under which everything that this person says is kept. Raises `JudgingError` for nobody."""
    if actor.user is None:
        raise JudgingError("Only people judge.")
    return f"user:{actor.user.pk}"


# --- taking and holding --------------------------------------------------------------------------------------------


def item_pull(*, actor: Actor, queue: AnnotationQueue, holding: Collection[UUID] = ()) -> Pulled:
    """An item for this person, locked for `LOCK`: one that they hold already, or the most informative free one.

    `holding` are the ids of items that the caller has at hand and does not want again: a page that loads the next item
    names the present one. Nobody is given an item twice, nor one that they skipped or read in review. Control items
    come among the others as often as the queue's `control_share` says.
    """
    rater = rater_of(actor)
    if queue.state != AnnotationQueue.State.OPEN:
        return Pulled(None, Nothing.CLOSED)
    member, _ = QueueMember.objects.get_or_create(queue=queue, user=actor.user)
    if queue.named_only and not member.is_named:
        return Pulled(None, Nothing.NOT_NAMED)
    locks_expire(queue=queue)
    while True:
        with transaction.atomic():
            QueueMember.objects.filter(pk=member.pk).update(given=F("given"))  # one's own pulls wait for each other
            member.refresh_from_db(fields=["given"])
            mine = Assignment.objects.filter(queue=queue, rater=rater)
            held = list(mine.filter(state=State.LOCKED).select_related("item").order_by("pulled"))
            again = next((each for each in held if each.item_id not in set(holding)), None)
            if again is not None:
                Assignment.objects.filter(pk=again.pk).update(expires=Now() + LOCK)
                return Pulled(assignment_whole(again.pk))
            if len(held) >= MOST_HELD:
                return Pulled(None, Nothing.HOLDING)
            had = mine.filter(Q(state=State.JUDGED) | Q(state=State.LOCKED))
            if queue.per_person is not None and had.count() >= queue.per_person:
                return Pulled(None, Nothing.LIMIT)
            candidates = candidates_of(queue, rater, member.given, holding)
            if not candidates:
                return Pulled(None, Nothing.DONE)
            for item in candidates:
                if place_take(item):
                    if (locked := item_lock(item, queue, actor, rater)) is None:
                        place_give_back(item)
                        continue
                    QueueMember.objects.filter(pk=member.pk).update(given=F("given") + 1)
                    return Pulled(locked)
            # All of them went to others in the meantime: look again, in a transaction of its own.


def lock_renew(*, actor: Actor, item: QueueItem) -> Assignment | None:
    """Keep an item for another `LOCK`; None when the lock had run out and others have taken the item since.

    What the person saves is kept even then. Raises `NotGiven`.
    """
    with transaction.atomic():
        item_hold(item.pk)
        found = _mine(actor, item)
        if found.state == State.EXPIRED and place_take(item.pk):
            Assignment.objects.filter(pk=found.pk).update(state=State.LOCKED, expires=Now() + LOCK)
        elif not Assignment.objects.filter(pk=found.pk, state=State.LOCKED).update(expires=Now() + LOCK):
            return None
    return assignment_whole(found.pk)


def item_release(*, actor: Actor, item: QueueItem, skip: bool = False) -> None:
    """Give an item back unjudged; skipped, it does not come again. Does nothing without a lock. Raises `NotGiven`."""
    with transaction.atomic():
        item_hold(item.pk)
        found = _mine(actor, item)
        to = State.SKIPPED if skip else State.RELEASED
        if Assignment.objects.filter(pk=found.pk, state=State.LOCKED).update(state=to, expires=None):
            place_give_back(item.pk)


def locks_expire(*, queue: AnnotationQueue, most: int = 200) -> int:
    """Free the places of locks that have run out; gives how many. Called by every pull."""
    gone = Assignment.objects.filter(queue=queue, state=State.LOCKED, expires__lte=Now())
    freed = 0
    for pk, item_id in list(gone.order_by("expires").values_list("pk", "item_id")[:most]):
        with transaction.atomic():
            item_hold(item_id)
            if gone.filter(pk=pk).update(state=State.EXPIRED):
                place_give_back(item_id)
                freed += 1
    return freed


# --- judging -------------------------------------------------------------------------------------------------------


def judgement_save(
    *, actor: Actor, item: QueueItem, client_id: UUID, answers: Sequence[StepAnswer], seconds: float | None = None
) -> Saved:
    """Keep what a person says of an item that they were given. The same `client_id` again: nothing is made again.

    A late one, whose lock has run out, is kept as a judgement like any other and says so; also when the queue was
    closed or the item withdrawn since. Raises `NotGiven`, `AlreadyJudged`, `SeenBefore`, `JudgingError`: refused with
    words, nothing kept.
    """
    return _say(actor, item, client_id, answers, seconds, changing=False)


def judgement_revise(
    *, actor: Actor, item: QueueItem, client_id: UUID, answers: Sequence[StepAnswer], seconds: float | None = None
) -> Saved:
    """Change one's mind: one more round beside the earlier ones. Raises as `judgement_save` does.

    After the person was shown what the item keeps back, the round is not blind: labels follow it, agreement does not.
    """
    return _say(actor, item, client_id, answers, seconds, changing=True)


def judgement_undo(*, actor: Actor, item: QueueItem, client_id: UUID | None = None) -> TakenBack:
    """Take back what one said and has not been answered: the item is locked for the person again, still blind.

    The round stays in the history and counts nowhere. With a `client_id` it is that judgement alone: sent again after
    something else was said, nothing is taken back. Taken back before: nothing more happens. Raises `NotGiven`,
    `NothingSaid`, and `SeenBefore` once the person was shown what the item keeps back; then `judgement_revise` is left.
    """
    with transaction.atomic():
        item_hold(item.pk)
        found = _mine(actor, item)
        said = Judgement.objects.filter(assignment=found).order_by("-round")
        if client_id is not None:
            said = said.filter(client_id=client_id)
        number = said.values_list("round", flat=True).first()
        if number is None or found.state == State.SEEN:
            raise NothingSaid("There is nothing to take back: you have not judged this item.")
        if found.state != State.JUDGED or (client_id is not None and number != found.current_round):
            return TakenBack(assignment_whole(found.pk), repeated=True)
        if found.revealed is not None:
            raise SeenBefore("You have seen the scores of this item. Change your judgement: both will be kept.")
        Assignment.objects.filter(pk=found.pk).update(
            state=State.LOCKED, expires=Now() + LOCK, judged=None, blind_round=0, current_round=0
        )
        QueueItem.objects.filter(pk=item.pk).update(judged=F("judged") - 1, completed=None)
    return TakenBack(assignment_whole(found.pk), repeated=False)


def item_reveal(*, actor: Actor, item: QueueItem) -> Assignment:
    """Note that the person is now shown what the item keeps back. Raises `NotGiven`, `JudgingError` before saving."""
    with transaction.atomic():
        item_hold(item.pk)  # else a judgement could be taken back between the look at it and the note
        found = _mine(actor, item)
        if found.state != State.JUDGED:
            raise JudgingError("Judge this item first.")
        Assignment.objects.filter(pk=found.pk, revealed=None).update(revealed=Now())
    return assignment_whole(found.pk)


def _say(
    actor: Actor,
    item: QueueItem,
    client_id: UUID,
    answers: Sequence[StepAnswer],
    seconds: float | None,
    *,
    changing: bool,
) -> Saved:
    with transaction.atomic():
        item_hold(item.pk)
        found = _mine(actor, item)
        if known := list(Judgement.objects.filter(rater=found.rater, client_id=client_id).order_by("position")):
            if known[0].item_id != item.pk:
                raise JudgingError("This client id belongs to a judgement of another item.")
            return Saved(found, known, repeated=True, late=known[0].late)
        answers_check(item=item, answers=answers)
        if found.state == State.SEEN:
            raise SeenBefore("You read this item in review, with its scores and what others said of it.")
        if changing and found.state != State.JUDGED:
            raise NothingSaid("There is nothing to change: you have not judged this item.")
        if not changing and found.state == State.JUDGED:
            raise AlreadyJudged(
                "You judged this item before, perhaps in another window. Change that judgement instead."
            )
        holds = found.state == State.LOCKED
        late = not changing and not Assignment.objects.filter(pk=found.pk, expires__gt=Now()).exists()
        blind, number = found.revealed is None, found.rounds + 1
        rows = [_row(found, answer, client_id, number, blind, late, seconds) for answer in answers]
        Judgement.objects.bulk_create(rows)
        counts = {"blind_round": number, "judged": Now()} if blind else {}
        Assignment.objects.filter(pk=found.pk).update(
            state=State.JUDGED, expires=None, rounds=number, current_round=number, **counts
        )
        if not changing:
            _count(item, holds)
        webhooks_fire(team_id=found.team_id, event=Event.JUDGEMENT_SAVED, thing=rows[0].pk)
    return Saved(assignment_whole(found.pk), rows, repeated=False, late=late)


def answers_check(*, item: QueueItem, answers: Sequence[StepAnswer]) -> None:
    """Whether these judge the item: one step, or the steps of a trajectory up to the first bad one or to the end.

    Raises `JudgingError`.
    """
    places = [answer.position for answer in answers]
    if places != list(range(len(answers))) or not 1 <= len(answers) <= item.steps:
        raise JudgingError(f"The item has {item.steps} steps to judge, in order from 0; something else was sent.")
    bad = [answer.position for answer in answers if answer.verdict is Verdict.BAD]
    if len(answers) < item.steps and not bad:
        raise JudgingError("Judge every step up to the first bad one, or up to the end.")


def _row(
    given: Assignment,
    answer: StepAnswer,
    client_id: UUID,
    number: int,
    blind: bool,
    late: bool,
    seconds: float | None,
) -> Judgement:
    seen = QueueMember.objects.filter(queue=given.queue_id, user=given.annotator_id)
    return Judgement(
        team_id=given.team_id,
        assignment=given,
        item_id=given.item_id,
        queue_id=given.queue_id,
        rater=given.rater,
        client_id=client_id,
        round=number,
        position=answer.position,
        blind=blind,
        late=late,
        seconds=seconds,
        instructions=seen.values_list("instructions_seen", flat=True).first() or 0,
        **said_columns(answer),
    )


def _count(item: QueueItem, holds: bool) -> None:
    """One person more has judged it; whoever holds no place any more takes one beyond those that are wanted."""
    rows = QueueItem.objects.filter(pk=item.pk)
    if not holds:
        rows.update(**ONE_PLACE_LESS)
    rows.update(judged=F("judged") + 1)
    if rows.filter(judged__gte=F("wanted"), completed=None).update(completed=Now()):
        webhooks_fire(team_id=item.team_id, event=Event.ITEM_COMPLETED, thing=item.pk)
        open_ones = QueueItem.objects.filter(queue=item.queue_id, is_control=False, withdrawn=None, completed=None)
        if not open_ones.exists():
            webhooks_fire(team_id=item.team_id, event=Event.QUEUE_COMPLETED, thing=item.queue_id)


def _mine(actor: Actor, item: QueueItem) -> Assignment:
    found = Assignment.objects.filter(item=item, rater=rater_of(actor)).first()
    if found is None:
        raise NotGiven("This item was not given to you. Take the next one from the queue.")
    return found
