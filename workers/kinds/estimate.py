"""What a search, or the searches of a loop, would cost: a few questions are really searched, and nothing is stored."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meds3core.config.jobs import EstimateSpec, EvolutionSpec, SearchSpec
from meds3core.config.references import Registered
from meds3core.engines.policy import inspect_policy
from meds3core.evolution.stages.waiting import until_cancelled
from meds3core.search.estimate import evenly_spaced, scaled, try_search
from meds3core.search.opening import Guide, check_guide, open_search
from webapp.jobs import reports
from webapp.registry.models import ModelKind
from webapp.trees.estimates import questions_at, questions_count
from workers import inputs
from workers.context import JobContext
from workers.devices import device_wait
from workers.identity import devices


@dataclass(frozen=True)
class Measured:
    """A search to try, and how often it is done."""

    search: SearchSpec
    pool: int
    """The questions among which those of the trial are spaced."""
    questions: int
    note: str = ""


def run(context: JobContext) -> Mapping[str, Any]:
    """Grow the trial's trees; the result is a `SearchEstimate` with what it was measured on."""
    spec: EstimateSpec = context.spec
    version = inputs.registered((spec.search or spec.evolution).questions, "dataset").id  # type: ignore[union-attr]
    pool = questions_count(version_id=version)
    if not pool:
        raise inputs.InputGone("The dataset holds no question, or was deleted. Choose another one.")
    asked = _of_loop(spec.evolution, pool) if spec.evolution else _of_search(spec.search, pool)
    search = asked.search
    tried = [
        question if search.search.mode == "training" else question.without_gold()
        for question in questions_at(version_id=version, positions=evenly_spaced(spec.trial, asked.pool))
    ]
    served = inputs.served(search.policy, search.engine, context.folder)
    guide = Guide(inputs.reward_model(search.scorer, ModelKind.PRM), search.scoring) if search.scorer else None
    check_guide(search.search, guide)
    text = f"Trying {len(tried)} of {asked.questions:,} questions."
    reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Trial", text=text)
    if search.scorer or not isinstance(search.engine, Registered):
        device_wait(context)
    opening = open_search(inspect_policy(served.policy), served.engine, search.search, seed=search.seed, guide=guide)
    work = try_search(tried, opening, concurrency=search.concurrency, sink=context.reporter)
    trial = asyncio.run(until_cancelled(work, context.cancel))
    found = scaled(trial, asked.questions, concurrency=search.concurrency, workers=search.shards)
    where = "a remote engine" if isinstance(search.engine, Registered) else str(devices()[0]["name"])
    return {**found.model_dump(mode="json"), "measured_on": where, "note": asked.note}


def _of_search(search: SearchSpec | None, pool: int) -> Measured:
    assert search is not None
    questions = min(pool, search.limit or pool)
    return Measured(search, questions, questions)


def _of_loop(spec: EvolutionSpec, pool: int) -> Measured:
    """A loop's searches, all with the policy that it begins from: later ones do not exist yet."""
    settings = spec.settings
    each = min(pool, settings.questions.quotas.count or pool)
    search = SearchSpec(
        questions=spec.questions,
        policy=spec.policy,
        engine=settings.engine,  # type: ignore[arg-type]  # a specification of a job names no remote engine by URL
        search=settings.search,
        concurrency=settings.search_concurrency,
        seed=settings.seed,
    )
    rounds = f"{settings.iterations} search{'es' if settings.iterations > 1 else ''} of {each:,} questions"
    note = f"{rounds}, each as dear as one with the first policy; training and evaluation are not in it."
    return Measured(search, pool, each * settings.iterations, note)
