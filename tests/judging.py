"""What tests of judgements share: a queue filled from a search, and people who judge in it as told."""

import json
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

from django.http import HttpResponse

from meds3core.judgements.copying import item_copy
from meds3core.judgements.flagging import FlagRules, Rule
from meds3core.judgements.items import ItemOrigin, StepAnswer, StepFacts
from meds3core.sandbox.questions import generate
from meds3core.types.judgements import ErrorKind, Verdict
from tests.trees import finished_search
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.models import Team
from webapp.annotation import queues, work
from webapp.annotation.filling import NewItem, Source, items_add, queue_fill
from webapp.annotation.models import AnnotationQueue, Assignment, QueueItem
from webapp.annotation.queues import QueueSettings

GOOD = StepAnswer(verdict=Verdict.GOOD)
BAD = StepAnswer(verdict=Verdict.BAD, errors=(ErrorKind.WRONG_FACT,), correction="Another thought.")


def filled_queue(
    owner: Actor, team: Team, *, questions: int = 3, name: str = "Doses", wanted: int = 2
) -> AnnotationQueue:
    """Every step of a finished search's small trees: four for each question."""
    search = finished_search(owner, team, questions, name=f"Clinic of {name}")
    settings = QueueSettings(name=name, wanted=wanted, control_share=0.0)
    queue = queues.queue_create(actor=owner, team=team, settings=settings)
    rules = FlagRules(most_per_question=10)
    queue_fill(actor=owner, queue=queue, source=Source("search", search.pk), rules=rules, items=100)
    return queue


def judge_all(
    actor: Actor,
    queue: AnnotationQueue,
    answer: Callable[[QueueItem], StepAnswer],
    *,
    seconds: float = 5.0,
    most: int = 1000,
) -> list[Assignment]:
    """Let somebody judge what they are given, until there is no more."""
    done = []
    while len(done) < most and (given := work.item_pull(actor=actor, queue=queue).assignment):
        said = work.judgement_save(
            actor=actor, item=given.item, client_id=uuid4(), answers=[answer(given.item)], seconds=seconds
        )
        done.append(said.assignment)
    return done


def says(bad: Iterable[str]) -> Callable[[QueueItem], StepAnswer]:
    """Somebody to whom exactly these steps are bad."""
    texts = set(bad)
    return lambda item: BAD if item.shown["steps"][0] in texts else GOOD


SECRETS = ("HIDDEN-POLICY", "HIDDEN-JUDGE", "0.12321", "0.45654", "0.78987", "disagreement", "HIDDEN-REASON")
"""What the texts and figures that `secret_queue` keeps back can be told by."""
HIDDEN_NAMES = {
    *("kept", "known", "is_control", "priority", "rule", "rules", "scores", "value", "drop", "rollouts", "right"),
    *("policy", "origin", "before", "source_kind", "node", "tree", "filling", "control_share", "counts", "matching"),
}
"""Names of fields that no JSON has before a judgement is saved."""


def names_in(content: Any) -> set[str]:
    """Every key of a JSON value, however deep."""
    if isinstance(content, dict):
        return set(content) | {name for value in content.values() for name in names_in(value)}
    return {name for value in content for name in names_in(value)} if isinstance(content, list) else set()


def leaks(answer: HttpResponse) -> set[str]:
    """What an answer says of a `secret_queue` that it must not."""
    text = answer.content.decode()
    named = names_in(json.loads(text)) & HIDDEN_NAMES if "json" in answer.get("Content-Type", "") and text else set()
    return named | {secret for secret in SECRETS if secret in text}


def secret_queue(team: Team, *, items: int = 3, wanted: int = 1, controls: int = 1) -> AnnotationQueue:
    """A queue whose items keep back what no text or figure of theirs shows; the first ones are control items."""
    settings = QueueSettings(name="Secrets", wanted=wanted, control_share=0.5)
    queue = queues.queue_create(actor=SYSTEM, team=team, settings=settings)
    new = []
    for number, question in enumerate(generate("train", items)):
        facts = StepFacts(value=0.12321, drop=0.45654, right=1, rollouts=7, scores={"HIDDEN-JUDGE": 0.78987})
        copy = item_copy(
            question,
            ["It begins."],
            [f"Thought {number}."],
            siblings=["Another thought."],
            facts=[facts],
            before=facts,
            siblings_facts=[facts],
            rules=(Rule.DISAGREEMENT,),
            origin=ItemOrigin(policy="HIDDEN-POLICY"),
        )
        known = [StepAnswer(verdict=Verdict.BAD, comment="HIDDEN-REASON")] if number < controls else None
        new.append(NewItem(copy, Rule.DISAGREEMENT, 0.78987, known))
    items_add(actor=SYSTEM, queue=queue, items=new, source_kind="sent")
    return queue
