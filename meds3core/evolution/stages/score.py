"""Stages that score with a reward model: stored samples, and every node of stored trees."""

from collections.abc import Iterator
from typing import Any

from meds3core.config.decoding import ScorerConfig
from meds3core.data.tree_scores import TreeScores, write_tree_scores
from meds3core.data.trees import read_trees
from meds3core.decoding.samples import read_samples
from meds3core.decoding.scores import score_samples
from meds3core.errors import ContextOverflow
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.prm.base import TrajectoryScorer
from meds3core.prm.loading import load_scorer
from meds3core.progress import ProgressEvent
from meds3core.types.record import Record

TREE_SCORES = "tree-scores.jsonl"


class ScoreStage(Record):
    """Inputs: `samples`, a sample set's folder; `model`, a reward model's folder. Its folder is a score set."""

    scorer: ScorerConfig = ScorerConfig()


class TreeScoreStage(Record):
    """Inputs: `trees`, a file; `model`, a process reward model's folder. Makes `tree-scores.jsonl`, in their order."""

    scorer: ScorerConfig = ScorerConfig()


SCORE = StageKind("score", 1, ScoreStage, f"{__name__}:run", ("meds3core.prm.scorer",), seconds_per_unit=0.002)
SCORE_TREES = StageKind(
    "score-trees", 1, TreeScoreStage, f"{__name__}:run_trees", ("meds3core.prm.scorer",), seconds_per_unit=0.02
)


def run(settings: ScoreStage, job: StageJob) -> dict[str, Any]:
    """Score what is missing."""
    samples = read_samples(job.path("samples"))
    scorer = load_scorer(job.path("model"), settings.scorer)
    try:
        scores = score_samples(samples, scorer, job.folder, sink=job.sink, cancel=job.cancel)
    finally:
        scorer.close()
    return {
        "questions": len(scores.rows),
        "scored_tokens": sum(row.scored_tokens for row in scores.rows),
        "too_long": sum(not values for row in scores.rows for values in row.scores),
    }


def run_trees(settings: TreeScoreStage, job: StageJob) -> dict[str, Any]:
    """Score every node of every tree, each tree in one pass."""
    file = job.path("trees")
    total = sum(1 for _ in read_trees(file))
    scorer = load_scorer(job.path("model"), settings.scorer)
    figures = {"trees": total, "nodes": 0, "too_long": 0}

    def counted(rows: Iterator[TreeScores]) -> Iterator[TreeScores]:
        for done, row in enumerate(rows, start=1):
            figures["nodes"] += len(row.scores)
            figures["too_long"] += not row.scores
            job.sink.emit(ProgressEvent(kind="tree-scores", done=done, total=total))
            yield row

    try:
        write_tree_scores(job.folder / TREE_SCORES, counted(_scored(scorer, job)))
    finally:
        scorer.close()
    return figures


def _scored(scorer: TrajectoryScorer, job: StageJob) -> Iterator[TreeScores]:
    for tree in read_trees(job.path("trees")):
        job.check()
        try:
            scores = tuple(scorer.score_tree(tree))
        except ContextOverflow:
            scores = ()
        yield TreeScores(tree=tree.content_hash, question=tree.question.id, prm=scorer.info.model_hash, scores=scores)
