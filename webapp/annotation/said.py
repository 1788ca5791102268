"""What people said in queues as records of `meds3core`: for figures of agreement, for files, for label sets."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import F, Max, Q

from meds3core.judgements.agreement import Said
from meds3core.judgements.flagging import Rule
from meds3core.judgements.items import ItemKept, ItemMode, ItemShown
from meds3core.types.judgements import ErrorKind, StepJudgement, Verdict
from meds3core.types.labels import Origin
from meds3core.types.question import Question
from webapp.annotation.models import Adjudication, AnnotationQueue, Judgement, QueueItem
from webapp.annotation.selectors import adjudications_of, judgements_of

_FETCHED = 500
Row = TypeVar("Row", Judgement, Adjudication)


def judgements_said(*, queue: AnnotationQueue, named: bool = True) -> Iterator[StepJudgement]:
    """What is said of a queue's steps, oldest first, then what reviewers decided; withdrawn items are left out.

    Of each person the word that stands now and, where it was changed in sight of the scores, the blind one before it.
    `named`: raters go by the names that they had, told apart where two had the same; else by what the tables call them.
    """
    stands = Q(round=F("assignment__blind_round")) | Q(round=F("assignment__current_round"))
    rows = judgements_of(queue=queue).filter(stands, item__withdrawn=None)
    names, now = _Names(), _steps_now(queue)
    for some in _chunks(rows.iterator(chunk_size=_FETCHED)):
        content = _Contents(some)
        for row in some:
            name = names.of(row.rater, row.assignment.rater_name) if named else row.rater
            said = content.judgement(row, name, row.blind, row.seconds)
            left = row.position >= now.get(row.assignment_id, row.position + 1)
            yield said.model_copy(update={"taken_back": True}) if left else said
    for few in _chunks(iter(decisions_of(queue=queue))):
        content = _Contents(few)
        for decided in few:
            yield content.judgement(decided, decided.decided_by_name or "reviewer", False, None, adjudicated=True)


def _steps_now(queue: AnnotationQueue) -> dict[UUID, int]:
    """By assignment whose rater changed their mind: how many steps of the trajectory they judge now."""
    if queue.mode != ItemMode.TRAJECTORY:
        return {}
    rows = judgements_of(queue=queue, which="current").exclude(round=F("assignment__blind_round"))
    return dict(rows.order_by().values_list("assignment").annotate(n=Max("position") + 1))


def decisions_of(*, queue: AnnotationQueue) -> list[Adjudication]:
    """The newest decision on each step of a queue's items."""
    newest: dict[tuple[UUID, int], Adjudication] = {}
    for row in adjudications_of(queue=queue).filter(item__withdrawn=None):
        newest[row.item_id, row.position] = row
    return list(newest.values())


def first_words(*, queue: AnnotationQueue) -> tuple[list[Said], dict[str, str]]:
    """Everybody's blind word on every step of a queue, for figures of agreement, and the names of the raters in it.

    Steps go by ids, people by what the tables call them, questions by the hash of their text: files from elsewhere name
    one question anew in every row.
    """
    final = {(row.item_id, row.position): Verdict(row.verdict) for row in decisions_of(queue=queue)}
    rows = judgements_of(queue=queue, which="blind").filter(item__withdrawn=None)
    columns = ("item", "position", "rater", "assignment__rater_name", "verdict", "errors", "seconds")
    texts = QueueItem.objects.filter(queue=queue).values_list("pk", "kept__question__text")
    asked = {item: blake2b(str(text).encode(), digest_size=16).hexdigest() for item, text in texts.iterator()}
    found, names = [], _Names()
    for row in rows.values(*columns, "item__known"):
        known = _known(row["item__known"], row["position"])
        names.of(row["rater"], row["assignment__rater_name"])
        found.append(
            Said(
                item=f"{row['item']}:{row['position']}",
                question=asked[row["item"]],
                annotator=row["rater"],
                verdict=Verdict(row["verdict"]),
                errors=frozenset(map(ErrorKind, row["errors"])),
                seconds=row["seconds"] if row["position"] == 0 else None,
                known=known,
                final=final.get((row["item"], row["position"])),
            )
        )
    return found, names.given


class _Names:
    """What raters are called, each by a name of their own."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}

    def of(self, rater: str, name: str) -> str:
        if rater not in self.given:
            taken, wanted = set(self.given.values()), name or rater
            self.given[rater] = wanted if wanted not in taken else f"{wanted} ({len(taken) + 1})"
        return self.given[rater]


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, _FETCHED)):
        yield some


class _Contents:
    """The items of some rows as they were frozen, each read once; what rows further on need is read again then."""

    def __init__(self, rows: Sequence[Judgement | Adjudication]) -> None:
        wide = QueueItem.objects.filter(pk__in={row.item_id for row in rows})
        self._items = {
            pk: (ItemShown.model_validate(shown), ItemKept.model_validate(kept), known, rule)
            for pk, shown, kept, known, rule in wide.values_list("pk", "shown", "kept", "known", "rule")
        }

    def judgement(
        self,
        row: Judgement | Adjudication,
        annotator: str,
        blind: bool,
        seconds: float | None,
        *,
        adjudicated: bool = False,
    ) -> StepJudgement:
        shown, kept, known, rule = self._items[row.item_id]
        asked, origin = kept.question, kept.origin
        return StepJudgement(
            id=str(row.pk),
            question=asked.without_gold() if isinstance(asked, Question) else asked,
            bodies=(*shown.prefix, *shown.steps[: row.position + 1]),
            annotator=annotator[:200],
            verdict=Verdict(row.verdict),
            errors=tuple(map(ErrorKind, row.errors)),
            severity=row.severity or None,
            correction=row.correction,
            comment=row.comment,
            seconds=seconds if row.position == 0 else None,
            said_at=row.created,
            blind=blind,
            adjudicated=adjudicated,
            control=_known(known, row.position),
            correct=kept.steps[row.position].verdict if row.position < len(kept.steps) else None,
            by_chance=rule == Rule.RANDOM if rule else None,
            gold=shown.gold,
            siblings=shown.siblings if row.position == 0 else (),
            origin=Origin(tree=origin.tree_hash, policy_hash=origin.policy_hash, prompt_hash=origin.prompt_hash),
        )


def _known(answers: Any, position: int) -> Verdict | None:
    """The known answer of a control item's step."""
    told = next((each for each in answers or () if each.get("position", 0) == position), None)
    return Verdict(told["verdict"]) if told else None
