"""How often a policy solves each question, as a job: the rates become difficulties in a new version of the dataset."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from meds3core.config.jobs import PassRatesSpec
from meds3core.data.curriculum import sample_curriculum
from meds3core.decoding.samples import SampleSet, draw_samples
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import inspect_policy
from meds3core.evolution.stages.waiting import until_cancelled
from meds3core.progress import ProgressEvent
from meds3core.text.prompts import TEMPLATES
from meds3core.types.question import Question
from webapp.datasets.derived import dataset_for
from webapp.datasets.services import BATCH, version_append, version_begin, version_finish
from webapp.jobs import reports
from webapp.jobs.claims import Claim
from workers import inputs
from workers.context import JobContext
from workers.devices import device_wait
from workers.inputs import Served
from workers.keeping import kept_folder


def run(context: JobContext) -> Mapping[str, Any]:
    """Draw the answers, count the right ones, write the version; the result names it."""
    spec: PassRatesSpec = context.spec
    asked = inputs.questions(spec.questions)
    claim = Claim(context.job_id, context.attempt)
    with kept_folder(context, "pass-rates") as folder:
        reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Answers")
        served = inputs.served(spec.policy, spec.engine, folder)
        device_wait(context)
        drawn = asyncio.run(until_cancelled(_draw(context, served, asked, folder), context.cancel))
    rates = {
        row.question.id: sum(sample.correct is True for sample in row.samples) / len(row.samples)
        for row in drawn.rows
        if row.samples
    }
    if spec.curriculum is None:
        chosen = [
            question.model_copy(update={"difficulty": 1.0 - rates[question.id]}) if question.id in rates else question
            for question in asked
        ]
        counts: dict[str, Any] = {"questions": len(chosen)}
    else:
        sample = sample_curriculum(asked, rates, spec.curriculum)
        chosen = list(sample.questions)
        counts = {
            "questions": len(chosen),
            "solved_dropped": sample.solved_dropped,
            "unmeasured": sample.unmeasured,
            "shortfalls": [one.model_dump(mode="json") for one in sample.shortfalls],
        }
    dataset, parent = dataset_for(job_id=context.job_id, version_id=inputs.registered(spec.questions).id)
    recipe = {"kind": "pass-rates", "policy": str(inputs.registered(spec.policy).id), "n": spec.sampling.n}
    version = version_begin(dataset=dataset, claim=claim, recipe=recipe, parent=parent)
    rest = iter(chosen[version.questions :])
    while batch := list(islice(rest, BATCH)):
        version_append(version=version, questions=batch, claim=claim)
    version_finish(version=version, claim=claim)
    measured = list(rates.values())
    return {
        "version": str(version.pk),
        "measured": len(measured),
        "mean_pass_rate": sum(measured) / len(measured) if measured else None,
        "solved": sum(rate == 1.0 for rate in measured),
        "never_solved": sum(rate == 0.0 for rate in measured),
    } | counts


async def _draw(context: JobContext, served: Served, asked: Sequence[Question], folder: Path) -> SampleSet:
    spec: PassRatesSpec = context.spec
    engine = load_engine(served.policy, served.engine)
    prompt = inspect_policy(served.policy).prompt if spec.sampling.prompt == "auto" else spec.sampling.prompt
    try:
        return await draw_samples(
            asked,
            engine,
            TEMPLATES[prompt],
            spec.sampling,
            spec.seed,
            folder / "samples",
            sink=_QuestionSink(context),
            cancel=context.cancel,
        )
    finally:
        await engine.close()


class _QuestionSink:
    def __init__(self, context: JobContext) -> None:
        self._reporter = context.reporter

    def emit(self, event: ProgressEvent) -> None:
        self._reporter.emit(event.model_copy(update={"data": event.data | {"unit": "questions"}}))
