"""Two evaluations side by side: the figures and parts that a page of them has."""

from collections.abc import Sequence
from typing import Any

from meds3core.evaluation.compare import Comparison, MeasureDifference
from meds3core.report.charts import whisker_table
from meds3core.report.parts import FigureTable, Section, Words, row
from meds3core.report.wording import difference_row, points


def total(name: str, words: str, note: str = "") -> dict[str, str]:
    """The figure large, its interval and note small."""
    value, _, interval = words.partition(" ")
    return {"name": name, "value": value, "note": " ".join(filter(None, (interval, note)))}


def names_of(comparison: Comparison) -> tuple[str, str]:
    """Both names, told apart where they are the same."""
    if comparison.first != comparison.second:
        return comparison.first, comparison.second
    return f"{comparison.first} (first)", f"{comparison.second} (second)"


def comparison_totals(comparison: Comparison, names: tuple[str, str]) -> list[dict[str, str]]:
    """The differences that come first: name, value, and a note with both sides' figures."""
    items = []
    for title, found in (
        ("Greedy, in points", comparison.greedy),
        ("Chosen strategies, in points", comparison.chosen),
        ("Every step and the answer right, in points", comparison.sound),
    ):
        if found is not None:
            before, after = found.difference.first, found.difference.second
            items.append(total(title, points(found.difference), f"({100 * before:.1f}% → {100 * after:.1f}%)"))
    won = sum(change.kind == "won" for change in comparison.changes)
    if comparison.greedy is not None:
        lost = len(comparison.changes) - won
        exact = comparison.greedy.mcnemar
        note = f"lost {lost:,}" + (f", McNemar p = {exact.p:.3g}" if exact else "")
        items.append({"name": f"Questions that {names[1]} won", "value": f"{won:,}", "note": note})
    items.append({"name": "Questions", "value": f"{comparison.questions:,}", "note": "the same for both"})
    return items


def comparison_sections(comparison: Comparison, names: tuple[str, str]) -> list[Section]:
    """Differences with intervals, by measure, domain and strategy."""

    def table(title: str, found: Sequence[MeasureDifference]) -> Any:
        return whisker_table(title, [difference_row(each.name, each.difference) for each in found], differences=True)

    main = [each for each in (comparison.greedy, comparison.chosen, comparison.sound) if each is not None]
    intervals = [
        table("Differences in points", main),
        table("Greedy by domain, in points", comparison.domains),
    ]
    rows = [
        row(
            each.name,
            (f"{100 * each.difference.first:.1f}%", f"{100 * each.difference.second:.1f}%", points(each.difference)),
        )
        for each in comparison.strategies
    ]
    tables = [FigureTable("Every strategy that both computed (exploratory)", ("Strategy", *names, "Difference"), rows)]
    words = Words(
        "Differences are taken question by question on the same questions. A bar that leaves the middle line out is "
        "coloured; with many domains, one in twenty does so by chance."
    )
    shown = tuple(each for each in intervals if each is not None)
    return [Section("What changed", (words,), (), shown, tuple(tables) if rows else ())]
