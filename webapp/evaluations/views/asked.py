"""The questions of an evaluation: found by how they came out, and one with all that was answered to it."""

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from meds3core.evaluation.record import EvaluationFileError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.annotation.models import COMMENT_LENGTH
from webapp.annotation.selectors import flags_of_question, queues_for_flags
from webapp.common.access import team_page
from webapp.evaluations import selectors
from webapp.evaluations.comparing import figures_of, index_of
from webapp.evaluations.questions import (
    AGAINST,
    GREEDY,
    RESULTS,
    SAMPLES,
    QuestionFilter,
    Questions,
    question_view,
)


@team_page(Action.EVALUATION_VIEW)
@require_http_methods(["GET", "POST"])
def evaluation_questions(request: HttpRequest, team: Team, evaluation_id: uuid.UUID) -> HttpResponse:
    """Questions in their order. A search in texts is a POST: what is looked for stays out of every log."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    given = request.POST if request.method == "POST" else request.GET
    wanted = QuestionFilter.of(given, text=request.POST.get("text", ""))
    try:
        questions = Questions(index_of(found))
    except EvaluationFileError:
        return render(request, "evaluations/lost.html", {"team": team, "evaluation": found})
    page = questions.page(wanted, after=_place(given.get("after")), before=_place(given.get("before")))
    named = [way for way in (wanted.way, wanted.other) if way in questions.ways and way != GREEDY]
    context = {
        "team": team,
        "evaluation": found,
        "wanted": wanted,
        "page": page,
        "named": named,
        "ways": questions.ways,
        "has_greedy": GREEDY in questions.ways,
        "choices": (
            ("samples", "Samples", SAMPLES),
            ("source", "Source", [(name, name) for name in sorted(set(questions.index.sources)) if name]),
            ("domain", "Domain", [(name, name) for name in sorted(set(questions.index.domains)) if name]),
        ),
        "results": RESULTS,
        "against": AGAINST,
    }
    part = "evaluations/parts/questions.html" if request.htmx else "evaluations/questions.html"
    return render(request, part, context)


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_question(request: HttpRequest, team: Team, evaluation_id: uuid.UUID, position: int) -> HttpResponse:
    """One question: what every strategy answers, all samples with their steps, verdicts and scores."""
    found = selectors.evaluation_for(team=team, evaluation_id=evaluation_id)
    wanted = QuestionFilter.of(request.GET)
    try:
        questions = Questions(index_of(found))
        if position >= len(questions.index):
            raise Http404("The evaluation has no such question.")
        figures, row = figures_of(found), questions.index.row(position)
    except EvaluationFileError:
        return render(request, "evaluations/lost.html", {"team": team, "evaluation": found})
    before, after = questions.beside(position, wanted)
    chosen = figures.selection.chosen.label if figures.selection else ""
    role = request.membership.role
    flags = flags_of_question(evaluation=found, place=position)
    context = {
        "team": team,
        "evaluation": found,
        "position": position,
        "view": question_view(row, figures),
        "question": row.question,
        "chosen": chosen,
        "judge": figures.judge,
        "wanted": wanted,
        "before": before,
        "after": after,
        "asked_of": selectors.question_of(evaluation=found, position=position),
        "flags": flags,
        "may_flag": may(role, Action.STEP_FLAG),
        "queues": queues_for_flags(team=team) if flags and may(role, Action.QUEUE_CHANGE) else [],
        "comment_length": COMMENT_LENGTH,
        "others": selectors.others_about(evaluation=found, question_hash=row.question.content_hash),
    }
    return render(request, "evaluations/question.html", context)


def _place(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9:
        raise Http404("no such place")
    return int(text)
