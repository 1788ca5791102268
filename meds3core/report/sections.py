"""The sections of an evaluation's page: which charts, intervals and tables say what was found."""

from collections.abc import Sequence

from meds3core.decoding.curves import PASS
from meds3core.evaluation.record import Evaluation
from meds3core.evaluation.selection import CONSENSUS, StrategyFigures, StrategyKey
from meds3core.report.charts import Point, Series, line_chart, whisker_table
from meds3core.report.parts import FigureTable, Section, Words, row
from meds3core.report.quality import probe_section, scorer_sections
from meds3core.report.wording import amount, difference_row, percent, share_row


def sections_of(evaluation: Evaluation) -> list[Section]:
    """All parts for which there are figures."""
    parts = (_strategies(evaluation), _groups(evaluation), *scorer_sections(evaluation), probe_section(evaluation))
    return [part for part in parts if part is not None]


def _strategies(evaluation: Evaluation) -> Section | None:
    selection = evaluation.selection
    if selection is None:
        return None
    chosen = selection.chosen
    quote = f"Chosen: {chosen.label}, {selection.how}. On the test questions: {percent(selection.test)}."
    rivals = tuple(
        difference_row(f"against {against.other.label}", against.difference) for against in selection.against
    )
    compared = whisker_table(f"{chosen.label}, in points", rivals, differences=True)
    lines = _lines(evaluation.grid, chosen)
    by_n = line_chart(
        "Accuracy against samples",
        [Series(name, _points(figures, False), shown, dashed) for name, figures, shown, dashed in lines],
        x_label="samples per question",
        y_label="right",
        x_scale="log",
        x_ticks=[(n, str(n)) for n in sorted({each.key.n for each in evaluation.grid})],
        summary=quote,
    )
    by_tokens = line_chart(
        "Accuracy against tokens",
        [Series(name, _points(figures, True), shown, dashed) for name, figures, shown, dashed in lines],
        x_label="generated and scored tokens per question",
        y_label="right",
        x_scale="log",
        summary=quote,
    )
    grid = FigureTable(
        title="Every strategy, aggregator and n (exploratory: the best of so many flatters)",
        columns=("Strategy", "Right", "No answer", "Generated tokens", "Prompt tokens", "Scored tokens"),
        rows=[
            row(
                each.key.label,
                (
                    percent(each.accuracy),
                    percent(each.no_answer),
                    *(amount(cost) for cost in (each.generated_tokens, each.prompt_tokens, each.scored_tokens)),
                ),
                each.key == chosen,
            )
            for each in sorted(evaluation.grid, key=lambda each: (-each.key.n, -each.accuracy.value))
        ],
    )
    return Section(
        "Strategies",
        (Words(quote, quote=True), Words(_about_lines(evaluation))),
        tuple(each for each in (by_n, by_tokens) if each is not None),
        (compared,) if compared else (),
        (grid,),
    )


def _about_lines(evaluation: Evaluation) -> str:
    count = evaluation.sample_source.n if evaluation.sample_source else 1
    return (
        f"Everything is computed from one stored set of {count} samples a question. Whiskers are intervals over "
        "questions. “pass” counts a question as right when any sample is: it needs the gold, no strategy can beat it."
    )


def _lines(grid: Sequence[StrategyFigures], chosen: StrategyKey) -> list[tuple[str, list[StrategyFigures], bool, bool]]:
    """One line per strategy, reward model and aggregator: name, figures by n, shown at first, dashed.

    Shown are the chosen one, self-consistency, pass, and of each other strategy the chosen one's aggregator.
    """
    lines: dict[tuple[str, str, str | None], list[StrategyFigures]] = {}
    for each in grid:
        lines.setdefault((each.key.strategy, each.key.scorer, each.key.aggregator), []).append(each)
    first_ways: dict[tuple[str, str], str | None] = {}
    for strategy, scorer, way in lines:
        preferred = way in (chosen.aggregator, "last") if chosen.aggregator is None else way == chosen.aggregator
        if (strategy, scorer) not in first_ways or preferred:
            first_ways[strategy, scorer] = way
    several = len({scorer for _, scorer, _ in lines if scorer}) > 1
    found = []
    for (strategy, scorer, way), figures in lines.items():
        name = " ".join(
            filter(None, (strategy, way if way != "outcome" else "", f"({scorer})" if several and scorer else ""))
        )
        key = figures[0].key.model_copy(update={"n": chosen.n})
        own = not several or scorer in ("", chosen.scorer)
        shown = key == chosen or strategy in (PASS, CONSENSUS) or (own and first_ways[strategy, scorer] == way)
        found.append((name, sorted(figures, key=lambda each: each.key.n), shown, strategy == PASS))
    # The shown ones first, so that they get colours of their own.
    return sorted(found, key=lambda line: not line[2])


def _points(figures: Sequence[StrategyFigures], by_tokens: bool) -> tuple[Point, ...]:
    return tuple(
        Point(
            x=max(each.tokens, 1.0) if by_tokens else each.key.n,
            y=each.accuracy.value,
            low=each.accuracy.low,
            high=each.accuracy.high,
            hint=f"{each.key.label}: {percent(each.accuracy)}, {each.tokens:,.0f} tokens",
        )
        for each in figures
    )


def _groups(evaluation: Evaluation) -> Section | None:
    figures = evaluation.greedy or evaluation.sampled
    if figures is None:
        return None
    kind = "greedy" if evaluation.greedy else "mean over samples"
    averages = [
        share_row("all questions (micro)", figures.micro),
        share_row("mean over sources (macro)", figures.macro_source),
        share_row("mean over domains (macro)", figures.macro_domain),
    ]
    tables = [whisker_table(f"Averages, {kind}", averages)]
    for title, groups in (("By domain", figures.domains), ("By source", figures.sources)):
        if len(groups) > 1:
            rows = [share_row(f"{group.name} ({group.accuracy.n:,})", group.accuracy) for group in groups]
            tables.append(whisker_table(f"{title}, {kind}", rows))
    steps = evaluation.greedy_steps or evaluation.sampled_steps
    if steps is not None:
        tables.append(
            whisker_table(
                f"Steps, {kind}, judged by {evaluation.judge}",
                [
                    share_row("every step and the answer right", steps.sound),
                    share_row("right answer, a wrong step", steps.right_by_luck),
                    share_row("steps right absolutely", steps.steps_right),
                    share_row("steps right given those before", steps.steps_right_given_prefix),
                ],
            )
        )
    detail = FigureTable(
        title="Accuracy, answers not found and length by domain",
        columns=("Domain", "Questions", "Right", "No answer", "Tokens per answer"),
        rows=[
            row(
                group.name,
                (f"{group.accuracy.n:,}", percent(group.accuracy), percent(group.no_answer), amount(group.tokens)),
            )
            for group in figures.domains
        ],
    )
    return Section("Accuracy", (), (), tuple(table for table in tables if table is not None), (detail,))
