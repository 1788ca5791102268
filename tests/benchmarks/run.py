"""`make bench`: run every benchmark in turn, each in a process of its own, and write docs/benchmarks.md.

Let nothing else run meanwhile. Every figure is a ratio of two measurements of one run, so that it holds on other
machines too; the absolute figures beside it belong to the machine named.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
ENGINES = ("transformers", "vllm")
TARGETS = {
    ("limit", "transformers"): 0.85,
    ("limit", "vllm"): 0.90,
    ("published", "transformers"): 1.8,
    ("published", "vllm"): 2.5,
}

HEAD = """\
# Benchmarks

Written by `make bench` ({date}) on {machine}.

Policy: the bundled one; questions: the synthetic clinic; preset `quick`. Ratios compare two measurements of one run and
hold elsewhere; absolute figures belong to this machine.

"""

EXPLANATIONS = """
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=288)
    parser.add_argument("--few", type=int, default=16)
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    engines = [engine for engine in ENGINES if engine != "vllm" or find_spec("vllm")]
    text = HEAD.format(date=date.today().isoformat(), machine=machine())
    figures = {}
    for engine in engines:
        print(f"search with {engine} …", flush=True)
        output = run(
            "tests.benchmarks.bench_search",
            "--engine",
            engine,
            "--questions",
            str(options.questions),
            "--few",
            str(options.few),
        )
        figures[engine] = json.loads(output[output.rindex('{\n "engine"') :])
    text += "## Search\n\n" + search_table(figures) + EXPLANATIONS
    for engine in engines:
        print(f"{engine} engine …", flush=True)
        output = run(f"tests.benchmarks.bench_{engine}_engine")
        text += f"\n## The {engine} engine by itself\n\n```\n{output.strip()}\n```\n"
    notes = PAGE.with_name("benchmark-notes.md")
    if notes.exists():
        text += "\n" + notes.read_text(encoding="utf-8")
    PAGE.write_text(text, encoding="utf-8")
    print(f"written to {PAGE}")


def run(module: str, *arguments: str) -> str:
    """Standard output of a benchmark; its errors go to the terminal."""
    result = subprocess.run([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    print(result.stdout, flush=True)
    return result.stdout


def search_table(figures: dict[str, dict[str, dict[str, Any]]]) -> str:
    rows = [("figure", *figures), ("---", *("---" for _ in figures))]

    def row(name: str, group: str, key: str, form: str, target: bool = False) -> None:
        cells = []
        for engine, groups in figures.items():
            value = groups.get(group, {}).get(key)
            cell = "–" if value is None else form.format(value)
            wanted = TARGETS.get((group, engine)) if target else None
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
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"


def machine() -> str:
    """Processor, cores and memory, without names."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    memory = psutil.virtual_memory().total / 2**30
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{psutil.cpu_count()} cores ({model}), {memory:.0f} GiB, Python {platform.python_version()}, {gpu}"


if __name__ == "__main__":
    main()
