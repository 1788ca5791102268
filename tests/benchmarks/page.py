"""The page of benchmarks out of what each part measured."""

from collections.abc import Callable
from typing import Any

from tests.benchmarks.page_chat import chat
from tests.benchmarks.page_judging import judging
from tests.benchmarks.page_tables import table as _table

HEAD = """\
# Benchmarks

Written by `make bench`. Policy: the bundled one; questions: the synthetic clinic. Ratios compare two measurements of
one run and hold elsewhere; absolute figures belong to the machine named under each heading.
"""

_SEARCH = """
Preset `quick`.

**Against the engine's limit**: generated tokens per second of the search, divided by those of a fresh engine of the
same process that is given all the same requests at once and has nothing to wait for. *Steady* is from the first
finished tree until fewer questions than the concurrency remain; *whole* includes the first and last trees.

**Against the published schedule**: nodes per second of 64 trees at once, divided by those of one tree at a time with
one call to the model at a time that holds the n samples of one prompt; same engine, same questions.

**Event loop's share**: processor time of the thread that runs the search (select, back up, verify, asyncio and the
engine's front), as a share of wall time.

**Trees that differ** between growing among 64 and among 4: batch-dependent rounding flips a rare token
(`batch_invariant=true` excludes it).
"""

_TRAINING = """
Our training against TRL's trainer with nothing around it: same token ids, order, batches and settings, run in turn;
the ratio is the median over pairs of runs.
"""

_PRM = """
**Whole tree in one pass** against one pass per trajectory (batched by length), and against one pass per step of every
trajectory, the published way (batches of one, as published); for training, one epoch over all leaves' trajectories.
*Unique tokens* are the prompt's and every node's own; siblings that begin with the same words share those too, which is
why fewer may be computed.
"""

_LABELS = """
Trees are made one at a time, as a file gives them; the time to make them is taken off. *Files*: from a tree file to a
written label set.
"""

_PAGES = """
PostgreSQL with 200 datasets, 1,000,000 questions, 5,000 jobs and 500,000 events (times {scale:g}), all of one team; one
dataset has a fifth of the questions. Each figure is a whole request, from middleware to the drawn page, in one process.
"""

_WANTED_SEARCH = {
    ("limit", "transformers"): 0.85,
    ("limit", "vllm"): 0.90,
    ("published", "transformers"): 1.8,
    ("published", "vllm"): 2.5,
}


def page(known: dict[str, Any], notes: str) -> str:
    """Every part that was ever measured, and the notes by hand."""
    text = HEAD
    for part, (title, write) in PARTS.items():
        if part in known:
            text += f"\n## {title}\n\nMeasured {known[part]['date']} on {known[part]['machine']}.\n\n"
            text += write(known[part]["figures"])
    return text + "\n" + notes


def _search(figures: dict[str, dict[str, dict[str, Any]]]) -> str:
    rows: list[tuple[str, ...]] = [("figure", *figures)]

    def row(name: str, group: str, key: str, form: str, target: bool = False) -> None:
        cells = []
        for engine, groups in figures.items():
            value = groups.get(group, {}).get(key)
            cell = "–" if value is None else form.format(value)
            wanted = _WANTED_SEARCH.get((group, engine)) if target else None
            cells.append(f"{cell} (wanted: {wanted})" if wanted else cell)
        rows.append((name, *cells))

    row("questions, trees at once", "limit", "questions", "{:.0f}, 64")
    row("requests", "limit", "requests", "{:,.0f}")
    row("search, steady, tokens/s", "limit", "search_tokens_per_s_steady", "{:,.0f}")
    row("the engine's limit, tokens/s", "limit", "engine_limit_tokens_per_s", "{:,.0f}")
    row("**ratio, steady**", "limit", "ratio_steady", "**{:.2f}**", target=True)
    row("ratio, whole run", "limit", "ratio_whole", "{:.2f}")
    row("64 trees at once, nodes/s", "published", "nodes_per_s_at_once", "{:,.1f}")
    row("published schedule, nodes/s", "published", "nodes_per_s_published_schedule", "{:,.1f}")
    row("**ratio**", "published", "ratio", "**{:.2f}**", target=True)
    row("event loop's share of wall, 64 trees", "limit", "event_loop_share_of_wall", "{:.1%}")
    row("event loop's share of wall, 256 trees (wanted: under 5%)", "forest_256", "event_loop_share_of_wall", "{:.1%}")
    row("trees that differ alone and in company (wanted: under 1%)", "company", "share", "{:.1%}")
    return _table(rows) + _SEARCH


def _engines(figures: dict[str, str]) -> str:
    return "\n".join(f"{engine}:\n\n```\n{output}\n```\n" for engine, output in figures.items())


