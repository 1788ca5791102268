"""An evaluation and a comparison for the terminal. Readable without colour; every figure with its interval."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from meds3core.evaluation.compare import Comparison
from meds3core.evaluation.record import Evaluation
from meds3core.report.quality import TRANSFORM_WORDS
from meds3core.report.terminal import clean
from meds3core.report.wording import amount, percent, plain, points


def evaluation_view(evaluation: Evaluation) -> Group:
    """What may be quoted first, then accuracy by domain, reward models and probes."""
    parts: list[RenderableType] = [
        Text(
            f"{clean(evaluation.policy)}, {evaluation.questions:,} questions, prompt {evaluation.prompt}", style="bold"
        ),
        *(Text(f"note: {note}") for note in evaluation.notes),
        _main(evaluation),
    ]
    figures = evaluation.greedy or evaluation.sampled
    if figures is not None and len(figures.domains) > 1:
        domains = _table("domain", "questions", "right", "no answer")
        for group in figures.domains:
            domains.add_row(
                clean(group.name), f"{group.accuracy.n:,}", percent(group.accuracy), percent(group.no_answer)
            )
        parts += [Text(), domains]
    for name, scorer in evaluation.scorers.items():
        if scorer.steps:
            steps = _table(f"wrong steps ({clean(name)})", "AUROC", "first-error F1", "step F1", "calibration error")
            for each in scorer.steps:
                words = f"{each.truth}, {each.scope.replace('-', ' ')}"
                steps.add_row(
                    words, plain(each.auroc), plain(each.first_error.f1), plain(each.f1), plain(each.calibration_error)
                )
            parts += [Text(), steps]
    if evaluation.robustness:
        changed = _table("changed questions", "questions", "unchanged", "changed", "difference in points")
        for found in evaluation.robustness:
            changed.add_row(
                TRANSFORM_WORDS[found.transform],
                f"{found.questions:,}",
                percent(found.original),
                percent(found.changed),
                points(found.difference),
            )
        parts += [Text(), changed]
    return Group(*parts)


def comparison_view(comparison: Comparison) -> Group:
    """Differences in points, second minus first."""
    table = _table("", clean(comparison.first), clean(comparison.second), "difference in points")
    main = (comparison.greedy, comparison.chosen, comparison.sound)
    for each in (*(found for found in main if found is not None), *comparison.domains):
        difference = each.difference
        table.add_row(
            clean(each.name), f"{100 * difference.first:.1f}%", f"{100 * difference.second:.1f}%", points(difference)
        )
    won = sum(change.kind == "won" for change in comparison.changes)
    exact = comparison.greedy.mcnemar if comparison.greedy else None
    said = f"{comparison.questions:,} questions; greedy: {won} won, {len(comparison.changes) - won} lost"
    if exact is not None:
        said += f", McNemar p = {exact.p:.3g}"
    return Group(*(Text(f"note: {note}") for note in comparison.notes), table, Text(said))


def _main(evaluation: Evaluation) -> Table:
    table = _table("figure", "value and interval")
    if evaluation.greedy is not None:
        table.add_row("greedy", percent(evaluation.greedy.micro))
        table.add_row("no answer found", percent(evaluation.greedy.no_answer))
        table.add_row("tokens per answer", amount(evaluation.greedy.tokens))
    steps = evaluation.greedy_steps or evaluation.sampled_steps
    if steps is not None:
        table.add_row("every step and the answer right", percent(steps.sound))
    selection = evaluation.selection
    if selection is not None:
        table.add_row(f"chosen: {selection.chosen.label}", percent(selection.test))
        table.add_row("", selection.how)
        for against in selection.against:
            table.add_row(f"  against {against.other.label}, in points", points(against.difference))
    faithful = evaluation.faithfulness
    if faithful is not None and faithful.area is not None:
        table.add_row("immediate answers not yet final", percent(faithful.area))
    if faithful is not None and faithful.corrupted is not None:
        table.add_row("answers changed by a wrong number", percent(faithful.corrupted.changed))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, overflow="fold", justify="right" if len(others) > 1 else "left")
    return table
