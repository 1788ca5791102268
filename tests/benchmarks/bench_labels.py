"""How fast labels are made: `python -m tests.benchmarks.bench_labels` prints one line of JSON.

10,000 synthetic trees of 60 nodes, 38 of them leaves that state an answer, one question each, made one at a time as a
file would give them. For every kind, in a process of its own: seconds of labelling (the time to make the trees taken
off; `cpu_seconds` is steadier on a busy machine), peak memory of the process, records kept. `files`: from a tree file
to a written label set and back.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from meds3core.config.labels import LabelConfig, PairLabelConfig, SftLabelConfig, StepLabelConfig
from meds3core.data.labels import read_labels, write_labels
from meds3core.data.trees import read_trees, write_trees
from meds3core.labels.build import build_labels
from meds3core.text.steps import OPENER
from meds3core.types.labels import LabelKind
from meds3core.types.question import Gold, NumberFormat, OpenQuestion, Question
from meds3core.types.tree import Move, Node, Provenance, StopReason, Tree, TreeTotals

TARGET_SECONDS, TARGET_MIB = 60, 2048
NODES, LEAVES = 60, 38

CONFIGS: dict[str, LabelConfig] = {
    "sft": SftLabelConfig(),
    "pairs": PairLabelConfig(),
    **{f"steps {kind.value}": StepLabelConfig(label=kind) for kind in LabelKind},
}


class Coin:
    """A judge whose opinion costs next to nothing."""

    def judge(self, question: OpenQuestion, earlier_bodies: Sequence[str], body: str) -> bool | None:
        """Right or wrong by the length of the step."""
        return len(body) % 3 > 0


def synthetic_tree(number: int) -> Tree:
    """A tree of 60 nodes below the root, 22 inner ones and 38 leaves, with steps of about 120 characters."""
    rng = random.Random(number)
    inner = NODES - LEAVES
    nodes = [Node.model_construct(id=0, parent=-1, depth=0, move=Move.ROOT, text=OPENER, value=0.5, visits=60)]
    for index in range(1, NODES + 1):
        leaf = index > inner
        # The newest inner nodes have few children, the leaves hang anywhere: depths up to about ten.
        parent = nodes[rng.randrange(max(0, index - 4), index) if not leaf else rng.randrange(inner + 1)]
        right = rng.random() < 0.4 if leaf else None
        outcomes = () if leaf else tuple(int(rng.random() < 0.4) for _ in range(8))
        own = float(bool(right)) if leaf else sum(outcomes) / 8
        words = f"Step {index} of tree {number} takes {rng.randrange(10**6)} mg and divides it; " * 2
        nodes.append(
            Node.model_construct(
                id=index,
                parent=parent.id,
                depth=parent.depth + 1,
                move=Move.FINISH if leaf else Move.REASON,
                text=f"{words}The answer is {7 if right else 8} mg." if leaf else words.strip(),
                outcomes=outcomes,
                rollout_value=own,
                value=own if leaf else rng.random(),
                visits=1,
                answer=None if right is None else f"{7 if right else 8} mg",
                verdict=right,
                complete=True,
            )
        )
    text = f"Question {number}: a patient of {number % 90} years and {number % 120} kg. How many mg? " * 4
    return Tree(
        question=Question(id=f"q{number}", text=text, answer_format=NumberFormat(unit="mg"), gold=Gold(value="7 mg")),
        provenance=Provenance(
            policy="none", policy_hash="0", engine="none", prompt="plain@1", prompt_hash="0", config_hash="0", seed=0
        ),
        stop_reason=StopReason.MAX_NODES,
        totals=TreeTotals(),
        nodes=tuple(nodes),
    )


class Clocked:
    """Trees, one at a time, and the seconds it took to make them."""

    def __init__(self, count: int) -> None:
        self.seconds = self.cpu_seconds = 0.0
        self._count = count

    def __iter__(self) -> Iterator[Tree]:
        for number in range(self._count):
            start, busy = time.perf_counter(), time.process_time()
            tree = synthetic_tree(number)
            self.seconds += time.perf_counter() - start
            self.cpu_seconds += time.process_time() - busy
            yield tree


def measure(name: str, count: int) -> dict[str, float]:
    """Label `count` trees in this process."""
    config = CONFIGS[name]
    judged = isinstance(config, StepLabelConfig) and config.label in (LabelKind.CONSENSUS, LabelKind.HUMAN)
    trees = Clocked(count)
    start, busy = time.perf_counter(), time.process_time()
    label_set = build_labels(trees, config, judge=Coin() if judged else None)
    return {
        "seconds": round(time.perf_counter() - start - trees.seconds, 2),
        "cpu_seconds": round(time.process_time() - busy - trees.cpu_seconds, 2),
        "peak_mib": peak_mib(),
        "kept": label_set.counts.kept,
    }


def measure_files(count: int) -> dict[str, float]:
    """From a tree file to step labels on disk, and back into memory."""
    with tempfile.TemporaryDirectory() as folder:
        trees, labels = Path(folder) / "trees.jsonl", Path(folder) / "labels"
        write_trees(trees, (synthetic_tree(number) for number in range(count)))
        start = time.perf_counter()
        label_set = build_labels(read_trees(trees), StepLabelConfig())
        built = time.perf_counter()
        write_labels(labels, label_set)
        written = time.perf_counter()
        peak = peak_mib()
        kept = label_set.counts.kept
        del label_set
        again = time.perf_counter()
        assert read_labels(labels).counts.kept == kept
        return {
            "read_trees_and_label_seconds": round(built - start, 2),
            "write_seconds": round(written - built, 2),
            "read_labels_seconds": round(time.perf_counter() - again, 2),
            "peak_mib": peak,
            "labels_mib": round(sum(file.stat().st_size for file in labels.iterdir()) / 2**20),
        }


def peak_mib() -> int:
    """Greatest resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure one kind (`--kind`), or all of them, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=10_000)
    parser.add_argument("--kind", choices=[*CONFIGS, "files"])
    options = parser.parse_args()
    if options.kind:
        one = measure_files(options.trees) if options.kind == "files" else measure(options.kind, options.trees)
        print(json.dumps(one))
        return
    figures = {}
    for name in [*CONFIGS, "files"]:
        command = [sys.executable, "-m", "tests.benchmarks.bench_labels", "--kind", name, "--trees", str(options.trees)]
        figures[name] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    kinds = [figures[name] for name in CONFIGS]
    met = all(kind["seconds"] < TARGET_SECONDS and kind["peak_mib"] < TARGET_MIB for kind in kinds)
    print(json.dumps({"bench": "labels", "trees": options.trees, "nodes": NODES, "kinds": figures, "met": met}))


if __name__ == "__main__":
    main()
