"""What each stage of the loop was worth, as one HTML file and as a table for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.table import Table as TerminalTable

from meds3core.evaluation.paired import SeedDifferences
from meds3core.evaluation.stages import StageFigures, summary_line
from meds3core.report.charts import WhiskerRow, whisker_table
from meds3core.report.parts import FigureTable, Section
from meds3core.report.standalone import asset, environment, inert_json, script_of, source_hash, write_pieces
from meds3core.report.wording import MET, difference_row, percent, points, share_row

SCRIPTS = ("base.js", "evaluation.js")


@dataclass(frozen=True, slots=True)
class Finding:
    """A result beside the stages: what was asked, and the figure with its interval."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that was wanted, and what was measured. `met`: None where it was not measured."""

    wanted: str
    measured: str
    met: bool | None


def write_stages_page(
    stages: Sequence[StageFigures],
    out: Path,
    *,
    title: str = "What each stage was worth",
    notes: Sequence[str] = (),
    goals: Sequence[Goal] = (),
    findings: Sequence[Finding] = (),
) -> None:
    """Write the page: greedy accuracy of every stage, and its differences to the base and to its parent.

    Stages are shown in the order given, the base first. `notes` are what a reader must know before the figures: the
    page shows them as warnings. Of `goals` only those that were missed stand out. The file appears whole or not at
    all, and is a function of its arguments.
    """
    script, style = script_of(SCRIPTS), asset("page.css") + asset("evaluation.css")
    several = any(stage.runs > 1 for stage in stages)
    pieces = (
        environment()
        .get_template("stages.html.j2")
        .generate(
            title=title,
            subtitle=summary_line(stages[0], stages[-1]) if len(stages) > 1 else "",
            notes=notes,
            goals=goals,
            met=MET,
            findings=findings,
            totals_of=_totals(stages),
            level=f"{100 * stages[0].accuracy.level:.0f}%",
            several=several,
            charts=[chart for chart in _charts(stages) if chart is not None],
            figures=_figures(stages),
            runs=_runs(stages),
            script=Markup(script),
            script_hash=source_hash(script),
            style=Markup(style),
            style_hash=source_hash(style),
            index=Markup(inert_json({"title": title})),
        )
    )
    write_pieces(out, pieces)


def stages_section(stages: Sequence[StageFigures], title: str = "What each stage was worth") -> Section:
    """The page's figures as a part of another page: accuracies, differences to base and parent, and all as tables."""
    tables = [_figures(stages)]
    if any(stage.runs > 1 for stage in stages):
        tables.append(_runs(stages))
    return Section(
        title=title,
        intervals=tuple(chart for chart in _charts(stages) if chart is not None),
        tables=tuple(FigureTable(table["title"], table["columns"], table["rows"]) for table in tables),
    )


def stages_table(stages: Sequence[StageFigures]) -> TerminalTable:
    """One row a stage, for the terminal."""
    table = TerminalTable(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage", overflow="fold")
    for name in ("greedy", "against base", "against its parent", "every step right"):
        table.add_column(name, justify="right", overflow="fold")
    for row in _figures(stages)["rows"]:
        table.add_row(row["name"], *(row["cells"][place] for place in (0, 1, 2, 3)))
    return table


def _totals(stages: Sequence[StageFigures]) -> list[dict[str, str]]:
    """The first and the last stage, and what lies between them."""
    first, last = stages[0], stages[-1]
    items = [_total(f"Greedy, {first.name}", first)]
    if last is not first:
        items.append(_total(f"Greedy, {last.name}", last))
    if last.against_base is not None:
        found = last.against_base.mean
        change = f"{100 * found.difference.value:+.1f}".replace("-", "−")
        items.append({"name": "Difference in points", "value": change, "note": points(found).partition(" ")[2]})
    if last.sound is not None:
        items.append(
            {
                "name": f"Every step and the answer right, {last.name}",
                "value": f"{100 * last.sound.value:.1f}%",
                "note": f"{points(last.sound_against_base.mean)} against {first.name}"
                if last.sound_against_base
                else percent(last.sound),
            }
        )
    runs = f", {last.runs} runs of the loop" if last.runs > 1 else ""
    items.append({"name": "Questions", "value": f"{last.accuracy.n:,}", "note": f"the same for every model{runs}"})
    return items


def _total(name: str, stage: StageFigures) -> dict[str, str]:
    value, _, interval = percent(stage.accuracy).partition(" ")
    return {"name": name, "value": value, "note": interval}


def _charts(stages: Sequence[StageFigures]) -> list[Any]:
    def differences(title: str, of: Sequence[tuple[str, SeedDifferences | None]]) -> Any:
        rows: list[WhiskerRow] = []
        for name, found in of:
            if found is not None:
                runs = tuple(seed.difference.value for seed in found.seeds) if len(found.seeds) > 1 else ()
                rows.append(difference_row(name, found.mean, runs))
        return whisker_table(title, rows, differences=True)

    base = stages[0].name
    return [
        whisker_table("Greedy accuracy", [share_row(stage.name, stage.accuracy) for stage in stages]),
        differences(f"Difference to {base}", [(stage.name, stage.against_base) for stage in stages]),
        differences(
            "Difference to the stage it was trained from",
            [(f"{stage.name} after {stage.after}", stage.against_parent) for stage in stages if stage.after],
        ),
        whisker_table(
            "Every step and the answer right",
            [share_row(stage.name, stage.sound) for stage in stages if stage.sound is not None],
        ),
        differences(
            f"Every step and the answer right: difference to {base}",
            [(stage.name, stage.sound_against_base) for stage in stages],
        ),
    ]


def _figures(stages: Sequence[StageFigures]) -> dict[str, Any]:
    return {
        "title": "Stages in figures",
        "columns": ["Stage", "Greedy", "Against base", "Against its parent", "Every step right", "What it is"],
        "rows": [
            {
                "name": stage.name,
                "chosen": False,
                "cells": [
                    percent(stage.accuracy),
                    points(stage.against_base.mean if stage.against_base else None),
                    points(stage.against_parent.mean if stage.against_parent else None) if stage.after else "–",
                    percent(stage.sound),
                    stage.description,
                ],
            }
            for stage in stages
        ],
    }


def _runs(stages: Sequence[StageFigures]) -> dict[str, Any]:
    count = max(stage.runs for stage in stages)
    rows = []
    for stage in stages:
        found = stage.against_base
        if found is not None:
            cells = [points(seed) for seed in found.seeds]
            spread = f"{100 * found.spread:.1f}" if len(found.seeds) > 1 else "–"
            rows.append({"name": stage.name, "chosen": False, "cells": [*cells, *["–"] * (count - len(cells)), spread]})
    return {
        "title": "Differences to the base, run by run",
        "columns": ["Stage", *(f"Run {number}" for number in range(1, count + 1)), "Standard deviation"],
        "rows": rows,
    }
