"""What the chat worker asks of turns: claim them, keep their lease, write how far they are, end them.

All by the database's clock, all compare-and-set: a write names its attempt, and does nothing when that is over.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from pydantic import ValidationError

from meds3core.config.chat import ChatConfig
from webapp.chat.models import Message, MessageTree, Role, State
from webapp.chat.selectors import histories_of
from webapp.chat.texts import written
from webapp.datasets.search import folded
from webapp.jobs.transitions import in_seconds

MOST_FAILURES = 3
UNREADABLE = "The settings of this answer cannot be read. Save the conversation's settings anew."
PAUSE_SECONDS = 2.0
"""Between a turn that broke and its next try, for each time it broke: what broke may be mended meanwhile."""
LOST = f"The worker vanished while it answered. This was the last of {MOST_FAILURES} tries by itself."

T = TypeVar("T")


@dataclass(frozen=True)
class Claimed:
    """A turn in the worker's hands."""

    id: UUID
    attempt: int
    history: tuple[tuple[str, str], ...]
    """Role and text of what was said before, ending with what is to be answered."""
    config: ChatConfig
    policy: UUID | None
    endpoint: UUID | None
    scorer: UUID | None
    given: str = ""
    """What the answer begins with, which is not written again."""

    @property
    def needs_device(self) -> bool:
        """Whether anything of it is computed here."""
        return self.endpoint is None or self.scorer is not None


@dataclass(frozen=True)
class Progress:
    """How far an answer is."""

    text: str
    seq: int
    steps: list[list[float | None]]
    candidates: list[dict[str, Any]]


def turns_claim(*, worker: str, most: int, remote_only: bool = False) -> list[Claimed]:
    """Up to so many of the turns that wait, with a lease: those of the team that has the fewest first, and
    of each team its oldest. With `remote_only` those that need no device of ours.
    """
    found: list[Claimed] = []
    waiting = Message.objects.filter(Q(lease_expires=None) | Q(lease_expires__lt=Now()), state=State.QUEUED)
    if remote_only:
        waiting = waiting.filter(endpoint__isnull=False, scorer=None)
    chosen = _in_turn(waiting.order_by("id"), most)
    columns = {"state": State.ANSWERING, "worker": worker, "attempt": F("attempt") + 1, "note": ""}
    columns |= {"text": "", "seq": 0, "steps": [], "candidates": [], "started": Coalesce("started", Now())}
    lease = in_seconds(settings.JOBS_LEASE_SECONDS)
    if not chosen or not Message.objects.filter(pk__in=chosen, state=State.QUEUED).update(
        lease_expires=lease, **columns
    ):
        return []  # stopped, deleted, or another worker was first
    # They waited a moment ago, and nobody else claims by this name: those that are this worker's now were claimed here.
    rows = list(Message.objects.filter(pk__in=chosen, state=State.ANSWERING, worker=worker).order_by("id"))
    histories = histories_of(messages=rows)
    for row in rows:
        try:
            found.append(_claimed(row, histories[row.pk]))
        except ValidationError:  # its words quote what is wrong; written by another version of the product
            progress = Progress("", 0, [], [])
            turn_fail(turn=row.pk, attempt=row.attempt, code="chat-settings", message=UNREADABLE, progress=progress)
    return found


def _in_turn(waiting: QuerySet[Message], most: int) -> list[UUID]:
    """So many of these turns, that no team waits until another one's many are answered."""
    teams = set(waiting.order_by().values_list("conversation__team", flat=True).distinct())
    if len(teams) < 2:
        return list(waiting.values_list("pk", flat=True)[:most]) if teams else []
    by_team = {
        team: deque(waiting.filter(conversation__team=team).values_list("pk", flat=True)[:most]) for team in teams
    }
    by_team = {team: pks for team, pks in by_team.items() if pks}
    live = Message.objects.filter(state=State.ANSWERING, conversation__team__in=by_team)
    has = {team: 0 for team in by_team} | dict(live.values_list("conversation__team").annotate(Count("pk")))
    chosen: list[UUID] = []
    while by_team and len(chosen) < most:
        team = min(by_team, key=lambda each: (has[each], by_team[each][0]))
        chosen.append(by_team[team].popleft())
        has[team] += 1
        if not by_team[team]:
            del by_team[team]
    return chosen


def _claimed(row: Message, before: Sequence[tuple[str, str]]) -> Claimed:
    return Claimed(
        id=row.pk,
        attempt=row.attempt,
        history=tuple((role, text) for role, text in before if text or role != Role.ASSISTANT),
        config=ChatConfig.model_validate(row.config),
        policy=row.policy_id,
        endpoint=row.endpoint_id,
        scorer=row.scorer_id,
        given=row.given,
    )


