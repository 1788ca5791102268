"""Label sets: registered by the jobs that build them, read for pages, deleted. Files lie in `files/labels/<id>/`."""

import json
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.urls import NoReverseMatch, reverse

from meds3core.data.labels import RECORDS, LabelCard, read_card
from meds3core.types.labels import LabelKind
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team
from webapp.annotation.models import AnnotationQueue
from webapp.common.files import Store, folder_of, folder_sync, name_sync
from webapp.common.spec_forms import option
from webapp.jobs.models import Job, JobInput
from webapp.jobs.reports import attempt_hold
from webapp.jobs.transitions import ENDED
from webapp.registry.models import LabelSet
from webapp.registry.storing import RegistryError
from webapp.webhooks.firing import webhooks_fire
from webapp.webhooks.models import Event

SAMPLE = "sample.jsonl"
SAMPLED = 20
"""Examples that a page shows, spread evenly over the set."""


# --- writes --------------------------------------------------------------------------------------------------------


def label_set_register(*, job_id: UUID, attempt: int, folder: Path, name: str, stage: str = "") -> LabelSet:
    """List a label set that a job built into `folder` (`meds3core.data.labels.write_labels`); its files are copied.

    `stage` tells the sets of an evolution apart. Asked again by the same job under the same name, it gives what is
    there, or finishes what an attempt left half-way. Raises `StaleAttempt`, and `LabelFileError` when the folder holds
    no label set.
    """
    card = read_card(folder)
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        row, _ = LabelSet.objects.get_or_create(
            job_id=job_id,
            name=name,
            stage=stage,
            defaults={"team_id": Job.objects.values_list("team_id", flat=True).get(pk=job_id), "kind": card.kind},
        )
    if row.ready:
        return row
    _take_over(folder, folder_of(Store.LABELS, row.pk))
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        LabelSet.objects.filter(pk=row.pk).update(ready=True, **_columns(card))
        webhooks_fire(team_id=row.team_id, event=Event.LABELS_READY, thing=row.pk)
    row.refresh_from_db()
    return row


def label_set_delete(*, actor: Actor, label_set: LabelSet) -> None:
    """Remove a label set and its files. Raises `RegistryError` when a job that is not over reads it."""
    reading = [str(job) for job in users_of(label_set=label_set) if job.state not in ENDED]
    if reading:
        raise RegistryError(f"{label_set} cannot be deleted while {reading[0]} reads it. Cancel the job, or wait.")
    folder = folder_of(Store.LABELS, label_set.pk)
    with transaction.atomic():
        LabelSet.objects.filter(pk=label_set.pk).delete()
        audit_write(
            actor=actor, verb="labels.deleted", team=label_set.team, subject=str(label_set.pk), name=label_set.name
        )
        transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))


def _columns(card: LabelCard) -> dict[str, Any]:
    return {
        "kind": card.kind,
        "settings": card.config.model_dump(mode="json"),
        "counts": card.counts.model_dump(mode="json"),
        "records": card.counts.kept,
        "content_hash": card.records_hash,
    }


def _take_over(source: Path, target: Path) -> None:
    """Copy the set and its sample under a draft's name, then give it its own: it is there whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft)
    kept = read_card(draft).counts.kept
    with (draft / RECORDS).open(encoding="utf-8") as records, (draft / SAMPLE).open("w", encoding="utf-8") as sample:
        sample.writelines(islice(records, 0, None, max(1, kept // SAMPLED)))
    folder_sync(draft)
    shutil.rmtree(target, ignore_errors=True)  # what an attempt left half-way
    draft.rename(target)
    name_sync(target)


# --- reads ---------------------------------------------------------------------------------------------------------


def is_judged(label_set: LabelSet) -> bool:
    """Whether its labels are people's word."""
    settings = label_set.settings
    return settings.get("kind") == "judgements" or (
        settings.get("kind") == "steps" and settings.get("label") == LabelKind.HUMAN
    )


