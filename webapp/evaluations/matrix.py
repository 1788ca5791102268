"""Evaluations as a matrix: benchmarks × models × strategies, each figure with its interval.

Only what stands on the same ground is ranked together; what does not stands apart and says why.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from meds3core.evaluation.comparability import Ground, refusals
from meds3core.evaluation.intervals import Estimate
from meds3core.report.result_tables import Column, ResultTable
from webapp.evaluations.models import Evaluation, StrategyResult

GREEDY = "greedy"
FIRST_WAYS = ("self-consistency", "best-of-n last (prm)", "vote-sum last (prm)", "orm-best-of-n (orm)")
"""Shown before anybody chooses, from all samples, after the greedy answers."""
MOST_WAYS = 6


@dataclass(frozen=True, order=True)
class Way:
    """A way to answer: a strategy with its aggregator and reward model, from n samples."""

    strategy: str
    n: int

    @property
    def label(self) -> str:
        """As reports call it."""
        return GREEDY if self.strategy == GREEDY else f"{self.strategy} @{self.n}"


@dataclass(frozen=True)
class Cell:
    """A figure with its interval; `is_highest` within its group."""

    value: float
    low: float
    high: float
    is_highest: bool = False


@dataclass(frozen=True)
class Line:
    """An evaluation with its figures in the order of the columns; `place` in its group by the column of sorting."""

    evaluation: Evaluation
    cells: tuple[Cell | None, ...]
    place: int | None


@dataclass
class Group:
    """Evaluations that stand on the same ground. `apart`: why from others of the same questions or their sources."""

    key: str
    title: str
    ground: Ground | None
    evaluations: list[Evaluation] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Matrix:
    """Groups under common columns. `ways`: all that may be columns."""

    ways: tuple[Way, ...]
    columns: tuple[Way, ...]
    sort: Way | None
    groups: tuple[Group, ...]


def ground_of(evaluation: Evaluation) -> Ground | None:
    """What an evaluation stands on; None where an earlier version did not note it."""
    try:
        return Ground.model_validate(evaluation.comparability.get("ground"))
    except ValidationError:
        return None


def columns_of(ways: Sequence[Way], wanted: Sequence[str]) -> tuple[Way, ...]:
    """The columns to show: those wanted by label, else the greedy answers and the usual strategies."""
    asked = [way for label in wanted for way in ways if way.label == label]
    if asked:
        return tuple(dict.fromkeys(asked))[:MOST_WAYS]
    usual = [way for name in (GREEDY, *FIRST_WAYS) for way in sorted(ways, reverse=True) if way.strategy == name]
    most = max((way.n for way in ways), default=1)
    return tuple(way for way in usual if way.strategy == GREEDY or way.n == most)[:MOST_WAYS]


def matrix_of(
    evaluations: Sequence[Evaluation],
    ways: Sequence[Way],
    columns: Sequence[Way],
    results: Iterable[StrategyResult],
    sort: str,
) -> Matrix:
    """Evaluations in groups, their figures under the columns. `sort`: a column's label; else the newest first."""
    figures: dict[Any, dict[Way, StrategyResult]] = {}
    for result in results:
        figures.setdefault(result.evaluation_id, {})[Way(result.strategy, result.n)] = result
    by = next((way for way in columns if way.label == sort), None)
    groups = groups_of(evaluations)
    for group in groups:
        best = {
            way: max(
                (known[way].accuracy for each in group.evaluations if way in (known := figures.get(each.pk, {}))),
                default=None,
            )
            for way in columns
        }
        many = len(group.evaluations) > 1
        order = group.evaluations
        if by is not None:
            order = sorted(order, key=lambda each: -_accuracy(figures.get(each.pk, {}), by))
        places = _places([_accuracy(figures.get(each.pk, {}), by) if by else -1.0 for each in order])
        for each, place in zip(order, places, strict=True):
            known = figures.get(each.pk, {})
            group.lines.append(
                Line(each, tuple(_cell(known.get(way), best[way] if many else None) for way in columns), place)
            )
    return Matrix(tuple(ways), tuple(columns), by, tuple(groups))


