"""A search's trees as one HTML file that needs nothing else: no server, no network, no other file.

Figures and charts are written here; the grid and the trees are drawn by the page's own script. Every tree is its
line of the tree file, gzipped and base64-coded in a script element of its own, unpacked by the browser when it is
opened: a thousand trees open as fast as ten. The page's policy allows its one script and one style by hash and
nothing else, so a question's text cannot act even if it got out of its quotes.
"""

import base64
import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from meds3core.data.trees import Failure, tree_line
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
        blobs.append(base64.b64encode(gzip.compress(tree_line(tree).encode(), 6, mtime=0)).decode())
    failed = list(failures)
    summary = tally.result(failed)
    script = _script()
    style = _asset("page.css")
    page = _environment().get_template("page.html.j2")
    pieces = page.generate(
        title=title,
        notes=notes,
        summary=summary,
        failures=failed,
        script=Markup(script),
        script_hash=_source_hash(script),
        style=Markup(style),
        style_hash=_source_hash(style),
        index=Markup(inert_json({"title": title, "questions": rows})),
        blobs=blobs,
        **_charts(summary),
    )
    _write_pieces(out, pieces)
    return summary


def inert_json(value: Any) -> str:
    """JSON that can stand in a script element: no character in it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


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


def _environment() -> Environment:
    loader = PackageLoader("meds3core.report", "assets")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)


def _asset(name: str) -> str:
    return resources.files("meds3core.report").joinpath("assets", name).read_text(encoding="utf-8")


def _script() -> str:
    """The page's script: its files in order, in a scope of their own."""
    parts = "\n".join(_asset(name) for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _source_hash(text: str) -> str:
    """What a content security policy calls an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _write_pieces(out: Path, pieces: Iterable[str]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.", suffix=".partial")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
        Path(name).chmod(0o644)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
