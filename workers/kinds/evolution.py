"""The whole loop as a job: one child, no jobs of its own, each stage in a process of its own (`meds3core.evolution`).

What a stage makes goes on the shelf as soon as it is done: trees into the database, models into the registry,
evaluations beside them. The stages lie in one folder that attempts keep: what is finished is not done again, and what
was interrupted goes on inside.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from meds3core.config.jobs import EvolutionSpec
from meds3core.evolution.evolve import evolve
from meds3core.evolution.graph import PlannedStage, plan
from meds3core.evolution.loop import EvolutionInputs, evolution_graph
from meds3core.evolution.processes import shared_out
from meds3core.evolution.restart import take_over
from meds3core.evolution.stages.report import RESULT
from webapp.jobs import reports
from webapp.jobs.reports import job_folder
from workers import inputs
from workers.context import JobContext
from workers.devices import device_wait
from workers.keeping import kept_folder
from workers.kinds.shelf import Shelf, StageSink
from workers.kinds.takeover import Takeover
from workers.patience import patiently

PAGE = "report.html"


def run(context: JobContext) -> Mapping[str, Any]:
    """Run what is missing of the loop; the result names the final models and says what every stage was worth."""
    spec: EvolutionSpec = context.spec
    with kept_folder(context, "evolution") as folder:
        given = EvolutionInputs(
            questions=inputs.questions_file(spec.questions, folder, name="questions.jsonl"),
            policy=inputs.policy(spec.policy, folder),
            held_out=inputs.questions_file(spec.held_out, folder, name="held-out.jsonl"),
            validation=inputs.questions_file(spec.validation, folder, name="validation.jsonl")
            if spec.validation
            else None,
        )
        graph = evolution_graph(spec.settings, given)
        planned: Mapping[str, PlannedStage] = plan(graph.stages)
        store = folder / "stages"
        taken = _taken_over(context, planned, store)
        device_wait(context)
        at_once, threads = shared_out()
        with Shelf(context, spec, planned, store, given=given, taken=taken) as shelf:
            evolved = evolve(
                spec.settings,
                given,
                folder,
                store=store,
                parallel=at_once,
                threads=threads,
                sink=StageSink(shelf, context.reporter),
                cancel=context.cancel,
            )
        page = _keep(context, evolved.page, PAGE, "the report")
        figures = _keep(context, folder / RESULT, RESULT, "the figures")
        prm = f"prm-{spec.settings.iterations}"
        return {
            "summary": evolved.result.summary,
            "final": str(shelf.model_of(graph.final)),
            "prm": str(shelf.model_of(prm)) if prm in planned else None,
            "stages": [_line(figures) for figures in json.loads(evolved.result.model_dump_json())["stages"]],
            "page": str(page.relative_to(context.job_folder)),
            "figures": str(figures.relative_to(context.job_folder)),
        }


def _taken_over(context: JobContext, planned: Mapping[str, PlannedStage], store: Path) -> Takeover:
    """The stages of another loop that this one begins with, linked into its own store."""
    restart = context.spec.restart
    if restart is None:
        return Takeover()
    origin = inputs.registered(restart.job, "evolution").id
    others = sorted(job_folder(origin).glob("evolution-*/stages"), reverse=True)
    return Takeover.from_loop(origin, take_over(planned, store, others, restart.stage))


def _keep(context: JobContext, source: Path, name: str, label: str) -> Path:
    """A file of the loop as one of the job's own."""
    kept = context.folder / name
    kept.write_bytes(source.read_bytes())
    who = {"job_id": context.job_id, "attempt": context.attempt}
    patiently(partial(reports.checkpoint_record, **who, name=name, path=kept, label=label), context.cancel)
    return kept


def _line(figures: Mapping[str, Any]) -> dict[str, Any]:
    """A stage's worth as lists show it."""
    shown = ("name", "after", "description", "accuracy", "sound", "against_base")
    return {name: figures[name] for name in shown}
