"""What the queue must know of each kind of job, without knowing how it is done (workers.run has that table)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from webapp.accounts.rules import Action


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
    longest_hours: float = 14 * 24
    """Hours for which workers may work on it, pauses left out; `MEDS3_JOBS_LONGEST` has the operator's own."""
    operators_only: bool = False
    offered: bool = False
    """Whether this version can run it; the others are known and refused."""
    listed: bool = True
    """Whether lists of jobs show it. What a page asks for behind the scenes is left out."""
    goes_on: bool = False
    """Whether a later attempt goes on with what an earlier one kept, of work that records no checkpoints."""
    needs: Action | None = None
    """What a caller must be allowed besides submitting: the job changes more than jobs do."""
    standing: str = ""
    """Of work that is stored piece by piece: by dotted name, how far it is (`webapp.jobs.shards.Standing`)."""


KINDS: Mapping[str, Kind] = {
    "preview": Kind("Preview of a file", Queue.CPU, max_failures=2, longest_hours=1, offered=True, listed=False),
    "import": Kind("Import", Queue.CPU, longest_hours=24, offered=True, goes_on=True, needs=Action.DATASET_CHANGE),
    "pass-rates": Kind("Curriculum pass rates", Queue.GPU, offered=True, goes_on=True, needs=Action.DATASET_CHANGE),
    "search": Kind("Search", Queue.GPU, offered=True, standing="webapp.trees.selectors.search_standing"),
    "tree-scoring": Kind("Scoring of trees", Queue.GPU, offered=True, goes_on=True),
    "labels": Kind("Label build", Queue.CPU, longest_hours=24, offered=True),
    "judged-labels": Kind("Labels from judgements", Queue.CPU, longest_hours=24, offered=True),
    "judgement-import": Kind(
        "Import of judgements", Queue.CPU, longest_hours=24, offered=True, goes_on=True, needs=Action.QUEUE_CHANGE
    ),
    "queue-filling": Kind(
        "Filling of a queue", Queue.CPU, longest_hours=24, offered=True, goes_on=True, needs=Action.QUEUE_CHANGE
    ),
    "sft": Kind("Fine-tuning", Queue.GPU, offered=True),
    "dpo": Kind("Preference training", Queue.GPU, offered=True),
    "prm": Kind("Process reward model", Queue.GPU, offered=True),
    "orm": Kind("Outcome reward model", Queue.GPU, offered=True),
    "grpo": Kind("Reinforcement learning", Queue.GPU, offered=True),
    "evaluation": Kind("Evaluation", Queue.GPU, offered=True, goes_on=True),
    "evolution": Kind(
        "Evolution", Queue.GPU, offered=True, goes_on=True, standing="webapp.jobs.selectors.stages_standing"
    ),
    "estimate": Kind("Estimate", Queue.GPU, longest_hours=24, offered=True),
    "training-preview": Kind(
        "Preview of training data", Queue.CPU, max_failures=2, longest_hours=6, offered=True, listed=False
    ),
    "model-import": Kind("Model import", Queue.CPU, longest_hours=48, offered=True, needs=Action.MODEL_CHANGE),
    "export": Kind("Export", Queue.CPU, longest_hours=24, offered=True),
    "curriculum": Kind("Curriculum", Queue.CPU, longest_hours=24, offered=True, needs=Action.DATASET_CHANGE),
    "dataset-check": Kind("Check of a dataset", Queue.CPU, longest_hours=24, offered=True),
    "backup": Kind("Backup", Queue.CPU, longest_hours=48, operators_only=True, offered=True),
    "self-check": Kind("Self-check", Queue.CPU, longest_hours=12, operators_only=True, offered=True),
}