def groups_of(evaluations: Sequence[Evaluation]) -> list[Group]:
    """Evaluations by what they stand on, those of one benchmark one below the other, the largest first.

    Two versions of one prompt may not be compared, so they part what stands on the same questions.
    """
    grounds = {each.pk: ground_of(each) for each in evaluations}
    hashes: dict[tuple[str, str], set[str]] = {}
    for ground in grounds.values():
        if ground is not None:
            hashes.setdefault((_same(ground), ground.family), set()).add(ground.prompt_hash)
    parted = {same for (same, _), found in hashes.items() if len(found) > 1}
    groups: dict[str, Group] = {}
    for each in evaluations:
        ground = grounds[each.pk]
        if ground is None:
            key = f"old {each.pk}"
        else:
            key = _same(ground) + (ground.prompt_hash[:16] if _same(ground) in parted else "")
        group = groups.setdefault(key, Group(key, str(each.benchmark or "A deleted dataset"), ground))
        group.evaluations.append(each)
    ordered: list[Group] = []
    for title in dict.fromkeys(group.title for group in groups.values()):
        members = [group for group in groups.values() if group.title == title]
        ordered += sorted(members, key=lambda group: -len(group.evaluations))
    for number, group in enumerate(ordered):
        _explain(group, ordered[:number])
    return ordered


def ranking_table(matrix: Matrix) -> ResultTable:
    """The matrix as one table."""
    rows = [
        (
            group.title,
            number,
            line.evaluation.questions,
            str(line.evaluation.policy or "deleted"),
            line.evaluation.name,
            line.evaluation.comparability.get("prompt", ""),
            *(_estimate(cell, line.evaluation.questions) for cell in line.cells),
        )
        for number, group in enumerate(matrix.groups, start=1)
        for line in group.lines
    ]
    heads = (
        Column("Benchmark"),
        Column("Comparable group", "count"),
        Column("Questions", "count"),
        Column("Model"),
        Column("Evaluation"),
        Column("Prompt"),
    )
    return ResultTable(
        "evaluations", "Evaluations", (*heads, *(Column(way.label, "share") for way in matrix.columns)), rows
    )


def _explain(group: Group, before: Sequence[Group]) -> None:
    """Why it stands apart from the groups above, and what of it is only noted."""
    ground = group.ground
    if ground is None:
        group.apart.append("what it stands on was not noted by the version that stored it; evaluate again")
        return
    for other in before:
        if other.ground is None or not (
            other.title == group.title or other.ground.sources.keys() & ground.sources.keys()
        ):
            continue
        for reason in refusals(other.ground, ground) or ("another version of its prompt is there",):
            if reason not in group.apart:
                group.apart.append(reason)
    prompts = Counter(str(each.comparability.get("prompt", "")) for each in group.evaluations)
    if len(prompts) > 1:
        group.notes.append(
            f"Asked with different prompts, each with the one it was made for: {', '.join(sorted(prompts))}."
        )


def _same(ground: Ground) -> str:
    """Equal for what stands on the same questions, asked alike."""
    forms = sorted((name, form.options, form.context) for name, form in ground.sources.items())
    return f"{ground.gold}{forms}"


def _accuracy(known: dict[Way, StrategyResult], way: Way) -> float:
    return known[way].accuracy if way in known else -1.0


def _places(values: Sequence[float]) -> list[int | None]:
    """Of figures in descending order; equal ones share a place, -1 has none."""
    found: list[int | None] = []
    for number, value in enumerate(values):
        if value < 0:
            found.append(None)
        elif number and values[number - 1] == value:
            found.append(found[-1])
        else:
            found.append(number + 1)
    return found


def _cell(result: StrategyResult | None, best: float | None) -> Cell | None:
    if result is None:
        return None
    return Cell(result.accuracy, result.low, result.high, is_highest=best is not None and result.accuracy == best)


def _estimate(cell: Cell | None, questions: int) -> Estimate | None:
    if cell is None:
        return None
    return Estimate(value=cell.value, low=cell.low, high=cell.high, n=max(questions, 1), method="bootstrap")
