"""The question browser: filters, search in texts, one question; and questions that stand in a version twice."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from meds3core.types.question import ChoiceFormat, Question
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import team_page
from webapp.datasets import selectors
from webapp.datasets.search import SHORTEST
from webapp.datasets.selectors import QuestionFilter
from webapp.datasets.statistics import OTHERS, statistics_of

DIFFICULTIES = (
    ("0-0.25", "Easiest quarter"),
    ("0.25-0.5", "0.25 to 0.5"),
    ("0.5-0.75", "0.5 to 0.75"),
    ("0.75-1", "Hardest quarter"),
    ("none", "Not measured"),
)
NONE = "–none–"
"""In a form: the questions whose source or domain is empty; an empty choice means all."""


@team_page(Action.DATASET_VIEW)
@require_http_methods(["GET", "POST"])
def question_list(request: HttpRequest, team: Team, version_id: uuid.UUID) -> HttpResponse:
    """Questions of a version in their order. A search in texts is a POST: what is looked for stays out of every log."""
    version = selectors.version_for(team=team, version_id=version_id, ready=True)
    given = request.POST if request.method == "POST" else request.GET
    wanted = QuestionFilter(
        text=request.POST.get("text", "")[:500],
        source=_named(given.get("source", "")),
        domain=_named(given.get("domain", "")),
        answer_kind=given.get("kind", "")[:12],
        difficulty=given.get("difficulty", "")[:20],
    )
    page = selectors.questions_page(
        version=version, wanted=wanted, after=_place(given.get("after")), before=_place(given.get("before"))
    )
    found = statistics_of(version)
    context = {
        "team": team,
        "version": version,
        "version_number": str(version.number),
        "dataset": version.dataset,
        "page": page,
        "wanted": wanted,
        "given": {name: given.get(name, "") for name in ("source", "domain", "kind", "difficulty")},
        "choices": [
            ("source", "Source", _choices(found.sources)),
            ("domain", "Domain", _choices(found.domains)),
            ("kind", "Answer", [(name, name) for name in sorted(found.answer_kinds)]),
            ("difficulty", "Difficulty", DIFFICULTIES),
        ],
        "is_short": 0 < len(wanted.text.strip()) < SHORTEST,
    }
    return render(request, "datasets/parts/questions.html" if request.htmx else "datasets/questions.html", context)


@team_page(Action.DATASET_VIEW)
@require_GET
def question_page(request: HttpRequest, team: Team, version_id: uuid.UUID, position: int) -> HttpResponse:
    """One question with its options, gold answer, and the trees about it."""
    version = selectors.version_for(team=team, version_id=version_id, ready=True)
    row = selectors.question_at(version=version, position=position)
    question = Question.model_validate(row.record)
    form = question.answer_format
    trees = selectors.trees_about(team=team, row=row) if may(request.membership.role, Action.TREE_VIEW) else []
    context = {
        "team": team,
        "version": version,
        "version_number": str(version.number),
        "dataset": version.dataset,
        "row": row,
        "question": question,
        "options": form.options if isinstance(form, ChoiceFormat) else (),
        "rules": [
            (name.replace("_", " "), value)
            for name, value in form.model_dump(mode="json").items()
            if name not in ("kind", "options") and value not in (None, 0.0, False)
        ],
        "before": position - 1 if position else None,
        "after": position + 1 if position + 1 < version.questions else None,
        "trees": trees,
    }
    return render(request, "datasets/question.html", context)


@team_page(Action.DATASET_VIEW)
@require_GET
def alike(request: HttpRequest, team: Team, version_id: uuid.UUID) -> HttpResponse:
    """Questions that stand in a version twice, and those that a check found much like others."""
    version = selectors.version_for(team=team, version_id=version_id, ready=True)
    context = {
        "team": team,
        "version": version,
        "version_number": str(version.number),
        "dataset": version.dataset,
        "statistics": statistics_of(version),
        "groups": selectors.duplicates_of(version=version),
    }
    return render(request, "datasets/alike.html", context)


def question_link(team: Team, version_id: Any, position: int) -> str:
    """Where a question is shown."""
    return reverse("question", args=[team.slug, version_id, position])


def _choices(counts: Any) -> list[tuple[str, str]]:
    names = sorted(name for name in counts if name != OTHERS)
    return [(name or NONE, name or "(none)") for name in names]


def _named(text: str) -> str | None:
    if not text:
        return None
    return "" if text == NONE else text[:120]


def _place(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9:
        raise Http404("no such page")
    return int(text)
