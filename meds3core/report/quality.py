"""Sections on how far reward models and answers can be trusted: steps found, calibration, robustness, faithfulness."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from meds3core.evaluation.record import Evaluation, ScorerFigures
from meds3core.evaluation.steps import StepFigures
from meds3core.report.charts import Chart, Point, Series, line_chart, whisker_table
from meds3core.report.parts import FigureTable, Section, Words, row
from meds3core.report.wording import difference_row, percent, plain, points, share_row

TRANSFORM_WORDS = {
    "shuffled-options": "options shuffled",
    "renamed-letters": "letters renamed",
    "distractor": "a distractor added",
    "missing-fact": "a key fact missing",
}
TRUTH_WORDS = {"given-prefix": "given the steps before", "absolute": "absolutely"}
SCOPE_WORDS = {"all": "all answers", "right-answers": "right answers only"}


def scorer_sections(evaluation: Evaluation) -> list[Section]:
    """One section for each reward model."""
    return [_scorer(name, figures, evaluation.judge) for name, figures in evaluation.scorers.items()]


def _scorer(name: str, figures: ScorerFigures, judge: str) -> Section:
    kind = "Process" if figures.source.kind == "prm" else "Outcome"
    words = [Words(f"Model {figures.source.model}. Of each score: how well it tells right from wrong answers.")]
    if figures.steps:
        thresholds = figures.thresholds
        assert thresholds is not None
        origin = f"chosen on {thresholds.chosen_on}" if thresholds.chosen_on else "given, not chosen"
        words = [
            Words(
                f"Model {figures.source.model}. What is to be found is the wrong step; its score is 1 − PRM. The truth "
                f"comes from the {judge} judge. Thresholds ({origin}): a step is flagged below "
                f"{thresholds.steps:.2f}, for locating the first error below {thresholds.first_error:.2f}."
            )
        ]
    charts = [_roc(figures.steps), _calibration(figures.steps)]
    tables = [
        FigureTable(
            title="Answers: area under the curve by aggregator",
            columns=("Aggregator", "AUROC of right answers"),
            rows=[row(way, (plain(estimate),)) for way, estimate in figures.answer_auroc.items()],
            open=not figures.steps,
        )
    ]
    if figures.steps:
        tables.insert(0, _step_table(figures.steps))
    tables[:0] = [
        _step_table(judged.steps, f"Wrong steps that people judged: {judged.name}")
        for judged in figures.judged
        if judged.steps
    ]
    for judged in figures.judged:
        words.extend(Words(f"Judged steps of {judged.name}: {said}") for said in judged.warnings)
    if figures.too_long:
        words.append(Words(f"{figures.too_long:,} samples did not fit the model; they have no scores and never win."))
    return Section(
        f"{kind} reward model “{name}”",
        tuple(words),
        tuple(chart for chart in charts if chart is not None),
        (),
        tuple(tables),
    )


def _called(figures: StepFigures) -> str:
    return f"{TRUTH_WORDS[figures.truth]}, {SCOPE_WORDS[figures.scope]}"


def _roc(steps: Sequence[StepFigures]) -> Chart | None:
    series = [
        Series(
            _called(each),
            tuple(Point(point.false_alarms, point.found, "") for point in each.roc),
            each.truth == "given-prefix",
            each.scope == "right-answers",
        )
        for each in steps
        if each.roc
    ]
    said = "; ".join(f"{_called(each)}: AUROC {plain(each.auroc)}" for each in steps)
    return line_chart(
        "Wrong steps found against right ones flagged",
        series,
        x_label="right steps flagged",
        y_label="wrong steps found",
        unit_square=True,
        diagonal=True,
        summary=said,
    )


def _calibration(steps: Sequence[StepFigures]) -> Chart | None:
    series = [
        Series(
            _called(each),
            tuple(
                Point(
                    x=part.said,
                    y=part.right.value,
                    low=part.right.low,
                    high=part.right.high,
                    hint=f"{part.steps:,} steps scored {part.low:.1f} to {part.high:.1f}: {percent(part.right)} right",
                )
                for part in each.bins
            ),
            each.truth == "given-prefix" and each.scope == "all",
            each.scope == "right-answers",
        )
        for each in steps
    ]
    return line_chart(
        "Calibration: score said, share right",
        series,
        x_label="mean score of the steps in a bin",
        y_label="steps that are right",
        unit_square=True,
        diagonal=True,
        summary="; ".join(f"{_called(each)}: calibration error {plain(each.calibration_error)}" for each in steps),
    )


def _step_table(steps: Sequence[StepFigures], title: str = "Finding wrong steps") -> FigureTable:
    def line(name: str, cells: Iterable[str]) -> dict[str, Any]:
        return row(name, cells)

    firsts = [each.first_error for each in steps]
    return FigureTable(
        title=title,
        columns=("Figure", *(_called(each) for each in steps)),
        rows=[
            line("AUROC", (plain(each.auroc) for each in steps)),
            line("First-error F1", (plain(first.f1) for first in firsts)),
            line("first error located", (percent(first.located) for first in firsts)),
            line("error-free ones passed", (percent(first.passed) for first in firsts)),
            line("Step-error F1", (plain(each.f1) for each in steps)),
            line("precision", (percent(each.precision) for each in steps)),
            line("recall", (percent(each.recall) for each in steps)),
            line("AUPRC", (plain(each.auprc) for each in steps)),
            line("share of wrong steps (AUPRC of chance)", (percent(each.wrong) for each in steps)),
            line("Calibration error (ECE)", (plain(each.calibration_error) for each in steps)),
            line("Steps", (f"{each.steps:,} of {each.questions:,} questions" for each in steps)),
            line("Steps without a verdict", (f"{each.unjudged:,}" for each in steps)),
        ],
        open=True,
    )


def probe_section(evaluation: Evaluation) -> Section | None:
    """Changed questions, early answers and corrupted steps; None where nothing was probed."""
    intervals, charts, tables, words = [], [], [], []
    if evaluation.robustness:
        words.append(
            Words(
                "Shuffled options, renamed letters and a distractor leave the answer what it was: accuracy should "
                "stay. Without a key fact it should fall; what stays was guessed."
            )
        )
        rows = [
            difference_row(f"{TRANSFORM_WORDS[each.transform]} ({each.questions:,})", each.difference)
            for each in evaluation.robustness
        ]
        # A fall is bad news only where the answer has not changed.
        rows = [replace(each, tone="") if TRANSFORM_WORDS["missing-fact"] in each.name else each for each in rows]
        intervals.append(
            whisker_table("Changed questions against the same unchanged, in points", rows, differences=True)
        )
        tables.append(
            FigureTable(
                title="Changed questions in figures",
                columns=("Change", "Questions", "Unchanged", "Changed", "Difference", "Same answer", "No answer"),
                rows=[
                    row(
                        TRANSFORM_WORDS[each.transform],
                        (
                            f"{each.questions:,}",
                            percent(each.original),
                            percent(each.changed),
                            points(each.difference),
                            percent(each.same_answer),
                            percent(each.no_answer),
                        ),
                    )
                    for each in evaluation.robustness
                ],
            )
        )
    faithful = evaluation.faithfulness
    if faithful is not None:
        early = [
            Series(
                name,
                tuple(
                    Point(
                        x=each.share,
                        y=(found := getattr(each, field)).value,
                        low=found.low,
                        high=found.high,
                        hint=f"after {each.share:.0%} of the steps: {percent(found)} {name}",
                    )
                    for each in faithful.early
                ),
            )
            for name, field in (("already the final answer", "same"), ("right", "correct"))
        ]
        charts.append(
            line_chart(
                "Answering at once after a part of its own steps",
                early if faithful.early else [],
                x_label="share of the steps it had written",
                y_label="answers",
                unit_square=True,
                summary=f"Mean share not yet final: {plain(faithful.area)}",
            )
        )
        if faithful.area is not None:
            share = percent(faithful.area)
            words.append(Words(f"Averaged over the reasoning, {share} of immediate answers are not yet the final one."))
        corrupted = faithful.corrupted
        if corrupted is not None:
            rows = [
                share_row("the answer changes", corrupted.changed),
                share_row("right nevertheless", corrupted.repaired),
            ]
            if corrupted.followed is not None:
                rows.insert(1, share_row("all later steps follow from it", corrupted.followed))
            intervals.append(
                whisker_table(f"After a wrong number in one step ({corrupted.questions:,} questions)", rows)
            )
    shown = tuple(table for table in intervals if table is not None)
    drawn = tuple(chart for chart in charts if chart is not None)
    if not shown and not drawn:
        return None
    return Section("Robustness and faithfulness", tuple(words), drawn, shown, tuple(tables))
