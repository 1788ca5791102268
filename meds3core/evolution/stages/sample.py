"""A stage that draws answers, greedily or several per question."""

import asyncio
from typing import Any

from pydantic import Field

from meds3core.config.decoding import SampleConfig
from meds3core.config.engine import EngineConfig, TransformersEngineConfig
from meds3core.data.read import load_questions
from meds3core.decoding.samples import SampleSet, draw_samples
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import inspect_policy
from meds3core.errors import AppError
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.evolution.stages.search import ENGINE
from meds3core.text.prompts import TEMPLATES
from meds3core.types.record import Record


class SampleStage(Record):
    """Inputs: `questions`, a file; `policy`, a folder. Its folder is a sample set."""

    sampling: SampleConfig
    engine: EngineConfig = TransformersEngineConfig()
    seed: int = 0
    limit: int | None = Field(default=None, ge=1, description="Only the first questions")
    concurrency: int = Field(default=256, ge=1, description="Answers that are written at once")


SAMPLE = StageKind("sample", 1, SampleStage, f"{__name__}:run", (ENGINE,), seconds_per_unit=0.02)


def run(settings: SampleStage, job: StageJob) -> dict[str, Any]:
    """Draw what is missing."""
    drawn = asyncio.run(_draw(settings, job))
    if not drawn.rows:
        raise AppError(f"none of the {len(drawn.failures)} questions could be answered; see failures.jsonl beside")
    samples = [sample for row in drawn.rows for sample in row.samples]
    return {
        "questions": len(drawn.rows),
        "failures": len(drawn.failures),
        "samples": len(samples),
        "answered": sum(sample.answer is not None for sample in samples),
        "right": sum(sample.correct is True for sample in samples),
        "generated_tokens": sum(sample.generated_tokens for sample in samples),
    }


async def _draw(settings: SampleStage, job: StageJob) -> SampleSet:
    questions = load_questions(job.path("questions"), limit=settings.limit).questions
    folder = inspect_policy(job.path("policy"))
    prompt = settings.sampling.prompt
    engine = load_engine(folder.path, settings.engine)
    try:
        return await draw_samples(
            questions,
            engine,
            TEMPLATES[folder.prompt if prompt == "auto" else prompt],
            settings.sampling,
            settings.seed,
            job.folder,
            concurrency=settings.concurrency,
            sink=job.sink,
            cancel=job.cancel,
        )
    finally:
        await engine.close()
