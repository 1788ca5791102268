"""Judgements that were made elsewhere, put into a queue: their steps become items, their makers raters by name.

A name says who it is only where it was given: the first annotator of two projects is two people. So a rater is a name
within a source, which whoever brings the file may say, and else is the file's name.

Asked for as a job (`meds3core.config.jobs.JudgementImportSpec`). The same file again changes nothing: what a rater said
of a step is known by its content, and what was said in the queue itself by its id.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from meds3core.config.jobs import JudgementImportSpec
from meds3core.config.references import Registered
from meds3core.judgements.copying import item_copy
from meds3core.judgements.files import InForm
from meds3core.judgements.flagging import Rule
from meds3core.judgements.items import ItemKept, ItemMode, ItemOrigin, StepAnswer, StepFacts
from meds3core.labels.prefix import prefix_hash
from meds3core.types.judgements import StepJudgement
from meds3core.types.question import OpenQuestion, Question
from webapp.accounts.actors import Actor
from webapp.annotation.filling import NewItem, filling_tell, items_add
from webapp.annotation.models import (
    RATER_LENGTH,
    Adjudication,
    AnnotationQueue,
    Assignment,
    Filling,
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
NAME_LENGTH = 150
_AT_ONCE = 500
"""Names in one question to the database."""


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


def import_submit(
    *, actor: Actor, queue: AnnotationQueue, upload: Upload, form: InForm | None = None, source: str = ""
) -> Job:
    """Ask for the import. The same name in files of the same `source` is the same rater; empty: the file's name.

    Raises `QueueError`, `JobError`, `QueueUnreachable`.
    """
    if upload.purpose != Upload.Purpose.JUDGEMENTS:
        raise QueueError("These are no files of judgements.")
    if upload.state != Upload.State.COMPLETE:
        raise QueueError("The file is not here yet. Send the rest of it first.")
    if upload.team_id != queue.team_id:
        raise QueueError("The file belongs to another team.")
    upload_kept(upload_id=upload.pk)
    spec = JudgementImportSpec(
        upload=Registered(kind="upload", id=upload.pk),
        queue=Registered(kind="queue", id=queue.pk),
        form=form,
        source=" ".join(source.split()),
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
    *,
    actor: Actor,
    queue: AnnotationQueue,
    judgements: Sequence[StepJudgement],
    title: str = "",
    source: str = "",
    filling_id: UUID | None = None,
) -> Imported:
    """Put these into the queue, a transaction each, a rater's blind words before later ones.

    Raters are names within `source`. `filling_id`: under which the items of a file are counted that comes in parts; its
    end is told by `judgements_end`. Raises `QueueError` for a queue of whole trajectories.
    """
    if queue.mode != ItemMode.STEP:
        raise QueueError("Judgements come into queues whose items are single steps; this one's are trajectories.")
    own = _said_here(queue, judgements)
    found = Imported(known=len(own))
    brought = sorted((one for one in judgements if one.id not in own), key=lambda one: not one.blind)
    by_step = _items(actor, queue, brought, title, found, filling_id)
    for one in brought:
        item = by_step[prefix_hash(one.question, one.bodies)]
        if one.adjudicated:
            found.decided += _decide(item, one, source)
        elif _save(item, one, source):
            found.saved += 1
        else:
            found.known += 1
    return found


def judgements_end(*, actor: Actor, filling_id: UUID) -> None:
    """All parts of a file are in: tell of the items that it brought, if any."""
    filling = Filling.objects.select_related("team").filter(pk=filling_id, added__gt=0).first()
    if filling is not None:
        filling_tell(actor=actor, filling=filling)


def sources_of(*, queue: AnnotationQueue) -> list[str]:
    """Where judgements of this queue came from, by name."""
    rows = Job.objects.filter(team=queue.team_id, kind="judgement-import", spec__queue__id=str(queue.pk))
    return sorted({source for source in rows.values_list("spec__source", flat=True) if source})


def _said_here(queue: AnnotationQueue, judgements: Sequence[StepJudgement]) -> set[str]:
    """Ids of what was said in this very queue: an export of it that comes back says nothing twice."""
    ids = []
    for one in judgements:
        with suppress(ValueError):
            ids.append(UUID(one.id))
    rows = [*Judgement.objects.filter(queue=queue, pk__in=ids).values_list("pk", flat=True)]
    rows += Adjudication.objects.filter(queue=queue, pk__in=ids).values_list("pk", flat=True)
    return {str(row) for row in rows}


def _items(
    actor: Actor,
    queue: AnnotationQueue,
    judgements: Sequence[StepJudgement],
    title: str,
    found: Imported,
    filling_id: UUID | None,
) -> dict[str, QueueItem]:
    """The items of these steps by the steps' names; those that the queue does not have are put into it."""
    steps: dict[str, StepJudgement] = {}
    for one in judgements:
        name = prefix_hash(one.question, one.bodies)
        if name not in steps or (steps[name].control is None and one.control is not None):
            steps[name] = one
    rows = QueueItem.objects.filter(queue=queue).defer("shown", "kept")
    there: dict[str, QueueItem] = {}
    names = list(steps)
    for start in range(0, len(names), _AT_ONCE):
        there |= {row.step_hash: row for row in rows.filter(step_hash__in=names[start : start + _AT_ONCE])}
    new = [_item(one) for name, one in steps.items() if name not in there]
    if new:
        filling, items = items_add(
            actor=actor, queue=queue, items=new, source_kind="import", title=title, filling_id=filling_id
        )
        there |= {item.step_hash: item for item in items}
        found.items = sum(item.filling_id == filling.pk for item in items)
    return there


