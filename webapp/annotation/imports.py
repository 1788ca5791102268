"""Judgements that were made elsewhere, put into a queue: their steps become items, their makers raters by name.

Asked for as a job (`meds3core.config.jobs.JudgementImportSpec`). The same file again changes nothing: what a rater said
of a step is known by its content.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from meds3core.config.jobs import JudgementImportSpec
from meds3core.config.references import Registered
from meds3core.judgements.copying import item_copy
from meds3core.judgements.files import InForm
from meds3core.judgements.items import ItemKept, ItemMode, ItemOrigin, StepFacts
from meds3core.labels.prefix import prefix_hash
from meds3core.types.judgements import StepJudgement
from meds3core.types.question import OpenQuestion, Question
from webapp.accounts.actors import Actor
from webapp.annotation.filling import NewItem, items_add
from webapp.annotation.models import (
    RATER_LENGTH,
    Adjudication,
    AnnotationQueue,
    Assignment,
    Judgement,
    QueueItem,
)
from webapp.annotation.queues import QueueError
from webapp.annotation.rows import ONE_PLACE_LESS, item_hold, said_columns
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.uploads.models import Upload
from webapp.uploads.services import upload_kept

_NAMES = uuid.UUID("6f1d6a52-0d0e-4b0b-9c35-6f7f6d0f3b11")
"""Under which the ids of judgements from elsewhere are made from their content."""


@dataclass
class Imported:
    """What became of a file's judgements."""

    saved: int = 0
    known: int = 0
    """Said already: by the same rater of the same step."""
    decided: int = 0
    """Decisions of reviewers."""
    items: int = 0
    """Items that the queue did not have."""


def import_submit(*, actor: Actor, queue: AnnotationQueue, upload: Upload, form: InForm | None = None) -> Job:
    """Ask for the import. Raises `QueueError`, `JobError`, `QueueUnreachable`."""
    if upload.purpose != Upload.Purpose.JUDGEMENTS:
        raise QueueError("These are no files of judgements.")
    if upload.state != Upload.State.COMPLETE:
        raise QueueError("The file is not here yet. Send the rest of it first.")
    if upload.team_id != queue.team_id:
        raise QueueError("The file belongs to another team.")
    upload_kept(upload_id=upload.pk)
    spec = JudgementImportSpec(
        upload=Registered(kind="upload", id=upload.pk), queue=Registered(kind="queue", id=queue.pk), form=form
    )
    return job_submit(actor=actor, team=queue.team, spec=spec, title=f"Judgements into {queue}"[:200])


def known_questions(*, queue: AnnotationQueue) -> Mapping[str, OpenQuestion]:
    """The questions of a queue's items by their text: a file that has texts alone is about these."""
    found: dict[str, OpenQuestion] = {}
    for kept in QueueItem.objects.filter(queue=queue).values_list("kept", flat=True).iterator(chunk_size=500):
        question = ItemKept.model_validate(kept).question
        found.setdefault(question.text, question.without_gold() if isinstance(question, Question) else question)
    return found


def judgements_bring(
    *, actor: Actor, queue: AnnotationQueue, judgements: Sequence[StepJudgement], title: str = ""
) -> Imported:
    """Put these into the queue, a transaction each. Raises `QueueError` for a queue of whole trajectories."""
    if queue.mode != ItemMode.STEP:
        raise QueueError("Judgements come into queues whose items are single steps; this one's are trajectories.")
    before = QueueItem.objects.filter(queue=queue).count()
    steps: dict[str, StepJudgement] = {}
    for one in judgements:
        steps.setdefault(prefix_hash(one.question, one.bodies), one)
    _, items = items_add(
        actor=actor, queue=queue, items=[_item(one) for one in steps.values()], source_kind="import", title=title
    )
    by_step = {item.step_hash: item for item in items}
    found = Imported(items=QueueItem.objects.filter(queue=queue).count() - before)
    for one in judgements:
        item = by_step[prefix_hash(one.question, one.bodies)]
        if one.adjudicated:
            found.decided += _decide(item, one)
        elif _save(item, one):
            found.saved += 1
        else:
            found.known += 1
    return found


def _item(one: StepJudgement) -> NewItem:
    origin = ItemOrigin(
        kind="import",
        tree_hash=one.origin.tree,
        policy_hash=one.origin.policy_hash,
        prompt_hash=one.origin.prompt_hash,
        correct=one.correct,
    )
    facts = StepFacts(verdict=one.correct)
    copy = item_copy(
        one.question, one.bodies[:-1], one.bodies[-1:], siblings=one.siblings, facts=(facts,), origin=origin
    )
    shown = copy.shown.model_copy(update={"gold": copy.shown.gold or one.gold})
    return NewItem(replace(copy, shown=shown))


def _save(item: QueueItem, one: StepJudgement) -> bool:
    """Whether it was new. A rater has one judgement of an item, whatever files hold."""
    rater = f"import:{one.annotator}"[:RATER_LENGTH]
    with transaction.atomic():
        item_hold(item.pk)
        columns = {
            "team_id": item.team_id,
            "queue_id": item.queue_id,
            "rater_name": one.annotator[:150],
            "state": Assignment.State.JUDGED,
            "judged": one.said_at or Now(),
            "rounds": 1,
            "blind_round": int(one.blind),
            "current_round": 1,
        }
        given, made = Assignment.objects.get_or_create(item=item, rater=rater, defaults=columns)
        if not made:
            return False
        Judgement.objects.create(
            team_id=item.team_id,
            assignment=given,
            item=item,
            queue_id=item.queue_id,
            rater=rater,
            client_id=_name(item, one),
            round=1,
            blind=one.blind,
            seconds=one.seconds,
            **said_columns(one),
        )
        rows = QueueItem.objects.filter(pk=item.pk)
        rows.update(judged=F("judged") + 1, **ONE_PLACE_LESS)
        rows.filter(judged__gte=F("wanted"), completed=None).update(completed=Now())
    return True


def _decide(item: QueueItem, one: StepJudgement) -> int:
    _, made = Adjudication.objects.get_or_create(
        item=item,
        client_id=_name(item, one),
        position=0,
        defaults={
            "team_id": item.team_id,
            "queue_id": item.queue_id,
            "decided_by_name": one.annotator[:150],
            **said_columns(one),
        },
    )
    return int(made)


def _name(item: QueueItem, one: StepJudgement) -> uuid.UUID:
    said = [str(item.pk), one.annotator, one.adjudicated, *map(str, said_columns(one).values())]
    return uuid.uuid5(_NAMES, json.dumps(said))
