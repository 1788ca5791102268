"""What managers do with queues: make, change, close, open again, delete; instructions and people."""

from collections.abc import Collection, Sequence
from typing import Annotated, Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Case, F, Max, Q, Value, When
from django.db.models.functions import Now
from pydantic import AfterValidator, Field

from meds3core.errors import UserError
from meds3core.judgements.flagging import FlagRules
from meds3core.judgements.items import ItemMode
from meds3core.types.judgements import Verdict
from meds3core.types.record import Record
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Membership, Team
from webapp.accounts.rules import Action, may
from webapp.annotation.models import AnnotationQueue, Instructions, QueueItem, QueueMember
from webapp.webhooks.firing import webhooks_fire
from webapp.webhooks.models import Event

State = AnnotationQueue.State

DEFAULT_INSTRUCTIONS = """\
Judge the highlighted step only, given the question and the steps before it.

- **Good**: it is right and it helps.
- **Neutral**: nothing is wrong with it, and it does not bring the answer nearer.
- **Bad**: something in it is wrong, does not follow, or could do harm. A step that rightly goes on from an earlier
  mistake is not bad: the mistake was.
- **Can't tell**: you would have to look it up.

Say what is wrong and, if you like, what the step should have said. Whether the final answer is right plays no part.
"""


class QueueError(UserError):
    """A queue cannot be made or changed like this; the message says why."""

    code = "queue"


Kept = Annotated[str, AfterValidator(lambda text: text.replace("\0", ""))]
"""A text as both databases keep it: PostgreSQL has no NUL."""


class QueueSettings(Record):
    """How a queue works."""

    name: Kept = Field(min_length=1, max_length=200)
    mode: ItemMode = Field(default=ItemMode.STEP, description="One step, or a trajectory up to its first bad step")
    wanted: int = Field(default=2, ge=1, le=50, description="People who judge each item")
    per_person: int | None = Field(default=None, ge=1, description="Most items that one person judges")
    control_share: float = Field(default=0.1, ge=0.0, le=0.5, description="Of what a person is given")
    named_only: bool = Field(default=False, description="Only people who were named may judge")
    rules: FlagRules = FlagRules()


class Example(Record):
    """A step and what is to be said of it, for instructions."""

    question: Kept = Field(max_length=20_000)
    prefix: Kept = Field(default="", max_length=20_000)
    step: Kept = Field(max_length=20_000)
    verdict: Verdict
    why: Kept = Field(default="", max_length=4_000)


def queue_create(
    *, actor: Actor, team: Team, settings: QueueSettings, instructions: str = DEFAULT_INSTRUCTIONS
) -> AnnotationQueue:
    """A queue without items, open, with its first instructions. Raises `QueueError` for a name that is taken."""
    columns = {**_columns(settings), "mode": settings.mode.value, "created_by": actor.user}
    try:
        with transaction.atomic():
            queue = AnnotationQueue.objects.create(team=team, **columns)
            _instructions(actor, queue, instructions, ())
            audit_write(actor=actor, verb="queue.created", team=team, subject=str(queue.pk))
    except IntegrityError:
        raise QueueError(f"{team} has a queue called {settings.name} already. Choose another name.") from None
    return queue


def queue_change(*, actor: Actor, queue: AnnotationQueue, settings: QueueSettings) -> AnnotationQueue:
    """Other settings. With more people wanted, items that were complete open again; what was said stays.

    Raises `QueueError` for a name that is taken, or another mode once there are items.
    """
    if settings.mode != queue.mode and QueueItem.objects.filter(queue=queue).exists():
        raise QueueError("Steps and trajectories do not mix. Make another queue.")
    columns = {**_columns(settings), "mode": settings.mode.value}
    try:
        with transaction.atomic():
            AnnotationQueue.objects.filter(pk=queue.pk).update(**columns)
            audit_write(actor=actor, verb="queue.changed", team=queue.team, subject=str(queue.pk))
    except IntegrityError:
        raise QueueError(f"{queue.team} has a queue called {settings.name} already. Choose another name.") from None
    if settings.wanted != queue.wanted:
        _wanted(queue, settings.wanted)
    queue.refresh_from_db()
    return queue


def queue_close(*, actor: Actor, queue: AnnotationQueue) -> AnnotationQueue:
    """Hand out nothing more. What people have at hand can still be saved."""
    return _move(actor, queue, State.OPEN, State.CLOSED, "queue.closed", closed=Now())


def queue_reopen(*, actor: Actor, queue: AnnotationQueue) -> AnnotationQueue:
    """Hand out items again."""
    return _move(actor, queue, State.CLOSED, State.OPEN, "queue.reopened", closed=None)


