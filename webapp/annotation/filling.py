"""Puts steps into queues: chosen by rules from searches and evaluations, flagged by people, or sent by a program.

An item is a frozen copy; a step that a queue has already is left as it is. Choosing reads columns of numbers, copying
opens only the trees of the chosen steps, in short transactions. What is large is filled by a job (`filling_submit`):
docs/decisions/0013-filling-a-queue.md.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F

from meds3core.config.jobs import QueueFillingSpec
from meds3core.config.references import Registered
from meds3core.judgements.choosing import Choice, choose
from meds3core.judgements.copying import ItemCopy
from meds3core.judgements.flagging import FlagRules, Rule
from meds3core.judgements.items import ItemMode, StepAnswer
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team
from webapp.annotation import copies
from webapp.annotation.candidates import Candidates, Known, evaluation_candidates, search_candidates
from webapp.annotation.models import AnnotationQueue, Filling, QueueItem, StepFlag
from webapp.annotation.places import EVERYBODY
from webapp.annotation.queues import QueueError
from webapp.annotation.selectors import flags_new, flags_of
from webapp.common.models import new_id
from webapp.evaluations.models import Evaluation
from webapp.evaluations.selectors import evaluation_for
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.trees.models import Tree
from webapp.trees.selectors import search_of
from webapp.webhooks.firing import webhooks_fire
from webapp.webhooks.models import Event

MOST_ITEMS = 5_000
"""Of one filling."""
WAITED_FOR = {"search": 1_000, "evaluation": 200}
"""Trees, or questions of an evaluation, that a page waits for: more are filled by a job, and a preview looks at so many
of them, drawn by chance."""
MOST_WAITED_FOR = 500
"""Items, likewise: each one's tree is opened."""
_BATCH = 50
"""Items of one transaction."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a queue is filled from: `kind` is `search` (also a loop) or `evaluation`, `id` that of job or evaluation.

    `stage` is a loop's; `model` the reward model whose scores of a search's trees are used, None: the last that scored.
    """

    kind: str
    id: UUID
    stage: str | None = None
    model: UUID | None = None


@dataclass(frozen=True, slots=True)
class FillingPreview:
    """What a filling would add."""

    steps: int
    """Steps (or trajectories) there are to choose from, those that the queue has left out."""
    matching: Mapping[Rule, int]
    """How many each rule finds."""
    chosen: Mapping[Rule, int]
    """How many each rule would add."""
    total: int
    model: str
    """Reward model whose scores are used; empty: none, and its rules find nothing."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be put into a queue, frozen by `meds3core.judgements.copying`. `known`: of a control item."""

    copy: ItemCopy
    rule: Rule | None = None
    priority: float = 0.0
    known: Sequence[StepAnswer] | None = None
    source: UUID | None = None
    source_place: str = ""
    source_job: UUID | None = None


def filling_preview(
    *,
    team: Team,
    source: Source,
    rules: FlagRules,
    items: int,
    mode: ItemMode = ItemMode.STEP,
    seed: int = 0,
    queue: AnnotationQueue | None = None,
) -> FillingPreview:
    """How many items each rule would add, `items` at most in all; `queue`, if there is one, says what is known.

    Raises `QueueError`, and `Http404` for a source that the team does not have.
    """
    _check(items)
    found, _, _ = _candidates(team, source, rules, mode, seed, _known(queue), most=WAITED_FOR.get(source.kind))
    choice = choose(found.pool, rules, items=items, seed=seed)
    return FillingPreview(
        len(found.pool), choice.found, choice.counts(), len(choice.places), found.model, notes=found.notes
    )