def leases_renew(*, worker: str, ids: Collection[UUID]) -> set[UUID]:
    """Keep these turns for another lease; gives those that are not this worker's any more."""
    mine = Message.objects.filter(pk__in=ids, worker=worker, state=State.ANSWERING)
    mine.update(lease_expires=in_seconds(settings.JOBS_LEASE_SECONDS))
    return set(ids) - set(mine.values_list("pk", flat=True))


def turns_to_stop(*, ids: Collection[UUID]) -> set[UUID]:
    """Those of these turns that somebody stopped, or whose conversation was deleted."""
    rows = dict(Message.objects.filter(pk__in=ids).values_list("pk", "stop_asked"))
    return {pk for pk in ids if rows.get(pk, True)}


def turns_write(*, progress: Sequence[tuple[UUID, int, Progress]]) -> None:
    """How far these answers are, in one short transaction."""
    with transaction.atomic():
        for pk, attempt, how in progress:
            _live(pk, attempt).update(text=how.text, seq=how.seq, steps=how.steps, candidates=how.candidates)


def written_together(*, writes: Sequence[Callable[[], T]]) -> list[T]:
    """What each of these gives, in one short transaction: where one raises, none is done."""
    with transaction.atomic():
        return [write() for write in writes]


def turns_note(*, ids: Collection[UUID], note: str) -> None:
    """What these turns wait for, in words; empty: for nothing."""
    Message.objects.filter(pk__in=ids, state=State.ANSWERING).exclude(note=note).update(note=note[:200])


def turn_end(
    *, turn: UUID, attempt: int, state: State, progress: Progress, tree: bytes | None = None, **columns: Any
) -> bool:
    """The answer is as it will stay, with the tree that it comes of; says whether this attempt was still the one."""
    written = {
        "text": progress.text,
        "folded": folded(progress.text),
        "seq": progress.seq,
        "steps": progress.steps,
        "candidates": progress.candidates,
    }
    ended = {"state": state, "ended": Now(), "lease_expires": None, "note": ""}
    with transaction.atomic() if tree is not None else nullcontext():
        done = bool(_live(turn, attempt).update(**written, **ended, **columns))
        if done and tree is not None:
            MessageTree.objects.create(message_id=turn, arena=tree)
    return done


def turn_fail(*, turn: UUID, attempt: int, code: str, message: str, progress: Progress) -> bool:
    """It cannot be answered, and trying again would not help."""
    columns = {"error_code": code[:40], "error_message": written(message)[:500]}
    return turn_end(turn=turn, attempt=attempt, state=State.FAILED, progress=progress, **columns)


def turn_put_back(*, turn: UUID, attempt: int) -> None:
    """The worker is told to end, or to give its device up: the turn waits again. Not a failure."""
    _live(turn, attempt).update(state=State.QUEUED, worker="", lease_expires=None)


def turn_broke(*, turn: UUID, attempt: int, account: str) -> State:
    """Something broke on our side: tried again until it has happened too often."""
    row = Message.objects.filter(pk=turn, attempt=attempt, state=State.ANSWERING).first()
    return _count_failure(row, written(account), pause=PAUSE_SECONDS) if row is not None else State.STOPPED


def leases_reclaim(*, worker: str = "") -> int:
    """Take back the turns of workers that vanished, and of an earlier life of `worker`; gives how many."""
    lost = Q(lease_expires__lt=Now())
    if worker:
        lost |= Q(worker=worker)
    rows = list(Message.objects.filter(lost, state=State.ANSWERING))
    for row in rows:
        _count_failure(row, LOST)
    return len(rows)


def _count_failure(row: Message, account: str, pause: float = 0.0) -> State:
    failures = row.failures + 1
    live = _live(row.pk, row.attempt).filter(failures=row.failures)
    if row.stop_asked:
        columns = {"ended": Now(), "lease_expires": None, "folded": folded(row.text)}
        live.update(state=State.STOPPED, failures=failures, **columns)
        return State.STOPPED
    if failures >= MOST_FAILURES:
        columns = {"error_code": "chat-broken", "error_message": account[:500], "ended": Now(), "lease_expires": None}
        live.update(state=State.FAILED, failures=failures, folded=folded(row.text), **columns)
        return State.FAILED
    note = "The worker that answered vanished; it is being answered anew."
    until = None
    if pause:
        note, until = "The model broke down; it is tried again.", in_seconds(pause * failures)
    live.update(state=State.QUEUED, failures=failures, worker="", lease_expires=until, note=note)
    return State.QUEUED


def _live(turn: UUID, attempt: int) -> Any:
    return Message.objects.filter(pk=turn, attempt=attempt, state=State.ANSWERING)
