"""What comes of a queue: how far its people agree, label sets out of what they say, files to keep."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from meds3core.config.labels import JudgementLabelConfig
from meds3core.errors import UserError
from meds3core.judgements.agreement import AgreementFigures, AnnotatorFigures, PairAgreement
from meds3core.judgements.items import ItemMode
from meds3core.types.judgements import SCALE, Verdict
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.annotation import selectors
from webapp.annotation.agreement import agreement_of
from webapp.annotation.exports import FORMS, judgements_count
from webapp.annotation.labelsets import labels_preview, labels_submit
from webapp.annotation.models import AnnotationQueue
from webapp.common.access import actor_of, team_page
from webapp.common.spec_forms import SpecForm
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.transitions import JobError

COUNTED_AT_ONCE, COUNTED_AT_ALL = 200, 5_000
"""Judgements: with more than so many the page is shown first and the labels are counted after it, or not at all: then
the label set says how many there are."""
ORDER = sorted(SCALE, key=lambda verdict: SCALE[verdict])
"""Verdicts as the tables of pairs have them."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person's row."""

    name: str
    figures: AnnotatorFigures
    counts: tuple[int, ...]
    """Good, neutral, bad, can't tell."""


@dataclass(frozen=True, slots=True)
class Differing:
    """How often one of a pair said this and the other that."""

    first: str
    second: str
    count: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people's row."""

    first: str
    second: str
    figures: PairAgreement
    differing: list[Differing]


@team_page(Action.ITEM_REVIEW)
@require_GET
def queue_agreement(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """How far the people of a queue agree, with each other and with what is known."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    agreement = agreement_of(queue=found)
    context = {
        "team": team,
        "queue": found,
        "figures": agreement.figures,
        "people": _people(agreement.figures, agreement.names),
        "pairs": _pairs(agreement.figures, agreement.names),
    }
    return render(request, "annotation/agreement.html", context)


@team_page(Action.ITEM_REVIEW)
@require_GET
def queue_labels(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """What labels would come of a queue now, and the files that its judgements can be kept as."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    role = request.membership.role
    form = _form()
    judgements = judgements_count(queue_id=found.pk)
    is_later = judgements > COUNTED_AT_ONCE
    context = {
        "team": team,
        "queue": found,
        "form": form,
        "files": list(FORMS.items()),
        "judgements": judgements,
        "is_later": is_later,
        "is_many": judgements > COUNTED_AT_ALL,
        "may_submit": may(role, Action.JOB_SUBMIT),
        "may_import": may(role, Action.QUEUE_CHANGE) and may(role, Action.UPLOAD_SEND) and found.mode == ItemMode.STEP,
        **({} if is_later else _counted(found, form)),
    }
    return render(request, "annotation/labels.html", context)


@team_page(Action.ITEM_REVIEW)
@require_POST
def queue_labels_preview(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """How many labels there would be with other settings: the part of the page that says so."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    return render(request, "annotation/parts/labels_preview.html", _counted(found, _form(request.POST)))


@team_page(Action.JOB_SUBMIT)
@require_POST
def queue_labels_make(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """Freeze what is said now into a label set: a job, whose page is shown."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    form = _form(request.POST)
    if not form.is_valid():
        messages.error(request, "Mend what is marked first.")
        return redirect("queue-labels", team.slug, found.pk)
    try:
        job = labels_submit(actor=actor_of(request), team=team, queues=[found], config=form.spec)
    except JobError as error:
        messages.error(request, str(error))
        return redirect("queue-labels", team.slug, found.pk)
    except QueueUnreachable as error:  # it is stored and starts later
        messages.warning(request, str(error))
        return redirect("queue-labels", team.slug, found.pk)
    return redirect("job", team.slug, job.pk)


def _form(data: Any = None) -> SpecForm:
    labels = {
        "rule": "How several judgements become one label",
        "least": "Judgements of a step, at least",
        "neutral": "A neutral step counts as",
        "revised": "Later changes count",
        "controls": "Control items give labels too",
    }
    return SpecForm(JudgementLabelConfig, data, labels=labels)


def _counted(found: AnnotationQueue, form: SpecForm) -> dict[str, Any]:
    config = form.spec if form.is_bound and form.is_valid() else None if form.is_bound else JudgementLabelConfig()
    if config is None:
        return {"trouble": "Mend what is marked first."}
    try:
        return {"preview": labels_preview(queues=[found], config=config)}
    except UserError as error:
        return {"trouble": str(error)}


def _people(figures: AgreementFigures, names: Mapping[str, str]) -> list[Person]:
    order = (Verdict.GOOD, Verdict.NEUTRAL, Verdict.BAD)
    return [
        Person(
            names.get(each.annotator, each.annotator),
            each,
            (*(each.verdicts.get(verdict, 0) for verdict in order), each.cant_tell),
        )
        for each in figures.annotators
    ]


def _pairs(figures: AgreementFigures, names: Mapping[str, str]) -> list[Pair]:
    return [
        Pair(names.get(each.first, each.first), names.get(each.second, each.second), each, _differing(each))
        for each in figures.pairs
    ]


def _differing(pair: PairAgreement) -> list[Differing]:
    cells = [
        Differing(ORDER[row].value, ORDER[column].value, count)
        for row, line in enumerate(pair.table)
        for column, count in enumerate(line)
        if row != column and count
    ]
    return sorted(cells, key=lambda each: -each.count)