def queue_fill(
    *,
    actor: Actor,
    queue: AnnotationQueue,
    source: Source,
    rules: FlagRules,
    items: int,
    seed: int = 0,
    filling_id: UUID | None = None,
    told: Callable[[int], None] | None = None,
) -> Filling:
    """Put up to `items` steps into a queue; asked again, what it does not have yet.

    With a `filling_id` it is that filling, and goes on with it if it was begun before. `told` hears now and then how
    many items are stored; what it raises ends the filling, which keeps what it has. Raises `QueueError`, and `Http404`
    for a source that the team does not have.
    """
    _check(items)
    begun = QueueItem.objects.filter(filling=filling_id).count() if filling_id else 0
    if filling_id and begun >= items:
        return _settle(actor, Filling.objects.get(pk=filling_id), begun)
    mode = ItemMode(queue.mode)
    found, title, job_id = _candidates(queue.team, source, rules, mode, seed, _known(queue))
    choice = choose(found.pool, rules, items=items - begun, seed=seed)
    columns = {"team_id": queue.team_id, "queue": queue, "source_kind": source.kind, "source": source.id}
    columns |= {"source_title": title[:200], "rules": rules.model_dump(mode="json"), "model": found.model_id}
    columns |= {"asked": items, "seed": seed, "created_by": actor.user}
    filling, _ = Filling.objects.get_or_create(pk=filling_id or new_id(), defaults=columns)
    picks = _picks(found, choice)
    made = (
        copies.of_trees(picks, mode=mode, job_id=source.id)
        if source.kind == "search"
        else copies.of_answers(picks, mode=mode, evaluation_id=source.id, job_id=job_id)
    )
    new = (NewItem(copy, pick.rules[0], pick.priority, None, pick.source, pick.place, job_id) for pick, copy in made)
    _store(queue, filling, new, kind="tree" if source.kind == "search" else "sample", told=told)
    AnnotationQueue.objects.filter(pk=queue.pk).update(rules=rules.model_dump(mode="json"))
    return _settle(actor, filling, begun + len(picks))


def is_waited_for(*, source: Source, items: int) -> bool:
    """Whether filling from here takes seconds, so that a page waits for it; else it is a job's work."""
    if source.kind == "search":
        trees = Tree.objects.filter(job=source.id)
        size = (trees if source.stage is None else trees.filter(stage=source.stage)).count()
    else:
        size = Evaluation.objects.filter(pk=source.id).values_list("questions", flat=True).first() or 0
    return size <= WAITED_FOR.get(source.kind, 0) and items <= MOST_WAITED_FOR


def filling_submit(
    *, actor: Actor, queue: AnnotationQueue, source: Source, rules: FlagRules, items: int, seed: int = 0
) -> Job:
    """Have a queue filled by a job. Raises `QueueError`, `JobError`, `QueueUnreachable`."""
    _check(items)
    spec = QueueFillingSpec(
        queue=Registered(kind="queue", id=queue.pk),
        source=Registered(kind="trees" if source.kind == "search" else "evaluation", id=source.id),
        stage=source.stage,
        model=Registered(kind="model", id=source.model) if source.model else None,
        rules=rules,
        items=items,
        seed=seed,
    )
    return job_submit(actor=actor, team=queue.team, spec=spec, title=f"Steps for {queue}"[:200])


def flags_preview(*, team: Team, queue: AnnotationQueue | None = None) -> FillingPreview:
    """What `flags_fill` would add."""
    standing = StepFlag.objects.filter(team=team, withdrawn=None, idx__gt=0).count()
    count = len(flags_new(queue=queue)) if queue else standing
    total = min(count, MOST_ITEMS)
    notes = (f"Of {count:,} flagged steps the oldest {total:,} are taken; the others the next time.",)
    found, chosen = {Rule.FLAGGED: count}, {Rule.FLAGGED: total}
    return FillingPreview(count, found, chosen, total, model="", notes=notes if total < count else ())


