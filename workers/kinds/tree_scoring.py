"""A process reward model scores every node of stored trees, as `meds3 prm score-trees` does. A later attempt scores
only what is missing.
"""

from collections.abc import Mapping
from typing import Any

from meds3core.config.jobs import TreeScoringSpec
from meds3core.errors import Cancelled, ContextOverflow
from meds3core.prm.loading import load_scorer
from meds3core.progress import ProgressEvent
from meds3core.types.tree import Tree
from webapp.jobs import reports
from webapp.registry.models import ModelKind
from webapp.trees import selectors, services
from workers import inputs
from workers.context import JobContext
from workers.devices import device_wait
from workers.patience import patiently


def run(context: JobContext) -> Mapping[str, Any]:
    """Score, store; the result says how many trees there are and how many do not fit the model."""
    spec: TreeScoringSpec = context.spec
    who = {"job_id": context.job_id, "attempt": context.attempt}
    search_id = inputs.registered(spec.trees, "trees").id
    model_id = inputs.registered(spec.model, "model").id
    found = inputs.reward_model(spec.model, ModelKind.PRM)
    total = selectors.trees_count(job_id=search_id)
    missing = selectors.trees_unscored(job_id=search_id, model_id=model_id)
    reports.stage_begin(**who, name="Scoring", text=f"Scoring {len(missing):,} of {total:,} trees.")
    _progress(context, total - len(missing), total)
    if missing:
        device_wait(context)
        scorer = load_scorer(
            found.path, spec.scorer, score_head=found.score_head, base=found.weights.path if found.adapter else None
        )
        try:
            for done, tree_id in enumerate(missing, start=total - len(missing) + 1):
                if context.cancel.cancelled:
                    raise Cancelled("told to stop")
                tree = Tree.model_validate_json(services.arena_read(selectors.arena_of(tree_id=tree_id)))
                try:
                    scores = list(scorer.score_tree(tree))
                except ContextOverflow:
                    scores = []
                patiently(
                    lambda tree_id=tree_id, scores=scores: services.tree_score_store(  # type: ignore[misc]
                        **who, tree_id=tree_id, model_id=model_id, scores=scores
                    ),
                    context.cancel,
                )
                _progress(context, done, total)
        finally:
            scorer.close()
    too_long = selectors.trees_too_long(job_id=search_id, model_id=model_id)
    if too_long:
        told = f"{too_long:,} of {total:,} trees do not fit the model's context and have no scores."
        reports.warning_write(**who, text=told)
    return {"trees": total, "too_long": too_long}


def _progress(context: JobContext, done: int, total: int) -> None:
    context.reporter.emit(ProgressEvent(kind="tree-scores", done=done, total=total, data={"unit": selectors.UNIT}))
