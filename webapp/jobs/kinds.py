"""What the queue must know of each kind of job, without knowing how it is done (workers.run has that table)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Queue(StrEnum):
    """Where a job waits: for a worker with a GPU, or for any."""

    GPU = "gpu"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job."""

    label: str
    queue: Queue
    max_failures: int = 3
    """Lost leases and crashes after which the job has failed."""
    operators_only: bool = False
    offered: bool = False
    """Whether this version can run it; the others are known and refused."""
    listed: bool = True
    """Whether lists of jobs show it. What a page asks for behind the scenes is left out."""
    standing: str = ""
    """Of work that is stored piece by piece: by dotted name, how far it is (`webapp.jobs.shards.Standing`)."""


KINDS: Mapping[str, Kind] = {
    "preview": Kind("Preview of a file", Queue.CPU, max_failures=2, offered=True, listed=False),
    "import": Kind("Import", Queue.CPU, offered=True),
    "pass-rates": Kind("Curriculum pass rates", Queue.GPU, offered=True),
    "search": Kind("Search", Queue.GPU, offered=True, standing="webapp.trees.selectors.search_standing"),
    "tree-scoring": Kind("Scoring of trees", Queue.GPU, offered=True),
    "labels": Kind("Label build", Queue.CPU, offered=True),
    "sft": Kind("Fine-tuning", Queue.GPU, offered=True),
    "dpo": Kind("Preference training", Queue.GPU, offered=True),
    "prm": Kind("Process reward model", Queue.GPU, offered=True),
    "orm": Kind("Outcome reward model", Queue.GPU, offered=True),
    "grpo": Kind("Reinforcement learning", Queue.GPU, offered=True),
    "evaluation": Kind("Evaluation", Queue.GPU, offered=True),
    "evolution": Kind("Evolution", Queue.GPU, offered=True),
    "estimate": Kind("Estimate", Queue.GPU),
    "model-import": Kind("Model import", Queue.CPU, offered=True),
    "export": Kind("Export", Queue.CPU, offered=True),
    "curriculum": Kind("Curriculum", Queue.CPU, offered=True),
    "dataset-check": Kind("Check of a dataset", Queue.CPU, offered=True),
    "backup": Kind("Backup", Queue.CPU, operators_only=True, offered=True),
    "self-check": Kind("Self-check", Queue.CPU, operators_only=True, offered=True),
}