def _training(figures: dict[str, Any]) -> str:
    methods = {name: figures[name] for name in ("sft", "dpo")}
    rows: list[tuple[str, ...]] = [
        ("figure", *(name.upper() for name in methods)),
        ("tokens per run", *(f"{each['tokens']:,}" for each in methods.values())),
        ("ours, tokens/s", *(f"{each['tokens_per_s']['ours']:,}" for each in methods.values())),
        ("the library's loop, tokens/s", *(f"{each['tokens_per_s']['library']:,}" for each in methods.values())),
        ("**ratio**", *(f"**{each['ratio']:.2f}** (wanted: {each['wanted']})" for each in methods.values())),
        ("ratio of processor time", *(f"{each['ratio_of_processor_time']:.2f}" for each in methods.values())),
    ]
    return _table(rows) + _TRAINING


def _prm(figures: dict[str, Any]) -> str:
    scoring, training = figures["scoring"], figures["training"]
    rows: list[tuple[str, ...]] = [
        ("figure", "value", "wanted"),
        ("trees of about 60 nodes, their leaves", f"{scoring['trees']}, {scoring['leaves']}", ""),
        ("tokens: flat, unique", f"{scoring['flat_tokens']:,}, {scoring['unique_tokens']:,}", ""),
        ("scoring, tree against flat", f"**{scoring['against_flat']:.1f}×**", "2.5×"),
        ("scoring, tree against one pass per step", f"**{scoring['against_step_by_step']:.1f}×**", "10×"),
        ("training, tree against flat, per epoch", f"**{training['against_flat']:.1f}×**", "2×"),
        ("computed tokens ÷ unique tokens", f"**{scoring['computed_over_unique']:.2f}**", "at most 1.1"),
    ]
    return _table(rows) + _PRM


def _labels(figures: dict[str, Any]) -> str:
    kinds = dict(figures["kinds"])
    files = kinds.pop("files")
    rows: list[tuple[str, ...]] = [
        (f"{figures['trees']:,} trees of {figures['nodes']} nodes", "seconds (wanted: under 60)", "MiB (under 2,048)")
    ]
    rows += [(name, f"{each['seconds']:.1f}", f"{each['peak_mib']:,}") for name, each in kinds.items()]
    seconds = files["read_trees_and_label_seconds"] + files["write_seconds"]
    rows.append(("files", f"{seconds:.1f}", f"{files['peak_mib']:,}"))
    return _table(rows) + _LABELS


def _storing(figures: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("database", "nodes/s", "trees/s", "99th percentile of a transaction")]
    for name, each in figures.items():
        nodes = f"**{each['nodes_per_s']:,.0f}** (wanted: {each['wanted']:,})"
        rows.append((name, nodes, f"{each['trees_per_s']:,.0f}", f"{each['p99_ms']:.0f} ms"))
    return _table(rows) + _STORING


_STORING = """
Trees of 60 nodes, one transaction each with nodes, compressed arena and the question's state, by one worker.
"""

_DOWNLOAD = """
Real uvicorn; the file is sparse, so that the disk does not count. The archive is made while it is sent.
"""


def _download(figures: dict[str, Any]) -> str:
    grown = f"growth of the web process (wanted: under {figures['wanted_mebibytes']} MiB)"
    rows: list[tuple[str, ...]] = [(f"{figures['mebibytes']:,} MiB", grown, "MiB/s")]
    for name, title in (("file", "one file"), ("archive", "the model as an archive")):
        each = figures[name]
        rows.append((title, f"**{each['grown_mebibytes']:.0f} MiB**", f"{each['mebibytes_per_second']:,}"))
    return _table(rows) + _DOWNLOAD


_GPU = """
Run by `make bench PARTS=gpu` on a machine with a GPU, in bfloat16. `1B` has the layers of Llama 3.2 1B and writes what
the bundled policy writes (weights are added that change no output), so that searches are real ones; `random` has the
shape and the vocabulary of Qwen2.5 0.5B. The library's `generate` runs with the attention that the engine uses;
batches of it wait for their slowest row. *Against 1*: the engine's tokens/s over those at one request at a time.
"""


