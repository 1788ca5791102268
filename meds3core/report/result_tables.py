"""Tables of results as data: what an evaluation and a comparison have figures for. `table_files` writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from meds3core.evaluation.compare import Change, Comparison, MeasureDifference, WayComparison
from meds3core.evaluation.intervals import Estimate
from meds3core.evaluation.paired import PairedDifference
from meds3core.evaluation.record import Evaluation
from meds3core.evaluation.steps import StepFigures
from meds3core.report.quality import SCOPE_WORDS, TRANSFORM_WORDS, TRUTH_WORDS

Cell = str | int | float | Estimate | PairedDifference | None
Kind = Literal["words", "count", "number", "share", "plain", "amount", "difference"]
"""What a column holds. `share`, `plain`, `amount`: an estimate, written as percent, with three digits, or with one."""


@dataclass(frozen=True)
class Column:
    """A column by its heading."""

    title: str
    kind: Kind = "words"


@dataclass(frozen=True)
class ResultTable:
    """A table of results; a cell is None where there is nothing to tell."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def tables_of(evaluation: Evaluation) -> dict[str, ResultTable]:
    """The tables that an evaluation has figures for, by name."""
    found = (
        _strategies(evaluation),
        _groups(evaluation),
        _steps(evaluation),
        _calibration(evaluation),
        _robustness(evaluation),
    )
    return {table.name: table for table in found if table.rows}


def comparison_tables(comparison: Comparison) -> dict[str, ResultTable]:
    """The tables of a comparison: differences, and the questions won and lost."""
    measures = [each for each in (comparison.greedy, comparison.chosen, comparison.sound) if each is not None]
    groups = (("", measures), ("domain ", comparison.domains), ("", comparison.strategies))
    measured = [(f"{kind}{each.name}", each) for kind, members in groups for each in members]
    names = (comparison.first, comparison.second)
    found = (_differences(names, measured), _changed(names, comparison.changes))
    return {table.name: table for table in found if table.rows}


def way_tables(comparison: WayComparison, names: tuple[str, str]) -> dict[str, ResultTable]:
    """The tables of a comparison of two ways to answer."""
    measured = [(comparison.measure.name, comparison.measure)]
    found = (_differences(names, measured), _changed(names, comparison.changes))
    return {table.name: table for table in found if table.rows}


def _differences(names: tuple[str, str], measured: Sequence[tuple[str, MeasureDifference]]) -> ResultTable:
    return ResultTable(
        "differences",
        f"{names[1]} against {names[0]}",
        (
            Column("Measure"),
            Column("Questions", "count"),
            Column(f"First: {names[0]}", "number"),
            Column(f"Second: {names[1]}", "number"),
            Column("Difference in points", "difference"),
            Column("McNemar p", "number"),
        ),
        [
            (
                name,
                each.difference.difference.n,
                each.difference.first,
                each.difference.second,
                each.difference,
                each.mcnemar.p if each.mcnemar else None,
            )
            for name, each in measured
        ],
    )


def _changed(names: tuple[str, str], changes: Sequence[Change]) -> ResultTable:
    first, second = f"First: {names[0]}", f"Second: {names[1]}"
    return ResultTable(
        "changes",
        "Questions won and lost",
        (
            Column("Question"),
            Column("Source"),
            Column("Domain"),
            Column("Change"),
            Column(f"{first}, right", "number"),
            Column(f"{second}, right", "number"),
            Column(f"{first}, greedy answer"),
            Column(f"{second}, greedy answer"),
        ),
        [
            (
                change.id,
                change.source,
                change.domain,
                change.kind,
                change.first_right,
                change.second_right,
                change.first_answer,
                change.second_answer,
            )
            for change in changes
        ],
    )


def _strategies(evaluation: Evaluation) -> ResultTable:
    rows: list[tuple[Cell, ...]] = []
    greedy = evaluation.greedy
    if greedy is not None:
        rows.append(("greedy", "", "", 1, None, greedy.micro, greedy.no_answer, greedy.tokens_per_question, None, None))
    chosen = evaluation.selection.chosen if evaluation.selection is not None else None
    rows += [
        (
            each.key.strategy,
            each.key.aggregator or "",
            each.key.scorer,
            each.key.n,
            "chosen" if each.key == chosen else None,
            each.accuracy,
            each.no_answer,
            each.generated_tokens,
            each.prompt_tokens,
            each.scored_tokens,
        )
        for each in evaluation.grid
    ]
    return ResultTable(
        "strategies",
        f"Strategies of {evaluation.policy}",
        (
            Column("Strategy"),
            Column("Aggregator"),
            Column("Reward model"),
            Column("Samples", "count"),
            Column("Note"),
            Column("Right", "share"),
            Column("No answer", "share"),
            Column("Generated tokens", "amount"),
            Column("Prompt tokens", "amount"),
            Column("Scored tokens", "amount"),
        ),
        rows,
    )