def flags_fill(*, actor: Actor, queue: AnnotationQueue) -> Filling:
    """Put flagged steps into a queue that it does not have, oldest first, up to `MOST_ITEMS`. Raises `QueueError`."""
    chosen = flags_new(queue=queue)[:MOST_ITEMS]
    flags: list[StepFlag] = []
    for start in range(0, len(chosen), _BATCH * 10):
        flags += flags_of(team=queue.team).filter(pk__in=chosen[start : start + _BATCH * 10])
    if not flags and flags_of(team=queue.team).exists():
        raise QueueError("The queue has every step that is flagged.")
    return flags_send(actor=actor, queue=queue, flags=flags)


def flags_send(*, actor: Actor, queue: AnnotationQueue, flags: Sequence[StepFlag]) -> Filling:
    """Put flagged steps into a queue, all of them. Raises `QueueError`."""
    if queue.mode != ItemMode.STEP:
        raise QueueError("Flagged steps go into a queue of steps; this one is of trajectories.")
    if not flags:
        raise QueueError("No step is flagged.")
    _check(len(flags))
    filling = _filling(actor, queue, "flags", "Flagged steps", len(flags))
    for kind, made in (("tree", copies.of_tree_flags(flags)), ("sample", copies.of_answer_flags(flags))):
        new = (
            NewItem(copy, Rule.FLAGGED, pick.priority, None, pick.source, pick.place, pick.job) for pick, copy in made
        )
        _store(queue, filling, new, kind=kind)
    return _settle(actor, filling, len(flags))


def items_add(
    *,
    actor: Actor,
    queue: AnnotationQueue,
    items: Iterable[NewItem],
    source_kind: str,
    title: str = "",
    filling_id: UUID | None = None,
) -> tuple[Filling, list[QueueItem]]:
    """Put items into a queue that were made elsewhere: by a program (`sent`), or from a file of judgements (`import`).

    Gives the filling and the items in the order in which they were given, those that the queue had already included.
    What comes in parts names its `filling_id` with each: they are one filling, told of at the end (`filling_tell`).
    Raises `QueueError` for one of another mode than the queue's, or too many.
    """
    given = list(items)
    _check(len(given))
    if any(each.copy.shown.mode != queue.mode for each in given):
        raise QueueError("Steps and trajectories do not mix. Make another queue.")
    filling = _filling(actor, queue, source_kind, title, len(given), filling_id)
    rows = _store(queue, filling, given, kind=source_kind)
    if filling_id is None:
        return _settle(actor, filling, len(given)), rows
    return _count(filling, filling.asked), rows


def _filling(
    actor: Actor, queue: AnnotationQueue, kind: str, title: str, asked: int, pk: UUID | None = None
) -> Filling:
    """A new one of so many items, or so many more of this one."""
    columns = {"team_id": queue.team_id, "queue": queue, "source_kind": kind, "source_title": title[:200]}
    columns |= {"asked": asked, "created_by": actor.user}
    filling, made = Filling.objects.get_or_create(pk=pk or new_id(), defaults=columns)
    if not made:
        Filling.objects.filter(pk=filling.pk).update(asked=F("asked") + asked)
        filling.refresh_from_db()
    return filling


def _check(items: int) -> None:
    if not 1 <= items <= MOST_ITEMS:
        raise QueueError(f"Between 1 and {MOST_ITEMS:,} items are put into a queue at a time.")


def _known(queue: AnnotationQueue | None) -> Known:
    if queue is None:
        return set()
    rows = QueueItem.objects.filter(queue=queue).exclude(source=None)
    return set(rows.values_list("source", "source_place"))


def _candidates(
    team: Team,
    source: Source,
    rules: FlagRules,
    mode: ItemMode,
    seed: int,
    known: Known,
    *,
    most: int | None = None,
) -> tuple[Candidates, str, UUID | None]:
    """The candidates, the source's title, and the job that made it."""
    wanted: dict[str, Any] = {"rules": rules, "mode": mode, "seed": seed, "known": known}
    wanted |= {} if most is None else {"most": most}
    if source.kind == "search":
        job = search_of(team=team, job_id=source.id)
        found = search_candidates(team=team, job_id=job.pk, stage=source.stage, model_id=source.model, **wanted)
        title, maker = str(job), job.pk
    elif source.kind == "evaluation":
        evaluation = evaluation_for(team=team, evaluation_id=source.id)
        found = evaluation_candidates(evaluation=evaluation, **wanted)
        title, maker = str(evaluation), evaluation.job_id
    else:
        raise QueueError("A queue is filled from a search or from an evaluation.")
    if not len(found.pool):
        raise QueueError(f"{title} has no steps that this queue does not have already.")
    return found, title, maker


