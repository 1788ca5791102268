"""What people said in queues as records of `meds3core`: for figures of agreement, for files, for label sets."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from meds3core.judgements.agreement import Said
from meds3core.judgements.items import ItemKept, ItemShown
from meds3core.types.judgements import ErrorKind, StepJudgement, Verdict
from meds3core.types.labels import Origin
from meds3core.types.question import Question
from webapp.annotation.models import Adjudication, AnnotationQueue, Judgement
from webapp.annotation.selectors import adjudications_of, judgements_of

_FETCHED = 500


def judgements_said(*, queue: AnnotationQueue, named: bool = True) -> Iterator[StepJudgement]:
    """What is said of a queue's steps, oldest first, then what reviewers decided; withdrawn items are left out.

    Of each person the word that stands now and, where it was changed in sight of the scores, the blind one before it.
    `named`: raters go by the names that they had, told apart where two had the same; else by what the tables call them.
    """
    rows = judgements_of(queue=queue).filter(item__withdrawn=None)
    content, names = _Contents(), _Names()
    for row in rows.iterator(chunk_size=_FETCHED):
        if row.round in (row.assignment.blind_round, row.assignment.current_round):
            name = names.of(row.rater, row.assignment.rater_name) if named else row.rater
            yield content.judgement(row, name, row.blind, row.seconds)
    for decided in decisions_of(queue=queue):
        yield content.judgement(decided, decided.decided_by_name or "reviewer", False, None, adjudicated=True)


def decisions_of(*, queue: AnnotationQueue) -> list[Adjudication]:
    """The newest decision on each step of a queue's items."""
    newest: dict[tuple[UUID, int], Adjudication] = {}
    for row in adjudications_of(queue=queue).filter(item__withdrawn=None):
        newest[row.item_id, row.position] = row
    return list(newest.values())


def first_words(*, queue: AnnotationQueue) -> tuple[list[Said], dict[str, str]]:
    """Everybody's blind word on every step of a queue, for figures of agreement, and the names of the raters in it.

    Reads no text: steps and questions go by ids, people by what the tables call them.
    """
    final = {(row.item_id, row.position): Verdict(row.verdict) for row in decisions_of(queue=queue)}
    rows = judgements_of(queue=queue, which="blind").filter(item__withdrawn=None)
    columns = ("item", "position", "rater", "assignment__rater_name", "verdict", "errors", "seconds")
    about = ("item__known", "item__kept__question__id")
    found, names = [], _Names()
    for row in rows.values(*columns, *about):
        known = _known(row["item__known"], row["position"])
        names.of(row["rater"], row["assignment__rater_name"])
        found.append(
            Said(
                item=f"{row['item']}:{row['position']}",
                question=str(row["item__kept__question__id"]),
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


class _Contents:
    """Items as they were frozen, each read once."""

    def __init__(self) -> None:
        self._items: dict[UUID, tuple[ItemShown, ItemKept]] = {}

    def judgement(
        self,
        row: Judgement | Adjudication,
        annotator: str,
        blind: bool,
        seconds: float | None,
        *,
        adjudicated: bool = False,
    ) -> StepJudgement:
        if row.item_id not in self._items:
            item = row.item
            self._items[row.item_id] = ItemShown.model_validate(item.shown), ItemKept.model_validate(item.kept)
        shown, kept = self._items[row.item_id]
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
            control=_known(row.item.known, row.position),
            correct=kept.steps[row.position].verdict if row.position < len(kept.steps) else None,
            gold=shown.gold,
            siblings=shown.siblings if row.position == 0 else (),
            origin=Origin(tree=origin.tree_hash, policy_hash=origin.policy_hash, prompt_hash=origin.prompt_hash),
        )


def _known(answers: Any, position: int) -> Verdict | None:
    """The known answer of a control item's step."""
    told = next((each for each in answers or () if each.get("position", 0) == position), None)
    return Verdict(told["verdict"]) if told else None
