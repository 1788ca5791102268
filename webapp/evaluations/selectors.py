"""Reads of evaluations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet, Subquery
from django.http import Http404

from webapp.accounts.models import Team
from webapp.datasets.models import QuestionRow
from webapp.evaluations.models import Evaluation, QuestionResult, StrategyResult

MOST_STRATEGIES = 40
CHOICES = 200
"""Entries of a select."""


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
class EvaluationFilter:
    """Which evaluations are looked for; None: all."""

    benchmark: UUID | None = None
    model: UUID | None = None
    job: UUID | None = None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "EvaluationFilter":
        """From a query. Raises `Http404` for what is no id."""
        try:
            return cls(**{name: UUID(given[name]) for name in ("benchmark", "model", "job") if given.get(name)})
        except ValueError:
            raise Http404("no such list") from None


def evaluations_found(*, team: Team, wanted: EvaluationFilter) -> QuerySet[Evaluation]:
    """Those that meet the filter, newest first."""
    rows = evaluations_of(team=team)
    if wanted.benchmark is not None:
        rows = rows.filter(benchmark=wanted.benchmark)
    if wanted.model is not None:
        rows = rows.filter(Q(policy=wanted.model) | Q(scorer=wanted.model))
    if wanted.job is not None:
        rows = rows.filter(job=wanted.job)
    return rows


def evaluations_in_matrix(*, team: Team, wanted: EvaluationFilter) -> QuerySet[Evaluation]:
    """Those that meet the filter, newest first, with what the matrix says of them: their names, what must agree."""
    rows = evaluations_found(team=team, wanted=wanted).select_related(None)
    left_out = [f"{model}__{column}" for model in ("policy", "scorer") for column in ("files", "facts", "provenance")]
    left_out += ["figures", "benchmark__recipe", "benchmark__statistics"]  # kilobytes each
    return rows.select_related("policy", "scorer", "benchmark__dataset").defer(*left_out)


def measured_with(*, team: Team) -> dict[str, list[tuple[str, str]]]:
    """Id and name of every benchmark and every policy of the team's evaluations, newest first, to filter by."""
    rows = Evaluation.objects.filter(team=team, ready=True)
    benchmarks = rows.exclude(benchmark=None).values_list("benchmark", "benchmark__dataset__name", "benchmark__number")
    policies = rows.exclude(policy=None).values_list("policy", "policy__name", "policy__number")
    return {
        kind: [
            (str(key), f"{name} v{number}") for key, name, number in found.order_by(f"-{column}").distinct()[:CHOICES]
        ]
        for kind, column, found in (("benchmark", "benchmark", benchmarks), ("model", "policy", policies))
    }


def ways_measured(*, evaluations: Sequence[Evaluation]) -> list[tuple[str, int]]:
    """Strategy and n of every result that some of these evaluations have."""
    rows = StrategyResult.objects.filter(evaluation__in=[each.pk for each in evaluations])
    return sorted(rows.values_list("strategy", "n").distinct().order_by("strategy", "n"))


def results_of(*, evaluations: Sequence[Evaluation], ways: Sequence[tuple[str, int]]) -> list[StrategyResult]:
    """Their results by these strategies and n."""
    if not ways:
        return []
    wanted = Q()
    for strategy, n in ways:
        wanted |= Q(strategy=strategy, n=n)
    return list(StrategyResult.objects.filter(wanted, evaluation__in=[each.pk for each in evaluations]))


def evaluations_to_choose(*, team: Team, size: int = CHOICES) -> list[Evaluation]:
    """For a form: the newest ones."""
    rows = Evaluation.objects.filter(team=team, ready=True).select_related("policy", "benchmark__dataset")
    return list(rows.defer("figures", "comparability").order_by("-pk")[:size])


def question_of(*, evaluation: Evaluation, position: int) -> QuestionRow | None:
    """The benchmark's question at a position of the evaluation; None once it is deleted."""
    row = evaluation.answers.select_related("question__version").filter(position=position).first()
    return row.question if row is not None else None


def others_about(*, evaluation: Evaluation, question_hash: str, size: int = 20) -> list[QuestionResult]:
    """The same question of the benchmark in the team's other evaluations, newest first."""
    here = evaluation.answers.filter(question_hash=question_hash).exclude(question=None).values("question")[:1]
    rows = QuestionResult.objects.filter(
        question__in=Subquery(here), evaluation__team=evaluation.team_id, evaluation__ready=True
    ).exclude(evaluation=evaluation.pk)
    return list(rows.select_related("evaluation__policy").order_by("-evaluation")[:size])
