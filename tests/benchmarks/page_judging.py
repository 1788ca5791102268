"""Judging on the page of benchmarks."""

from collections.abc import Callable
from typing import Any

from tests.benchmarks.page_tables import table

_JUDGING = """
A queue of {items:,} items, {judged:,} of them judged by {people} people each. Each time is a whole request of an
annotator, from middleware to the answer, in one process. Filling: from a search with scores; memory is what the process
grew by. The page looks at 1,000 trees at most, a job at all.
"""


def judging(figures: dict[str, Any]) -> str:
    """Requests, pages, and what takes longer."""
    databases = figures["databases"]
    heads = [f"{name}: {what}" for name in databases for what in ("median, ms", "p95, ms")]
    rows: list[tuple[str, ...]] = [("request", *heads, "wanted, p95")]
    titles = {"save": "a judgement is saved", "pull": "the next item", "reveal": "what was hidden", "undo": "undo"}
    for key, title in titles.items():
        cells: list[str] = []
        for each in databases.values():
            one = each["requests"][key]
            cells += [f"{one['median_ms']:.0f}", f"**{one['p95_ms']:.0f}**"]
        rows.append((title, *cells, f"{figures['wanted_ms']} ms" if key in ("save", "pull") else ""))
    for name in next(iter(databases.values()))["pages"]:
        cells = []
        for each in databases.values():
            one = each["pages"][name]
            cells += [f"{one['median_ms']:.0f}", f"**{one['p95_ms']:.0f}**"]
        rows.append((f"page: {name}", *cells, "150 ms"))

    def row(name: str, shown: Callable[[dict[str, Any]], str]) -> tuple[str, ...]:
        return name, *(shown(each) for each in databases.values())

    one = next(iter(databases.values()))["filling"]
    others = [
        ("what takes longer", *databases),
        row(
            f"agreement of {figures['judged']:,} items × {figures['people']}", lambda each: f"{each['agreement_s']:g} s"
        ),
        row("labels counted", lambda each: f"{each['labels_counted_s']:g} s"),
        row(f"preview, {figures['trees']:,} trees of 60", lambda each: f"{each['filling']['preview_s']:g} s"),
        row(f"{one['few']} items put in", lambda each: f"{each['filling']['few_s']:g} s"),
        row(f"{one['many']:,} items put in, by a job", lambda each: f"{each['filling']['many_s']:g} s"),
        row(f"of it, looking at {one['nodes']:,} steps", lambda each: f"{each['filling']['choosing_all_s']:g} s"),
        row("memory that this takes", lambda each: f"{each['filling']['choosing_grown_mib']:,} MiB"),
    ]
    return table(rows) + "\n" + table(others) + _JUDGING.format(**figures)
