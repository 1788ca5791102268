"""An evaluation as a job: what `meds3 evaluate` does. Stopped anywhere, the next attempt draws what is missing."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from meds3core.config.jobs import EvaluationSpec
from meds3core.data.labels import read_card, read_labels
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import inspect_policy
from meds3core.errors import ConfigError
from meds3core.evaluation.collect import Collected, collect, score_collected
from meds3core.evaluation.intervals import Resampling
from meds3core.evaluation.judging import StepJudge
from meds3core.evaluation.labelled import judged_steps
from meds3core.evaluation.record import StoredEvaluation
from meds3core.evaluation.run import evaluate
from meds3core.evaluation.steps import FlagThresholds
from meds3core.evolution.stages.evaluate import judge_for
from meds3core.evolution.stages.waiting import until_cancelled
from meds3core.prm.base import TrajectoryScorer
from meds3core.prm.loading import load_scorer
from meds3core.progress import ProgressEvent
from meds3core.report.evaluation_page import write_evaluation_page
from meds3core.types.question import Question
from webapp.evaluations.services import REPORT, evaluation_store
from webapp.registry.models import LabelSet, ModelKind
from workers import inputs
from workers.context import JobContext
from workers.devices import device_wait
from workers.inputs import Served
from workers.keeping import kept_folder
from workers.kinds.learnt import learnt_by
from workers.patience import patiently

REWARD_MODELS = {"prm": ModelKind.PRM, "orm": ModelKind.ORM}


def run(context: JobContext) -> Mapping[str, Any]:
    """Draw, score, compute, store; the result names the evaluation."""
    spec: EvaluationSpec = context.spec
    asked = inputs.questions(spec.questions, limit=spec.limit)
    known = inputs.questions(spec.validation) if spec.validation else []
    _refuse_overlap(asked[: spec.collect.sampled_questions], known)
    judge = judge_for(asked)
    with kept_folder(context, "evaluation") as folder:
        served = inputs.served(spec.policy, spec.engine, folder)
        device_wait(context)
        sink = PartSink(context)
        collected = asyncio.run(
            until_cancelled(_collect(context, served, asked, known, judge, folder, sink), context.cancel)
        )
        with ExitStack() as stack:
            scorers = {}
            for name, kind in REWARD_MODELS.items():
                reference = getattr(spec, name)
                if reference is not None:
                    model = inputs.reward_model(reference, kind)
                    base = model.weights.path
                    scorers[name] = load_scorer(model.path, spec.scoring, score_head=model.score_head, base=base)
                    stack.callback(scorers[name].close)
            scores, chosen_on = score_collected(collected, scorers, folder, sink=sink, cancel=context.cancel)
            sink.emit(ProgressEvent(kind="part", data={"name": "figures"}))
            stored = evaluate(
                collected.greedy, collected.samples, scores, judge, chosen_on, spec.figures, probes=collected.probes
            )
            if spec.judged:
                stored = with_judged(stored, spec, scorers["prm"])
        stored.write(folder)
        write_evaluation_page(stored, folder / REPORT, title=spec.name)
        scorer = spec.prm or spec.orm
        store = partial(
            evaluation_store,
            job_id=context.job_id,
            attempt=context.attempt,
            name=spec.name or context.title,
            folder=folder,
            benchmark=inputs.registered(spec.questions).id,
            policy=inputs.registered(spec.policy).id,
            scorer=inputs.registered(scorer).id if scorer else None,
        )
        evaluation = patiently(store, context.cancel)
    return {"evaluation": str(evaluation.pk), "questions": evaluation.questions} | evaluation.figures


def with_judged(stored: StoredEvaluation, spec: EvaluationSpec, scorer: TrajectoryScorer) -> StoredEvaluation:
    """The same with the reward model's figures on the steps that people judged."""
    figures = stored.evaluation.scorers.get("prm")
    if figures is None:
        raise ConfigError("judged steps are measured beside samples: draw some (collect.sampled_questions).")
    options = Resampling(level=spec.figures.level, resamples=spec.figures.resamples, seed=spec.figures.seed)
    cut = spec.figures.flag_below
    thresholds = figures.thresholds or FlagThresholds(steps=cut, first_error=cut)
    assert spec.prm is not None
    learnt = learnt_by(inputs.model(spec.prm))
    found = []
    for one in spec.judged:
        folder = inputs.labels_folder(one)
        name = LabelSet.objects.values_list("name", flat=True).get(pk=inputs.registered(one).id)
        given = read_labels(folder).steps()
        kept = given if learnt is None else list(learnt.unknown(given))
        figures_of = judged_steps(name, read_card(folder).records_hash, kept, scorer, thresholds, **options)
        told = {"learnt": len(given) - len(kept)}
        if learnt is not None:
            told |= {"met": learnt.met(kept), "forgotten": learnt.missing}
        found.append(figures_of.model_copy(update=told))
    scorers = stored.evaluation.scorers | {"prm": figures.model_copy(update={"judged": tuple(found)})}
    return StoredEvaluation(stored.evaluation.model_copy(update={"scorers": scorers}), stored.rows)


class PartSink:
    """Each part of the work is a stage of the job; its answers are the progress."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    def emit(self, event: ProgressEvent) -> None:
        """Take one event."""
        if event.kind == "part":
            name = str(event.data["name"]).replace("-", " ").replace("/", ": ").capitalize()
            self._context.reporter.emit(ProgressEvent(kind="stage", data={"name": name}))
        elif event.done is not None:
            data = event.data | {"unit": "questions"}
            self._context.reporter.emit(event.model_copy(update={"data": data}))


async def _collect(
    context: JobContext,
    served: Served,
    asked: Sequence[Question],
    known: Sequence[Question],
    judge: StepJudge | None,
    folder: Path,
    sink: PartSink,
) -> Collected:
    spec: EvaluationSpec = context.spec
    engine = load_engine(served.policy, served.engine)
    try:
        return await collect(
            asked,
            engine,
            folder,
            spec.collect,
            policy_prompt=inspect_policy(served.policy).prompt,
            validation=known,
            judge=judge,
            level=spec.figures,
            concurrency=spec.concurrency,
            sink=sink,
            cancel=context.cancel,
        )
    finally:
        await engine.close()


def _refuse_overlap(test: Sequence[Question], validation: Sequence[Question]) -> None:
    """Before hours of drawing, not after."""
    asked = {question.content_hash for question in test}
    both = sum(question.content_hash in asked for question in validation)
    if both:
        raise ConfigError(f"{both} of {len(validation)} validation questions are test questions too; choose others.")
