"""How rows of items, judgements and decisions are written, whether people said it here or a file brings it."""

from typing import Any
from uuid import UUID

from django.db.models import Case, F, Value, When

from meds3core.judgements.items import TEXT_LENGTH, StepAnswer
from meds3core.types.judgements import StepJudgement
from webapp.annotation.models import QueueItem

ONE_PLACE_LESS: dict[str, Any] = {
    "taken": F("taken") + 1,
    "is_free": Case(When(taken__lt=F("wanted") - 1, then=Value(True)), default=Value(False)),
}
"""What an UPDATE sets when a place of an item is taken: `is_free` is always written together with `taken`."""


def item_hold(item_id: UUID) -> None:
    """Hold an item's row until the transaction ends: those who change it or what is said of it wait for each other."""
    QueueItem.objects.filter(pk=item_id).update(judged=F("judged"))


def said_columns(said: StepAnswer | StepJudgement) -> dict[str, Any]:
    """What is said of a step, as columns of a judgement or of a decision. NUL, which PostgreSQL keeps none of, goes."""
    return {
        "verdict": said.verdict.value,
        "errors": [each.value for each in said.errors],
        "severity": said.severity.value if said.severity else "",
        "correction": said.correction.replace("\0", "")[:TEXT_LENGTH],
        "comment": said.comment.replace("\0", "")[:TEXT_LENGTH],
    }