def _gpu(figures: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [
        ("model, in flight", "engine, tokens/s", "`generate`, tokens/s", "ratio", "against 1")
    ]
    for model, levels in figures.get("engines", {}).items():
        for each in levels:
            engine, library = (each["tokens_per_s"][side] for side in ("engine", "generate"))
            gain = engine / levels[0]["tokens_per_s"]["engine"]
            name = f"{model}, {each['in_flight']}"
            rows.append((name, f"{engine:,}", f"{library:,}", f"**{each['ratio']:.2f}**", f"{gain:.0f}×"))
    text = _table(rows)
    if "search" in figures:
        limit, published = figures["search"]["limit"], figures["search"]["published"]
        text += "\n" + _table(
            [
                ("search, 1B", "value"),
                ("questions, trees at once", f"{limit['questions']}, {limit['concurrency']}"),
                ("search, steady, tokens/s", f"{limit['search_tokens_per_s_steady']:,.0f}"),
                ("**ratio to the engine's limit, steady**", f"**{limit['ratio_steady']:.2f}**"),
                ("ratio, whole run", f"{limit['ratio_whole']:.2f}"),
                ("64 trees at once, nodes/s", f"{published['nodes_per_s_at_once']:.1f}"),
                ("published schedule, nodes/s", f"{published['nodes_per_s_published_schedule']:.1f}"),
                ("**ratio**", f"**{published['ratio']:.1f}**"),
                ("event loop's share of wall", f"{limit['event_loop_share_of_wall']:.1%}"),
            ]
        )
    if "prm" in figures:
        text += "\n" + _prm(figures["prm"])
    if "training" in figures:
        text += "\n" + _training(figures["training"])
    return text + _GPU


def _live(figures: dict[str, Any]) -> str:
    shown, claimed, many = figures["shown"], figures["claimed"], figures["many"]
    rows: list[tuple[str, ...]] = [
        ("figure", "median, ms", "p95, ms", "worst, ms"),
        (
            f"event written by a worker → shown in an open page ({shown['count']} events; wanted: p95 under 250)",
            str(shown["median_ms"]),
            f"**{shown['p95_ms']}**",
            str(shown["worst_ms"]),
        ),
        (
            f"submit → claimed by an idle worker ({claimed['count']} jobs; wanted: p95 under 500)",
            str(claimed["median_ms"]),
            f"**{claimed['p95_ms']}**",
            str(claimed["worst_ms"]),
        ),
    ]
    return _table(rows) + (
        f"\n{many['clients']} sockets on one job that writes ten events a second: **{many['clients_that_missed']}** of "
        f"them missed one of {many['events']} events (wanted: 0); the web process took "
        f"**{many['share_of_a_core']:.0%}** of a core (wanted: under 60%).\n"
    )


_IMPORT = """
A file of published records with texts as long as MedQA's, imported as a job does it: read by the limited process,
checked, stored in fenced batches with their search index, counted. Upload and the worker's start are left out.
PostgreSQL's server works on the same cores as the two processes.
"""


def _import(figures: dict[str, Any]) -> str:
    found = list(figures.values())

    def row(name: str, shown: Callable[[dict[str, Any]], str]) -> tuple[str, ...]:
        return name, *(shown(each) for each in found)

    batch = found[0]["batch"]
    rows = [
        ("figure", *figures),
        row("rows", lambda each: f"{each['rows']:,} ({each['megabytes']:g} MB)"),
        row("rows per second (wanted: 5,000)", lambda each: f"**{each['rows_a_second']:,}**"),
        row(
            "rows per second without the counting at the end",
            lambda each: f"{each['rows_a_second_without_counting']:,}",
        ),
        row("processor time a row, reading process", lambda each: _each(each["cpu_seconds_reading"], each["rows"])),
        row("processor time a row, storing process", lambda each: _each(each["cpu_seconds_storing"], each["rows"])),
        row(f"write of {batch} rows, 95th percentile (wanted: 100 ms)", lambda each: f"{each['write_p95_ms']:g} ms"),
        row("memory of both processes, most", lambda each: f"{each['memory_mb']:,} MB"),
        row(
            "its growth, second quarter of the rows to last",
            lambda each: f"{each['memory_growth_mb']:g} MB",
        ),
    ]
    return _IMPORT + "\n" + _table(rows)


def _each(seconds: float, rows: int) -> str:
    return f"{seconds / rows * 1e6:.0f} µs"


def _pages(figures: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("page", "median, ms", "p95, ms (wanted: under 150)", "queries (at most 15)")]
    rows += [
        (name, f"{each['median_ms']:.0f}", f"**{each['p95_ms']:.0f}**", str(each["queries"]))
        for name, each in figures["pages"].items()
    ]
    return _table(rows) + _PAGES.format(scale=figures["scale"])


_DRAWING = """
The tree's real page with real uvicorn, in Chromium without a GPU, which draws on the same cores. Times go from the
navigation's start until the tree is on the screen, with the browser's cache filled; frames are those between which the
wheel turns and the mouse drags.
"""


def _drawing(figures: dict[str, Any]) -> str:
    first, usual = figures["first_paint_ms"], figures["usual_ready_ms"]
    rows: list[tuple[str, ...]] = [
        ("figure", "median", "p95 or worst", "wanted"),
        (
            f"{figures['nodes']:,} nodes, until drawn",
            f"**{first['median_ms']:,} ms**",
            f"{first['worst_ms']:,} ms",
            "1,500 ms",
        ),
    ]
    for key, title in (("zoom_frame_ms", "frame while zooming"), ("drag_frame_ms", "frame while dragging")):
        each = figures[key]
        rows.append((title, f"{each['median_ms']:g} ms", f"**{each['p95_ms']:g} ms**", "p95 of 33 ms"))
    rows.append(("elements of the page", f"**{figures['elements']:,}**", "", "3,000"))
    rows.append(("60 nodes, page ready", f"**{usual['median_ms']:,} ms**", f"{usual['worst_ms']:,} ms", "300 ms"))
    return _table(rows) + _DRAWING


_EVALUATIONS = """
{evaluations} evaluations of {questions:,} questions, 6 samples and 66 strategies each, all of one team. A comparison is
computed when it is first asked for: 10,000 resamples of the questions for every measure that both have.
"""


def _evaluations(figures: dict[str, Any]) -> str:
    databases = figures["databases"]
    heads = [
        f"{name}: {what}" for name in databases for what in ("first, ms", "p95, ms (wanted: under 150)", "queries")
    ]
    rows: list[tuple[str, ...]] = [("page", *heads)]
    for name in next(iter(databases.values()))["pages"]:
        cells: list[str] = []
        for each in databases.values():
            page = each["pages"][name]
            cells += [f"{page['first_ms']:,.0f}", f"**{page['p95_ms']:.0f}**", str(page["queries"])]
        rows.append((name, *cells))
    return _table(rows) + _EVALUATIONS.format(**figures)


_TREES = """
{nodes:,} nodes stored, of them {largest:,} trees of one search. A page is asked for again and again, each time with
another tree; time is that of the whole request in one process. The figures of a search that is over are kept once
counted.
"""


def _trees(figures: dict[str, Any]) -> str:
    databases = figures["databases"]
    heads = [f"{name}: {what}" for name in databases for what in ("median, ms", "p95, ms", "queries (at most 15)")]
    rows: list[tuple[str, ...]] = [("page", *heads, "wanted, p95")]
    for name, first in next(iter(databases.values()))["pages"].items():
        cells: list[str] = []
        for each in databases.values():
            page = each["pages"][name]
            cells += [f"{page['median_ms']:.0f}", f"**{page['p95_ms']:.0f}**", str(page["queries"])]
        rows.append((name, *cells, f"{first['target_ms']} ms"))
    one = next(iter(databases.values()))
    return _table(rows) + _TREES.format(nodes=one["nodes"], largest=one["largest"])


_CURVES = """
Real uvicorn and Chromium on SQLite: eight curves of one run, written twenty points at a time as a worker does. *Page*:
from the navigation until every curve is drawn. *Closer*: from the choice of 500 steps until all their points are drawn.
"""


def _curves(figures: dict[str, Any]) -> str:
    title = f"{figures['points']:,} points in {figures['rows']:,} rows"
    rows: list[tuple[str, ...]] = [(title, "median, ms", "p95, ms", "worst, ms")]
    names = {
        "page": f"page, curves drawn (wanted: under {figures['wanted_ms']})",
        "curves": "of it, from the question to the drawing",
        "server": "of it, the server's answer",
        "closer": "a closer look",
    }
    for key, name in names.items():
        each = figures[key]
        rows.append((name, str(each["median_ms"]), f"**{each['p95_ms']}**", str(each["worst_ms"])))
    return _table(rows) + _CURVES


PARTS = {
    "search": ("Search", _search),
    "engines": ("The engines by themselves", _engines),
    "labels": ("Labels", _labels),
    "training": ("Training", _training),
    "prm": ("Reward models: whole trees in one pass", _prm),
    "live": ("Live pages and the queue", _live),
    "chat": ("Chat", chat),
    "curves": ("Curves of a long run", _curves),
    "import": ("Import of questions", _import),
    "storing": ("Storing of trees", _storing),
    "download": ("Downloads", _download),
    "pages": ("List pages and searches of a large instance", _pages),
    "trees": ("Pages of trees and searches", _trees),
    "drawing": ("Drawing of trees", _drawing),
    "evaluations": ("Pages of evaluations", _evaluations),
    "judging": ("Judging", judging),
    "gpu": ("On a GPU", _gpu),
}
"""Title and writer of each part, in the order of the page."""
