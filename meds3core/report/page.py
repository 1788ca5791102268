"""A search's trees as one HTML file that needs nothing else: no server, no network, no other file.

Figures and charts are written here; the grid and the trees are drawn by the page's own script. Every tree is its
line of the tree file, gzipped and base64-coded in a script element of its own, unpacked by the browser when it is
opened: a thousand trees open as fast as ten. The page's policy allows its one script and one style by hash and
nothing else, so a question's text cannot act even if it got out of its quotes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from meds3core.data.trees import Failure, tree_line
from meds3core.report.standalone import asset, environment, inert_json, packed, script_of, source_hash, write_pieces
from meds3core.report.summary import ForestSummary, GroupFigures, Tally, TreeFigures
from meds3core.types.tree import Tree

SCRIPTS = ("base.js", "overview.js", "drawing.js", "list.js", "tree.js", "start.js")
PREVIEW = 2000
"""Characters of a question that the overview knows, for its search; the tree itself has the whole text."""


def write_report(
    trees: Iterable[Tree],
    failures: Iterable[Failure],
    out: Path,
    *,
    title: str = "Search report",
    notes: Sequence[str] = (),
) -> ForestSummary:
    """Write the page and return the figures at its head. The file appears whole or not at all.

    `notes` stand at the top, for what a reader must know before the figures (an unfinished search); the trees
    are read first, so whoever reads them may still add to it. The page is a
    function of its arguments: it holds no date and no path.
    """
    tally, rows, blobs = Tally(), [], []
    for tree in trees:
        rows.append(_row(tally.add(tree), tree.question.text))
        blobs.append(packed(tree_line(tree)))
    failed = list(failures)
    summary = tally.result(failed)
    script = script_of(SCRIPTS)
    style = asset("page.css")
    page = environment().get_template("page.html.j2")
    pieces = page.generate(
        title=title,
        notes=notes,
        summary=summary,
        failures=failed,
        script=Markup(script),
        script_hash=source_hash(script),
        style=Markup(style),
        style_hash=source_hash(style),
        index=Markup(inert_json({"title": title, "questions": rows})),
        blobs=blobs,
        **_charts(summary),
    )
    write_pieces(out, pieces)
    return summary


def _row(figures: TreeFigures, text: str) -> dict[str, Any]:
    """What the overview knows of a tree."""
    return {
        "id": figures.id,
        "source": figures.source,
        "domain": figures.domain,
        "stop": figures.stop_reason,
        "nodes": figures.nodes,
        "finished": figures.finished,
        "correct": figures.correct,
        "drops": figures.drops,
        "text": text[:PREVIEW],
    }


def _charts(summary: ForestSummary) -> dict[str, Any]:
    """Rows of the charts, in words and shares."""
    values = [
        _bar(f".{index}", f"value {index / 10:.1f} to {(index + 1) / 10:.1f}", count)
        for index, count in enumerate(summary.value_histogram)
    ]
    depths = [_bar(str(depth), f"step {depth}", count) for depth, count in enumerate(summary.depth_histogram, start=1)]
    by_source, by_domain = _solved("Solved by source", summary.sources), _solved("Solved by domain", summary.domains)
    return {
        "values": values,
        "depths": depths,
        "stops": _shares(summary.stop_reasons, summary.questions),
        "moves": _shares(summary.moves, summary.nodes),
        "solved_by": [groups for groups in (by_source, by_domain) if groups["rows"]],
    }


def _bar(label: str, hint: str, count: int) -> dict[str, Any]:
    short = f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"
    return {"label": label, "hint": hint, "count": count, "short": short}


def _shares(counts: dict[str, int], total: int) -> list[dict[str, Any]]:
    return [{"name": name, "share": count / total, "figure": f"{count:,}"} for name, count in counts.items()]


def _solved(title: str, groups: tuple[GroupFigures, ...]) -> dict[str, Any]:
    """Groups with a gold answer; one nameless group says nothing and is left out."""
    rows = [
        {"name": group.name or "not named", "share": group.solved_fraction, "figure": f"{group.solved}/{group.judged}"}
        for group in groups
        if group.judged and (group.name or len(groups) > 1)
    ]
    return {"title": title, "rows": rows}