def judged_options(*, team: Team, size: int = 200) -> list[tuple[str, str]]:
    """The team's label sets by people as choices of a form, newest first."""
    rows = LabelSet.objects.filter(team=team, ready=True, kind=LabelSet.Kind.STEPS).order_by("-id")[: 5 * size]
    return [option("labels", row.pk, row) for row in rows if is_judged(row)][:size]


def label_sets_of(*, team: Team) -> QuerySet[LabelSet]:
    """The team's label sets that are ready."""
    return LabelSet.objects.filter(team=team, ready=True).select_related("job")


def label_set_of(*, team: Team, label_set_id: UUID) -> LabelSet:
    """One of them. Raises `Http404`."""
    found = label_sets_of(team=team).filter(pk=label_set_id).select_related("team", "job").first()
    if found is None:
        raise Http404("There is no such label set, or it belongs to another team.")
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """A step of an example as a page shows it."""

    number: int
    text: str
    label: float | None = None
    mark: str = ""
    """`shared`, `chosen` or `rejected` in a preference pair."""


@dataclass(frozen=True, slots=True)
class Example:
    """One record of a label set, for people."""

    question_id: str
    question: str
    note: str
    steps: list[Step]
    rejected: list[Step]
    """Of a preference pair, what is not to be preferred."""


def examples_of(*, label_set: LabelSet, size: int = SAMPLED) -> list[Example]:
    """Examples spread evenly over the set; none when its files are gone."""
    path = folder_of(Store.LABELS, label_set.pk) / SAMPLE
    try:
        with path.open(encoding="utf-8") as lines:
            return [_example(json.loads(line)) for line in islice(lines, size)]
    except FileNotFoundError:
        return []


def _example(record: dict[str, Any]) -> Example:
    question = record["question"]
    rejected: list[Step] = []
    if "chosen" in record:
        prefix = record["prefix"]
        steps = [Step(at, text, mark="shared") for at, text in enumerate(prefix)]
        steps += [Step(at, text, mark="chosen") for at, text in enumerate(record["chosen"], start=len(prefix))]
        rejected = [Step(at, text, mark="rejected") for at, text in enumerate(record["rejected"], start=len(prefix))]
        note = f"{record['kind']} pair, margin {record['margin']:.2f}"
    elif "labels" in record:
        pairs = zip(record["bodies"], record["labels"], strict=True)
        steps = [Step(at, text, label=label) for at, (text, label) in enumerate(pairs)]
        known = {True: "a right trajectory", False: "a wrong trajectory"}
        note = known.get(record["correct"], "a trajectory whose end is not known")
    else:
        steps = [Step(at, text) for at, text in enumerate(record["bodies"])]
        note = f"lowest value {record['weakest']:.2f}"
    return Example(question["id"], question["text"], note, steps, rejected)


def made_from(*, label_set: LabelSet) -> list[Job]:
    """The searches whose trees it was built from; of a loop's own set the loop."""
    if label_set.stage and label_set.job is not None:
        return [label_set.job]
    named = JobInput.objects.filter(job=label_set.job_id, kind="trees").values("thing")
    return list(Job.objects.filter(pk__in=named).order_by("id"))


@dataclass(frozen=True, slots=True)
class JudgedIn:
    """A queue that a label set was made from; without a URL when it was deleted."""

    name: str
    url: str


def queues_behind(*, label_set: LabelSet) -> list[JudgedIn]:
    """The queues whose judgements it was made from."""
    named = list(JobInput.objects.filter(job=label_set.job_id, kind="queue").values_list("thing", flat=True))
    rows = AnnotationQueue.objects.filter(team=label_set.team_id, pk__in=named).order_by("id")
    found = []
    for row in rows:
        try:
            found.append(JudgedIn(row.name, reverse("queue", args=[label_set.team.slug, row.pk])))
        except NoReverseMatch:
            found.append(JudgedIn(row.name, ""))
    return found + [JudgedIn("a queue that was deleted", "")] * (len(named) - len(found))


def users_of(*, label_set: LabelSet) -> list[Job]:
    """Jobs that train on it, newest first."""
    named = JobInput.objects.filter(kind="labels", thing=label_set.pk).values("job")
    return list(Job.objects.filter(pk__in=named).order_by("-id")[:50])
