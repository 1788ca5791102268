"""Which function does each kind of job: by dotted name, imported in the job's own process when it is needed."""

from collections.abc import Mapping
from importlib import import_module

from workers.context import Runner

RUNNERS: Mapping[str, str] = {
    "preview": "workers.kinds.preview.run",
    "import": "workers.kinds.import_file.run",
    "search": "workers.kinds.search.run",
    "tree-scoring": "workers.kinds.tree_scoring.run",
    "labels": "workers.kinds.labels.run",
    "judged-labels": "workers.kinds.judged_labels.run",
    "judgement-import": "workers.kinds.judgement_import.run",
    "queue-filling": "workers.kinds.queue_filling.run",
    "pass-rates": "workers.kinds.pass_rates.run",
    "sft": "workers.kinds.training.run",
    "dpo": "workers.kinds.training.run",
    "prm": "workers.kinds.training.run",
    "orm": "workers.kinds.training.run",
    "grpo": "workers.kinds.training.run",
    "evaluation": "workers.kinds.evaluation.run",
    "evolution": "workers.kinds.evolution.run",
    "estimate": "workers.kinds.estimate.run",
    "training-preview": "workers.kinds.training_preview.run",
    "export": "workers.kinds.export.run",
    "curriculum": "workers.kinds.curriculum.run",
    "dataset-check": "workers.kinds.dataset_check.run",
    "model-import": "workers.kinds.model_import.run",
    "backup": "workers.kinds.backup.run",
    "self-check": "workers.kinds.self_check.run",
}


def runner_for(kind: str) -> Runner:
    """The function that does a kind of job."""
    module, _, name = RUNNERS[kind].rpartition(".")
    found: Runner = getattr(import_module(module), name)
    return found
