"""What tests of judgements share: a queue filled from a search, and people who judge in it as told."""

from collections.abc import Callable, Iterable
from uuid import uuid4

from meds3core.judgements.flagging import FlagRules
from meds3core.judgements.items import StepAnswer
from meds3core.types.judgements import ErrorKind, Verdict
from tests.trees import finished_search
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.annotation import queues, work
from webapp.annotation.filling import Source, queue_fill
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