def _groups(evaluation: Evaluation) -> ResultTable:
    figures = evaluation.greedy or evaluation.sampled
    rows: list[tuple[Cell, ...]] = []
    if figures is not None:
        rows = [("all", "questions (micro)", figures.questions, figures.micro, figures.no_answer, figures.tokens)]
        rows += [
            ("all", f"{kind} (macro)", figures.questions, found, None, None)
            for kind, found in (("sources", figures.macro_source), ("domains", figures.macro_domain))
        ]
        rows += [
            (kind, group.name, group.accuracy.n, group.accuracy, group.no_answer, group.tokens)
            for kind, groups in (("source", figures.sources), ("domain", figures.domains))
            for group in groups
        ]
    return ResultTable(
        "groups",
        f"Accuracy of {evaluation.policy}, {'greedy' if evaluation.greedy else 'mean over samples'}",
        (
            Column("Group"),
            Column("Name"),
            Column("Questions", "count"),
            Column("Right", "share"),
            Column("No answer", "share"),
            Column("Tokens per answer", "amount"),
        ),
        rows,
    )


def _steps(evaluation: Evaluation) -> ResultTable:
    return ResultTable(
        "steps",
        "Wrong steps found by reward models",
        (
            Column("Reward model"),
            Column("Truth"),
            Column("Answers"),
            Column("Steps", "count"),
            Column("AUROC", "plain"),
            Column("AUPRC", "plain"),
            Column("Share of wrong steps", "share"),
            Column("First-error F1", "plain"),
            Column("First error located", "share"),
            Column("Error-free passed", "share"),
            Column("Step-error F1", "plain"),
            Column("Precision", "share"),
            Column("Recall", "share"),
            Column("Calibration error", "plain"),
        ),
        [
            *(_step_row(name, each) for name, scorer in evaluation.scorers.items() for each in scorer.steps),
            *(
                _step_row(name, each, f", judged by people ({judged.name})")
                for name, scorer in evaluation.scorers.items()
                for judged in scorer.judged
                for each in judged.steps
            ),
        ],
    )


def _step_row(name: str, each: StepFigures, by: str = "") -> tuple[Cell, ...]:
    first = each.first_error
    return (
        name,
        TRUTH_WORDS[each.truth] + by,
        SCOPE_WORDS[each.scope],
        each.steps,
        each.auroc,
        each.auprc,
        each.wrong,
        first.f1,
        first.located,
        first.passed,
        each.f1,
        each.precision,
        each.recall,
        each.calibration_error,
    )


def _calibration(evaluation: Evaluation) -> ResultTable:
    return ResultTable(
        "calibration",
        "What reward models said of steps, and how many are right",
        (
            Column("Reward model"),
            Column("Truth"),
            Column("Answers"),
            Column("Score from", "number"),
            Column("Score to", "number"),
            Column("Steps", "count"),
            Column("Mean score", "number"),
            Column("Right", "share"),
        ),
        [
            (
                name,
                TRUTH_WORDS[each.truth],
                SCOPE_WORDS[each.scope],
                part.low,
                part.high,
                part.steps,
                part.said,
                part.right,
            )
            for name, scorer in evaluation.scorers.items()
            for each in scorer.steps
            for part in each.bins
        ],
    )


def _robustness(evaluation: Evaluation) -> ResultTable:
    return ResultTable(
        "robustness",
        "Changed questions against the same unchanged",
        (
            Column("Change"),
            Column("Questions", "count"),
            Column("Unchanged", "share"),
            Column("Changed", "share"),
            Column("Difference in points", "difference"),
            Column("Same answer", "share"),
            Column("No answer", "share"),
        ),
        [
            (
                TRANSFORM_WORDS[each.transform],
                each.questions,
                each.original,
                each.changed,
                each.difference,
                each.same_answer,
                each.no_answer,
            )
            for each in evaluation.robustness
        ],
    )
