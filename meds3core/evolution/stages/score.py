"""A stage that scores stored samples with a reward model."""

from typing import Any

from meds3core.config.decoding import ScorerConfig
from meds3core.decoding.samples import read_samples
from meds3core.decoding.scores import score_samples
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.prm.loading import load_scorer
from meds3core.types.record import Record


class ScoreStage(Record):
    """Inputs: `samples`, a sample set's folder; `model`, a reward model's folder. Its folder is a score set."""

    scorer: ScorerConfig = ScorerConfig()


SCORE = StageKind("score", 1, ScoreStage, f"{__name__}:run", ("meds3core.prm.scorer",), seconds_per_unit=0.002)


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