def _item(one: StepJudgement) -> NewItem:
    origin = ItemOrigin(
        kind="import",
        tree_hash=one.origin.tree,
        policy_hash=one.origin.policy_hash,
        prompt_hash=one.origin.prompt_hash,
        correct=one.correct,
    )
    facts = StepFacts(verdict=one.correct)
    rule = Rule.RANDOM if one.by_chance else None
    copy = item_copy(
        one.question,
        one.bodies[:-1],
        one.bodies[-1:],
        siblings=one.siblings,
        facts=(facts,),
        rules=(rule,) if rule else (),
        origin=origin,
    )
    shown = copy.shown.model_copy(update={"gold": copy.shown.gold or one.gold})
    known = None if one.control is None else (StepAnswer(verdict=one.control),)
    return NewItem(replace(copy, shown=shown), rule=rule, known=known)


def _rater(one: StepJudgement, source: str) -> str:
    name = f"import:{source}:{one.annotator}" if source else f"import:{one.annotator}"
    if len(name) <= RATER_LENGTH:
        return name
    digest = uuid.uuid5(_NAMES, name)  # what is cut off tells people apart, too
    return f"{name[: RATER_LENGTH - 37]}:{digest}"


def _rater_name(one: StepJudgement, source: str) -> str:
    if not source:
        return one.annotator[:NAME_LENGTH]
    place = f" ({source[:60]})"
    return one.annotator[: NAME_LENGTH - len(place)] + place


def _save(item: QueueItem, one: StepJudgement, source: str) -> bool:
    """Whether it was new. A rater has one blind word on an item, whatever files hold; later words are rounds more."""
    rater = _rater(one, source)
    with transaction.atomic():
        item_hold(item.pk)
        columns = {
            "team_id": item.team_id,
            "queue_id": item.queue_id,
            "rater_name": _rater_name(one, source),
            "state": Assignment.State.JUDGED,
            "judged": one.said_at or Now(),
            "rounds": 1,
            "blind_round": int(one.blind),
            "current_round": 1,
        }
        given, made = Assignment.objects.get_or_create(item=item, rater=rater, defaults=columns)
        name = _name(item, one, source)
        if not made:
            if one.blind or Judgement.objects.filter(rater=rater, client_id=name).exists():
                return False
            given.rounds += 1
            given.current_round = given.rounds
            given.save(update_fields=["rounds", "current_round"])
        Judgement.objects.create(
            team_id=item.team_id,
            assignment=given,
            item=item,
            queue_id=item.queue_id,
            rater=rater,
            client_id=name,
            round=given.rounds,
            blind=one.blind,
            seconds=one.seconds,
            **said_columns(one),
        )
        if made:
            rows = QueueItem.objects.filter(pk=item.pk)
            rows.update(judged=F("judged") + 1, **ONE_PLACE_LESS)
            rows.filter(judged__gte=F("wanted"), completed=None).update(completed=Now())
    return True


def _decide(item: QueueItem, one: StepJudgement, source: str) -> int:
    _, made = Adjudication.objects.get_or_create(
        item=item,
        client_id=_name(item, one, source),
        position=0,
        defaults={
            "team_id": item.team_id,
            "queue_id": item.queue_id,
            "decided_by_name": _rater_name(one, source),
            **said_columns(one),
        },
    )
    return int(made)


def _name(item: QueueItem, one: StepJudgement, source: str) -> uuid.UUID:
    said = [
        str(item.pk),
        *([source] if source else []),
        one.annotator,
        one.adjudicated,
        one.blind,
        *map(str, said_columns(one).values()),
    ]
    return uuid.uuid5(_NAMES, json.dumps(said))
