"""Steps of answers on their way to people who judge steps: frozen copies that stay when the conversation goes."""

from collections.abc import Sequence

from meds3core.judgements.copying import item_copy
from meds3core.judgements.flagging import Rule
from meds3core.judgements.items import ItemOrigin, StepFacts
from meds3core.text.steps import split
from webapp.accounts.actors import Actor
from webapp.annotation.filling import NewItem, items_add
from webapp.annotation.models import AnnotationQueue, Filling
from webapp.chat.models import Message
from webapp.chat.questions import question_of
from webapp.chat.selectors import path_of
from webapp.chat.services import ChatError

MOST_SIBLINGS = 8
TITLE = "a conversation"


def step_send(*, actor: Actor, message: Message, step: int, queue: AnnotationQueue) -> Filling:
    """Put a step of an answer into a queue, with what was asked and the steps before it.

    Who reads the queue reads these. Raises `ChatError` for a step that there is not, `QueueError` for a queue that does
    not take single steps.
    """
    bodies = bodies_of(message)
    if not 1 <= step < len(bodies):
        raise ChatError("There is no such step in this answer.")
    history = [(row.role, row.text) for row in path_of(message=message)[:-1]]
    others: dict[str, StepFacts] = {}
    for row in Message.objects.filter(parent=message.parent_id).exclude(pk=message.pk).select_related("scorer"):
        found = bodies_of(row)
        if found[:step] == bodies[:step] and step < len(found) and found[step] != bodies[step]:
            others.setdefault(found[step], _facts(row, step))
    siblings = list(others)[:MOST_SIBLINGS]
    copy = item_copy(
        question_of(history),
        bodies[:step],
        bodies[step : step + 1],
        siblings=siblings,
        facts=[_facts(message, step)],
        before=_facts(message, step - 1) if step > 1 else None,
        siblings_facts=[others[body] for body in siblings],
        rules=(Rule.FLAGGED,),
        origin=ItemOrigin(
            kind="chat",
            policy=message.model_name[:200],
            policy_hash=message.policy.content_hash if message.policy else "",
        ),
    )
    new = NewItem(copy, Rule.FLAGGED, source=message.pk, source_place=f"step {step}")
    return items_add(actor=actor, queue=queue, items=[new], source_kind="chat", title=TITLE)[0]


def bodies_of(message: Message) -> Sequence[str]:
    """What the steps of an answer say, step 0 first; none where it has no steps."""
    steps = split(message.text) if message.steps else []
    return [step.body.strip() for step in steps if step.number is not None]


def _facts(message: Message, step: int) -> StepFacts:
    score = message.steps[step][2] if step < len(message.steps) else None
    return StepFacts(scores={str(message.scorer): score} if message.scorer and score is not None else {})
