"""A loop in figures: accuracy of every policy by strategy while it runs, and the report's own results when it is over.

Nothing is computed here. What is shown was computed by the evaluations and by the report stage, and is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch
from pydantic import ValidationError

from meds3core.evolution.stages.report import EvolutionResult
from meds3core.report.charts import Chart, Point, Series, WhiskerTable, line_chart, whisker_table
from meds3core.report.wording import difference_row
from webapp.evaluations.models import Evaluation, StrategyResult
from webapp.evaluations.services import GREEDY
from webapp.evolution.stages import Stage
from webapp.jobs.models import Job
from webapp.jobs.reports import job_folder

BASE, PREFIX, CONTROL = "base", "evaluation-", "control-"
MOST_STRATEGIES = 7
ORACLE = "pass"
"""Whether any of the answers is right: no way to answer, but what the best one could reach."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A policy of the loop that was measured."""

    policy: str
    evaluation: Evaluation
    results: tuple[StrategyResult, ...]
    """Its strategies, the most accurate first."""

    def result(self, strategy: str, n: int) -> StrategyResult | None:
        """One of them."""
        return next((one for one in self.results if (one.strategy, one.n) == (strategy, n)), None)

    @property
    def greedy(self) -> StrategyResult | None:
        """Its greedy answers."""
        return self.result(GREEDY, 1)

    @property
    def best(self) -> StrategyResult | None:
        """The most accurate strategy of those that draw several answers."""
        return next((one for one in self.results if one.strategy not in (GREEDY, ORACLE)), None)

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The strategy that the evaluation chose, with its accuracy on questions that it was not chosen on."""
        return self.evaluation.figures.get("chosen") or {}


def measured_policies(stages: Sequence[Stage]) -> list[Measured]:
    """The policies that have been measured so far, in the loop's order: the base first, then as they were trained."""
    by_id = {
        made.id: stage.name.removeprefix(PREFIX) for stage in stages for made in stage.made if made.kind == "evaluation"
    }
    results = Prefetch("results", queryset=StrategyResult.objects.order_by("-accuracy", "strategy", "n"))
    rows = Evaluation.objects.filter(pk__in=by_id, ready=True).select_related("policy", "benchmark__dataset")
    trained = {stage.name: place for place, stage in enumerate(stages)}
    found = [Measured(by_id[row.pk], row, tuple(row.results.all())) for row in rows.prefetch_related(results)]
    return sorted(found, key=lambda one: (one.policy != BASE, _iteration(one.policy), trained.get(one.policy, 0)))


def accuracy_chart(measured: Sequence[Measured]) -> Chart | None:
    """Accuracy from policy to policy with intervals: greedy, the control beside it, and strategies where sampled."""
    chain = [one for one in measured if not one.policy.startswith(CONTROL)]
    place: dict[str, float] = {one.policy: float(at) for at, one in enumerate(chain)}
    for one in measured:  # a control stands where the model stands that it is compared with
        if one.policy.startswith(CONTROL):
            place[one.policy] = place.get(f"sft-{one.policy.removeprefix(CONTROL)}", float(len(chain)))
    series = [Series(GREEDY, _points(chain, place, GREEDY, 1))]
    controls = [one for one in measured if one.policy.startswith(CONTROL)]
    if controls:
        start = [one for one in chain if one.policy == BASE]
        series.append(Series("control, greedy", _points([*start, *controls], place, GREEDY, 1), dashed=True))
    for number, (strategy, n) in enumerate(_strategies(chain)):
        series.append(Series(f"{strategy} @{n}", _points(chain, place, strategy, n), shown=number < 2))
    ticks = [(at, name) for name, at in place.items() if not name.startswith(CONTROL)]
    summary = "; ".join(f"{point.hint}" for each in series[:2] for point in each.points)
    return line_chart(
        "Accuracy on the held-out questions",
        [each for each in series if each.points],
        x_label="policy, in order of training",
        y_label="right answers",
        x_ticks=ticks,
        summary=summary,
    )


def _strategies(chain: Sequence[Measured]) -> list[tuple[str, int]]:
    """Strategies that were measured of the last sampled policy: at its most samples, the most accurate first."""
    sampled = [one for one in chain if one.best is not None]
    if not sampled:
        return []
    last = sampled[-1]
    most = max(one.n for one in last.results)
    found = [(one.strategy, one.n) for one in last.results if one.n == most and one.strategy not in (GREEDY, ORACLE)]
    return found[:MOST_STRATEGIES]


def _points(chain: Sequence[Measured], place: Mapping[str, float], strategy: str, n: int) -> tuple[Point, ...]:
    found = []
    for one in chain:
        result = one.result(strategy, n)
        if result is not None:
            hint = (
                f"{one.policy}, {strategy}{f' @{n}' if n > 1 else ''}: {100 * result.accuracy:.1f}% "
                f"[{100 * result.low:.1f}, {100 * result.high:.1f}]"
            )
            found.append(Point(place[one.policy], result.accuracy, hint, result.low, result.high))
    return tuple(found)


def _iteration(policy: str) -> int:
    last = policy.rpartition("-")[2]
    return int(last) if last.isdecimal() else 0


# --- the report's results ------------------------------------------------------------------------------------------


def loop_result(*, job: Job) -> EvolutionResult | None:
    """What the report stage found; none while it has not run, or when its file is gone."""
    name = (job.result or {}).get("figures")
    if not name:
        return None
    folder = job_folder(job.pk).resolve()
    path = (folder / str(name)).resolve()
    if not path.is_relative_to(folder):
        return None
    try:
        return EvolutionResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def control_whiskers(result: "EvolutionResult") -> WhiskerTable | None:
    """The loop's models against the control: what training on searched trajectories adds to training on any."""
    rows = [difference_row(f"{one.second} against {one.first}", one.accuracy) for one in result.versus]
    return whisker_table("Greedy accuracy against the control", rows, differences=True)


def report_file(*, job: Job) -> Any:
    """Where the report page of a finished loop lies; none when there is none."""
    name = (job.result or {}).get("page")
    path = job_folder(job.pk) / str(name)
    return path if name and path.is_file() else None