def _picks(found: Candidates, choice: Choice) -> list[copies.Pick]:
    picks = []
    for place, rule, priority in zip(choice.places.tolist(), choice.rules, choice.priorities.tolist(), strict=True):
        others = [each for each in Rule if each not in (rule, Rule.RANDOM) and found.pool.found[each][place]]
        key = found.keys[place].tolist()
        source = found.sources[key[0]] if key[2] < 0 else found.sources[0]
        picks.append(copies.Pick(source, (key[0], key[1], key[2]), priority, (rule, *others)))
    return picks


def _store(
    queue: AnnotationQueue,
    filling: Filling,
    items: Iterable[NewItem],
    *,
    kind: str,
    told: Callable[[int], None] | None = None,
) -> list[QueueItem]:
    """In short transactions; what the queue has already stays as it is. Gives the rows in the order of `items`."""
    found: list[QueueItem] = []
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        rows = [_row(queue, filling, each, kind) for each in batch]
        QueueItem.objects.bulk_create(rows, ignore_conflicts=True)
        hashes = [row.step_hash for row in rows]
        before = [row.prefix_hash for row in rows]
        stored = QueueItem.objects.filter(queue=queue, prefix_hash__in=before, step_hash__in=hashes)
        present = {(row.prefix_hash, row.step_hash): row for row in stored.defer("shown", "kept")}
        found += [present[row.prefix_hash, row.step_hash] for row in rows]
        if told is not None:
            told(len(found))
    return found


def _row(queue: AnnotationQueue, filling: Filling, new: NewItem, kind: str) -> QueueItem:
    copy, is_control = new.copy, new.known is not None
    return QueueItem(
        team_id=queue.team_id,
        queue=queue,
        filling=filling,
        prefix_hash=copy.prefix_hash,
        step_hash=copy.step_hash,
        shown=copy.shown.model_dump(mode="json"),
        steps=len(copy.shown.steps),
        kept=copy.kept.model_dump(mode="json"),
        rule=new.rule.value if new.rule else "",
        priority=new.priority,
        is_control=is_control,
        known=[answer.model_dump(mode="json") for answer in new.known] if new.known is not None else None,
        source_kind=kind,
        source=new.source,
        source_place=new.source_place,
        source_job=new.source_job,
        wanted=EVERYBODY if is_control else queue.wanted,
    )


def _settle(actor: Actor, filling: Filling, chosen: int) -> Filling:
    """Write down what became of a filling of so many chosen items, and tell of it."""
    with transaction.atomic():
        filling = _count(filling, chosen)
        filling_tell(actor=actor, filling=filling)
    return filling


def _count(filling: Filling, chosen: int) -> Filling:
    rows = QueueItem.objects.filter(filling=filling).order_by().values_list("rule").annotate(n=Count("pk"))
    counts = Counter(dict(rows))
    added = counts.total()
    Filling.objects.filter(pk=filling.pk).update(counts=dict(counts), added=added, known=chosen - added)
    filling.refresh_from_db()
    return filling


@transaction.atomic
def filling_tell(*, actor: Actor, filling: Filling) -> None:
    """Tell the audit log and the webhooks, once for a whole filling."""
    audit_write(actor=actor, verb="queue.filled", team=filling.team, subject=str(filling.queue_id), items=filling.added)
    webhooks_fire(team_id=filling.team_id, event=Event.QUEUE_FILLED, thing=filling.queue_id)