def queue_delete(*, actor: Actor, queue: AnnotationQueue) -> None:
    """Remove a closed queue with its items and everything said of them. Label sets that were made of it stay."""
    if queue.state != State.CLOSED:
        raise QueueError(f"{queue} is open. Close it first.")
    audit_write(actor=actor, verb="queue.deleted", team=queue.team, subject=str(queue.pk), title=queue.name)
    while ids := list(QueueItem.objects.filter(queue=queue).values_list("pk", flat=True)[:200]):
        QueueItem.objects.filter(pk__in=ids).delete()
    queue.delete()


def instructions_write(
    *, actor: Actor, queue: AnnotationQueue, text: str, examples: Sequence[Example] = ()
) -> Instructions:
    """A new version; everybody is shown it before their next item."""
    with transaction.atomic():
        made = _instructions(actor, queue, text, examples)
        audit_write(actor=actor, verb="queue.instructed", team=queue.team, subject=str(queue.pk), number=made.number)
    return made


def instructions_seen(*, actor: Actor, queue: AnnotationQueue, number: int) -> None:
    """Note that the person was shown this version."""
    newest = Instructions.objects.filter(queue=queue).aggregate(newest=Max("number"))["newest"] or 0
    member, _ = QueueMember.objects.get_or_create(queue=queue, user=actor.user)
    QueueMember.objects.filter(pk=member.pk, instructions_seen__lt=number).update(
        instructions_seen=max(0, min(number, newest))
    )


def members_set(*, actor: Actor, queue: AnnotationQueue, users: Collection[UUID]) -> None:
    """Name exactly these people, by user id. Raises `QueueError` for somebody who may not judge in this team."""
    rows = Membership.objects.filter(team=queue.team_id, user__in=users)
    able = {row.user_id for row in rows if may(row.role, Action.ITEM_JUDGE)}  # type: ignore[attr-defined]
    if set(users) - able:
        raise QueueError("Only owners, managers and annotators of the team can be named.")
    with transaction.atomic():
        QueueMember.objects.filter(queue=queue).exclude(user__in=able).update(is_named=False)
        for user in able:
            QueueMember.objects.update_or_create(queue=queue, user_id=user, defaults={"is_named": True})
        audit_write(actor=actor, verb="queue.named", team=queue.team, subject=str(queue.pk), people=len(able))


def settings_of(*, queue: AnnotationQueue) -> QueueSettings:
    """How the queue works now."""
    return QueueSettings(
        name=queue.name,
        mode=ItemMode(queue.mode),
        wanted=queue.wanted,
        per_person=queue.per_person,
        control_share=queue.control_share,
        named_only=queue.named_only,
        rules=FlagRules.model_validate(queue.rules),
    )


def _columns(settings: QueueSettings) -> dict[str, Any]:
    return {
        "name": settings.name,
        "wanted": settings.wanted,
        "per_person": settings.per_person,
        "control_share": settings.control_share,
        "named_only": settings.named_only,
        "rules": settings.rules.model_dump(mode="json"),
    }


def _wanted(queue: AnnotationQueue, wanted: int) -> None:
    """One statement: what is free and what is complete follows from the counts."""
    items = QueueItem.objects.filter(queue=queue, is_control=False)
    items.update(
        wanted=wanted,
        is_free=Case(When(Q(taken__lt=wanted), then=Value(True)), default=Value(False)),
        completed=Case(
            When(Q(judged__gte=wanted, completed=None), then=Now()),
            When(judged__lt=wanted, then=None),
            default=F("completed"),
        ),
    )


def _instructions(actor: Actor, queue: AnnotationQueue, text: str, examples: Sequence[Example]) -> Instructions:
    newest = Instructions.objects.filter(queue=queue).aggregate(newest=Max("number"))["newest"] or 0
    return Instructions.objects.create(
        queue=queue,
        number=newest + 1,
        text=text.replace("\0", "")[:50_000],
        examples=[each.model_dump(mode="json") for each in examples],
        written_by=actor.user,
        written_by_name=actor.name[:150],
    )


def _move(actor: Actor, queue: AnnotationQueue, source: State, to: State, verb: str, **columns: Any) -> AnnotationQueue:
    with transaction.atomic():
        if AnnotationQueue.objects.filter(pk=queue.pk, state=source).update(state=to, **columns):
            audit_write(actor=actor, verb=verb, team=queue.team, subject=str(queue.pk))
            if to == State.CLOSED:
                webhooks_fire(team_id=queue.team_id, event=Event.QUEUE_CLOSED, thing=queue.pk)
    queue.refresh_from_db()
    return queue
