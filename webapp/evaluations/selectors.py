"""Reads of evaluations."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.evaluations.models import Evaluation, QuestionResult, StrategyResult

ROWS = 50
MOST_STRATEGIES = 40


def evaluation_usable(team: Team, evaluation_id: UUID) -> bool:
    """Whether a job of the team may read this evaluation."""
    return Evaluation.objects.filter(pk=evaluation_id, team=team, ready=True).exists()


def evaluations_of(*, team: Team) -> QuerySet[Evaluation]:
    """The team's evaluations, newest first, with what they measured."""
    rows = Evaluation.objects.filter(team=team, ready=True)
    return rows.select_related("policy", "scorer", "benchmark__dataset", "job", "team").order_by("-pk")


def evaluation_for(*, team: Team, evaluation_id: UUID) -> Evaluation:
    """One of them. Raises `Http404`, be it another team's or nobody's."""
    found = evaluations_of(team=team).filter(pk=evaluation_id).first()
    if found is None:
        raise Http404("There is no such evaluation, or it belongs to another team.")
    return found


def strategies_of(*, evaluation: Evaluation, size: int = MOST_STRATEGIES) -> list[StrategyResult]:
    """Its strategies, the most accurate first."""
    return list(evaluation.results.order_by("-accuracy", "strategy", "n")[:size])


@dataclass(frozen=True, slots=True)
class AnswerPage:
    """Some questions of an evaluation with what was answered to them."""

    rows: list[QuestionResult]
    next: int | None


def answers_page(*, evaluation: Evaluation, after: int = -1, size: int = ROWS) -> AnswerPage:
    """Questions in the order of the benchmark, those behind the position `after`."""
    rows = evaluation.answers.select_related("question").filter(position__gt=after).order_by("position")
    found = list(rows[: size + 1])
    shown = found[:size]
    return AnswerPage(shown, shown[-1].position if len(found) > size else None)
