"""Queues of steps for the browser tests of judging. Run by `Studio.call`."""

from typing import Any

ORDER = (
    "A 62-year-old man with atrial fibrillation and a creatinine clearance of 28 ml/min is to be anticoagulated. He "
    "weighs 58 kg, takes no interacting drugs and has had no bleeding. Which regimen of apixaban is right?"
)
OPTIONS = (("A", "5 mg twice daily"), ("B", "2.5 mg twice daily"), ("C", "10 mg once daily"), ("D", "No apixaban"))
STEPS = (
    "The question asks for the dose of apixaban in atrial fibrillation with impaired renal function.",
    "The dose is reduced to 2.5 mg twice daily when two of three hold: age of 80 or more, weight of 60 kg or less, "
    "serum creatinine of 133 µmol/l or more.",
    "Independently of these, a creatinine clearance of 15 to 29 ml/min calls for 2.5 mg twice daily.",
    "His clearance is 28 ml/min, which lies between 15 and 29, so the reduced dose applies.",
)
WRONG = "His age of 62 is above 60 and his weight is below 60 kg, so two of the three criteria hold."


def queue_of_steps(
    *,
    team: str,
    name: str = "Doses on the ward",
    items: int = 8,
    mode: str = "step",
    wanted: int = 1,
    controls: int = 0,
) -> dict[str, Any]:
    """A queue of this team with items of every sort; gives the team's slug, the queue's id and its items' ids."""
    from meds3core.judgements.copying import item_copy
    from meds3core.judgements.flagging import Rule
    from meds3core.judgements.items import ItemMode, ItemOrigin, StepAnswer, StepFacts
    from meds3core.types.judgements import Verdict
    from meds3core.types.question import ChoiceFormat, Gold, Option, Question
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team
    from webapp.annotation.filling import NewItem, items_add
    from webapp.annotation.queues import QueueSettings, queue_create

    found = Team.objects.get(name=team)
    settings = QueueSettings(name=name, mode=ItemMode(mode), wanted=wanted, control_share=0.5 if controls else 0.0)
    queue = queue_create(actor=SYSTEM, team=found, settings=settings)
    options = tuple(Option(letter=letter, text=text) for letter, text in OPTIONS)
    made = []
    for number in range(items):
        text = ORDER.replace("62-year-old", f"{62 + number}-year-old")
        question = Question(
            id=f"q{number}", text=text, answer_format=ChoiceFormat(options=options), gold=Gold(value="B")
        )
        depth = 1 + number % 3
        steps = STEPS[depth:] if mode == "trajectory" else (WRONG if number % 2 else STEPS[depth],)
        siblings = (STEPS[depth], "Apixaban is contraindicated below 30 ml/min.") if mode == "step" else ()
        copy = item_copy(
            question,
            STEPS[:depth],
            steps,
            mode=ItemMode(mode),
            siblings=siblings,
            facts=[StepFacts(value=0.35, drop=0.41, right=7, rollouts=20, scores={"Ward judge v1": 0.28})] * len(steps),
            before=StepFacts(value=0.76),
            siblings_facts=[StepFacts(value=0.8)] * len(siblings),
            rules=(Rule.DROP, Rule.DISAGREEMENT),
            origin=ItemOrigin(kind="sent", policy="Ward policy v2"),
        )
        known = [StepAnswer(verdict=Verdict.BAD, comment="Age counts from 80.")] if number < controls else None
        made.append(NewItem(copy=copy, rule=Rule.DROP, priority=1 - number / 100, known=known))
    _, rows = items_add(actor=SYSTEM, queue=queue, items=made, source_kind="sent", title="Steps of the ward")
    return {"slug": found.slug, "queue": str(queue.pk), "items": [str(row.pk) for row in rows]}


def people_judge(*, queue: str, usernames: list[str], bad_from: int = 3) -> int:
    """Let these people judge all that they are given; each calls every so-manieth step bad, from `bad_from` up.

    Gives how many judgements there are.
    """
    from uuid import uuid4

    from meds3core.judgements.items import StepAnswer
    from meds3core.types.judgements import ErrorKind, Severity, Verdict
    from webapp.accounts.actors import Actor
    from webapp.accounts.models import User
    from webapp.annotation.models import AnnotationQueue
    from webapp.annotation.work import item_pull, judgement_save

    found, count = AnnotationQueue.objects.get(pk=queue), 0
    for place, username in enumerate(usernames):
        actor = Actor(User.objects.get(username=username))
        while given := item_pull(actor=actor, queue=found).assignment:
            count += 1
            is_bad = sum(map(ord, given.item.shown["question"])) % (bad_from + place) == 0
            said = StepAnswer(verdict=Verdict.GOOD)
            if is_bad:
                kinds, text = (ErrorKind.WRONG_FACT,), "Age counts from 80 years."
                said = StepAnswer(verdict=Verdict.BAD, errors=kinds, severity=Severity.SEVERE, correction=text)
            judgement_save(actor=actor, item=given.item, client_id=uuid4(), answers=[said], seconds=12 + 3 * place)
    return count


def judged(*, queue: str) -> list[dict[str, Any]]:
    """What everybody says now in a queue."""
    from webapp.annotation.models import AnnotationQueue
    from webapp.annotation.selectors import judgements_of

    rows = judgements_of(queue=AnnotationQueue.objects.get(pk=queue), which="current")
    names = ("verdict", "blind", "position", "seconds", "correction", "comment")
    return [{"item": str(row.item_id)} | {name: getattr(row, name) for name in names} for row in rows]


def shown_elsewhere(*, item: str, username: str) -> None:
    """Show this person on another device what their judged item keeps back."""
    from webapp.accounts.actors import Actor
    from webapp.accounts.models import User
    from webapp.annotation.models import QueueItem
    from webapp.annotation.work import item_reveal

    item_reveal(actor=Actor(User.objects.get(username=username)), item=QueueItem.objects.get(pk=item))


def instruct(*, queue: str, text: str) -> None:
    """Write a new version of a queue's instructions."""
    from webapp.accounts.actors import SYSTEM
    from webapp.annotation.models import AnnotationQueue
    from webapp.annotation.queues import instructions_write

    instructions_write(actor=SYSTEM, queue=AnnotationQueue.objects.get(pk=queue), text=text)


def rounds_of(*, item: str) -> list[list[Any]]:
    """Everything that was ever said of an item: verdict, whether blind, whether it stands, instructions shown."""
    from webapp.annotation.models import Judgement

    rows = Judgement.objects.filter(item=item).select_related("assignment").order_by("round")
    return [[row.verdict, row.blind, row.round == row.assignment.current_round, row.instructions] for row in rows]
