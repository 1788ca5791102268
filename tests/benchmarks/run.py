"""`make bench`: run the benchmarks in turn, each in a process of its own, and write docs/benchmarks.md.

    make bench                     every part
    make bench PARTS="labels prm"  only these; the page keeps what the others gave last, with its date

Let nothing else run meanwhile. Every figure is a ratio of two measurements of one run, so that it holds on other
machines too; the absolute figures beside it belong to the machine named. Figures are kept in docs/benchmarks.json.
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

from meds3core.data.write import atomic_text
from tests.benchmarks.page import PARTS, page

DOCS = Path(__file__).parents[2] / "docs"
ENGINES = ("transformers", "vllm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--questions", type=int, default=288, help="of the search")
    parser.add_argument("--few", type=int, default=16, help="questions that are searched one at a time")
    options = parser.parse_args()
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"no such part: {', '.join(unknown)}. There are: {', '.join(PARTS)}.")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    store = DOCS / "benchmarks.json"
    known: dict[str, Any] = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    import torch

    for part in options.parts or [part for part in PARTS if part != "gpu" or torch.cuda.is_available()]:
        print(f"{part} …", flush=True)
        figures = _measure(part, options)
        known[part] = {"date": date.today().isoformat(), "machine": machine(), "figures": figures}
        with atomic_text(store) as file:  # after each part: what was measured is not lost
            file.write(json.dumps(known, indent=1) + "\n")
    with atomic_text(DOCS / "benchmarks.md") as file:
        file.write(page(known, (DOCS / "benchmark-notes.md").read_text(encoding="utf-8")))
    print(f"written to {DOCS / 'benchmarks.md'}")


def _measure(part: str, options: argparse.Namespace) -> Any:
    engines = [engine for engine in ENGINES if engine != "vllm" or find_spec("vllm")]
    match part:
        case "search":
            sizes = ["--questions", str(options.questions), "--few", str(options.few)]
            outputs = {engine: run("bench_search", "--engine", engine, *sizes) for engine in engines}
            return {engine: json.loads(text[text.rindex('{\n "engine"') :]) for engine, text in outputs.items()}
        case "engines":
            return {engine: run(f"bench_{engine}_engine").strip() for engine in engines}
        case _:
            return json.loads(run(f"bench_{part}").strip().splitlines()[-1])


def run(name: str, *arguments: str) -> str:
    """Standard output of a benchmark; its errors go to the terminal."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(result.stdout, flush=True)
    return result.stdout


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
