"""What a loop's stages make is put on the shelf while the loop goes on: by a thread, so that no stage waits for it."""

import queue
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from meds3core.cli.evolution_progress import brief
from meds3core.cli.progress import duration
from meds3core.config.jobs import EvolutionSpec
from meds3core.data.tree_scores import read_tree_scores
from meds3core.data.trees import read_trees
from meds3core.evolution.graph import External, PlannedStage, StageRef
from meds3core.evolution.loop import EvolutionInputs
from meds3core.evolution.stages.evaluate import EVALUATION
from meds3core.evolution.stages.labels import LABELS
from meds3core.evolution.stages.score import TREE_SCORES
from meds3core.evolution.store import finished_folder, read_record
from meds3core.progress import ProgressEvent
from meds3core.search.run import TREES
from meds3core.training.events import TrainingStep, data_of
from webapp.datasets.selectors import rows_by_content
from webapp.evaluations.services import evaluation_store
from webapp.jobs import reports
from webapp.jobs.models import State
from webapp.registry.labels import label_set_register
from webapp.registry.models import ModelKind
from webapp.registry.services import model_register
from webapp.trees.selectors import tree_ids_of_stage
from webapp.trees.services import tree_score_store, tree_store
from workers import inputs
from workers.context import JobContext
from workers.kinds.takeover import Takeover
from workers.patience import patiently
from workers.reporter import Reporter

TRAINED: Mapping[str, ModelKind] = {
    "sft": ModelKind.POLICY,
    "dpo": ModelKind.POLICY,
    "grpo": ModelKind.POLICY,
    "prm": ModelKind.PRM,
    "orm": ModelKind.ORM,
}
"""Kinds of stages that make a model, and what it is for."""

BASE = "base"
LOOK_SECONDS = 1.0


class Shelf:
    """Use as a context: leaving it waits until everything is on the shelf, and raises what went wrong there."""

    def __init__(
        self,
        context: JobContext,
        spec: EvolutionSpec,
        planned: Mapping[str, PlannedStage],
        store: Path,
        *,
        given: EvolutionInputs,
        taken: Takeover,
    ) -> None:
        self._context = context
        self._spec = spec
        self._planned = planned
        self._store = store
        self._taken = taken
        self._given = {given.policy: BASE, given.questions: "questions", given.held_out: "held-out"}
        if given.validation is not None:
            self._given[given.validation] = "validation"
        self._name = spec.name or context.title
        self._who = {"job_id": context.job_id, "attempt": context.attempt}
        self._models: dict[str, UUID] = {BASE: inputs.registered(spec.policy).id}
        self._waiting: queue.Queue[ProgressEvent | None] = queue.Queue()
        self._seen: dict[str, tuple[int, int]] = {}
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="shelf", daemon=True)

    def __enter__(self) -> "Shelf":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join()
        if self._error is not None:
            # The loop was told to stop because of this; its own end only says that it was.
            raise self._error

    def take(self, event: ProgressEvent) -> None:
        """Note an event of the loop; returns at once."""
        self._waiting.put(event)

    def model_of(self, stage: str) -> UUID:
        """Id of the model that a stage made, or of the base."""
        return self._models[stage]

    def _work(self) -> None:
        looked = time.monotonic()
        try:
            while True:
                try:
                    event = self._waiting.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    event = ProgressEvent(kind="nothing")
                if event is None:
                    patiently(self._show, self._context.cancel)
                    return
                # A database that restarts in the middle of a long loop must not cost it a stage. All of it is written
                # so that it can be done again: it has to be, for the next attempt.
                patiently(partial(self._handle, event), self._context.cancel)
                if time.monotonic() - looked >= LOOK_SECONDS:
                    looked = time.monotonic()
                    patiently(self._show, self._context.cancel)
        except BaseException as error:
            self._error = error
            self._context.cancel.cancel()
        finally:
            connection.close()

    def _handle(self, event: ProgressEvent) -> None:
        name = str(event.data.get("stage", ""))
        match event.kind:
            case "graph-planned":
                self._plan(event)
            case "stage-started":
                reports.stage_write(**self._who, name=name, state=State.RUNNING, text=f"{name} began.")
            case "stage-finished":
                self._put(name)
                figures, seconds = event.data["figures"], float(event.data["seconds"])
                said = brief(self._kind(name), figures)
                reports.stage_write(
                    **self._who,
                    name=name,
                    state=State.SUCCEEDED,
                    text=f"{name} is done after {duration(seconds)}{': ' + said if said else ''}.",
                    seconds=seconds,
                    figures=figures,
                    said=said,
                )
            case "stage-failed":
                reports.stage_write(**self._who, name=name, state=State.FAILED)
            case _ if name and event.done is not None and event.total:
                self._seen[name] = (event.done, event.total)

    def _show(self) -> None:
        """How far the running stages are."""
        for name, (done, total) in self._seen.items():
            reports.stage_write(**self._who, name=name, done=done, total=total)
        self._seen.clear()

    def _plan(self, event: ProgressEvent) -> None:
        rows = event.data["stages"]
        stages = [
            {"name": row["stage"], "done": row["cached"], "details": self._details(row["stage"], row)} for row in rows
        ]
        reports.stages_plan(**self._who, stages=stages)
        for row in rows:  # in an order in which parents come first
            if row["cached"]:
                self._put(row["stage"])

    def _details(self, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of a stage beforehand; of one that is done, also what came of it."""
        entry = self._planned[name]
        details: dict[str, Any] = {
            "kind": row["kind"],
            "seconds_expected": row["seconds"],
            "after": sorted(entry.stage.parents()),
            "reads": {role: self._sources(entry, role) for role in entry.stage.inputs},
        }
        if row["cached"] and (record := read_record(self._store, entry.folder, entry.key)):
            said = brief(row["kind"], record.figures)
            details |= {"seconds": record.seconds, "figures": record.figures, "said": said}
        return details | self._taken.details(name)

    def _sources(self, entry: PlannedStage, role: str) -> list[str]:
        """Whose results a stage reads in a role: names of stages, or of what the loop began with."""
        names = [
            self._given.get(one.path, "") if isinstance(one, External) else one.stage
            for one in entry.stage.inputs_of(role)
        ]
        return [name for name in names if name]

    def _kind(self, name: str) -> str:
        return self._planned[name].stage.kind.name

    def _put(self, name: str) -> None:
        """What this stage made. Everything here may have been put there before, by an earlier attempt."""
        entry = self._planned[name]
        folder, kind = finished_folder(self._store, entry.folder), entry.stage.kind.name
        if self._taken.has(name):  # it stands on the shelf, put there by the loop that made it
            if kind in TRAINED:
                self._models[name] = self._taken.model(name)
            return
        title = f"{self._name} · {name}"
        if kind == "merge":
            self._put_trees(name, folder / TREES)
        elif kind in ("labels", "control"):
            label_set_register(**self._who, folder=folder / LABELS, name=title, stage=name)
        elif kind in TRAINED:
            model = model_register(
                **self._who,
                kind=TRAINED[kind],
                name=title,
                folder=folder / name,
                stage=name,
                base_id=self._models[self._parent(entry, "start")],
            )
            self._models[name] = model.pk
        elif kind == "score-trees":
            self._put_scores(entry, folder / TREE_SCORES)
        elif kind == "evaluate":
            policy = name.removeprefix("evaluation-")
            evaluation_store(
                **self._who,
                name=f"{self._name} · {policy}",
                folder=folder / EVALUATION,
                benchmark=inputs.registered(self._spec.held_out).id,
                policy=self._models[policy],
                scorer=self._scorer(entry),
                stage=name,
            )

    def _put_trees(self, name: str, file: Path) -> None:
        searches = [one for one in self._planned[name].stage.parents() if self._kind(one) == "search"]
        policy = self._models[self._parent(self._planned[searches[0]], "policy")]
        version = inputs.registered(self._spec.questions).id
        asked = [tree.question.content_hash for tree in read_trees(file)]
        rows = rows_by_content(version_id=version, hashes=asked)
        for position, tree in enumerate(read_trees(file)):
            tree_store(
                **self._who,
                position=position,
                tree=tree,
                question_row_id=rows.get(tree.question.content_hash),
                policy_id=policy,
                stage=name,
            )

    def _put_scores(self, entry: PlannedStage, file: Path) -> None:
        trees, model = self._parent(entry, "trees"), self._models[self._parent(entry, "model")]
        holder = self._taken.holder(trees) or self._context.job_id
        known = tree_ids_of_stage(job_id=holder, stage=trees)
        for row in read_tree_scores(file):
            if tree := known.get(row.tree):
                tree_score_store(**self._who, tree_id=tree, model_id=model, scores=row.scores)

    def _scorer(self, entry: PlannedStage) -> UUID | None:
        """The reward model whose scores an evaluation read."""
        for given in ("prm", "orm"):
            if given in entry.stage.inputs:
                (scores,) = entry.stage.inputs_of(given)
                assert isinstance(scores, StageRef)
                return self._models[self._parent(self._planned[scores.stage], "model")]
        return None

    @staticmethod
    def _parent(entry: PlannedStage, name: str) -> str:
        (given,) = entry.stage.inputs_of(name)
        return BASE if isinstance(given, External) else given.stage


class StageSink:
    """Takes the loop's events: the shelf gets them all, the job's progress is a share of the expected time."""

    def __init__(self, shelf: Shelf, reporter: Reporter) -> None:
        self._shelf = shelf
        self._reporter = reporter
        self._expected: dict[str, float] = {}
        self._part: dict[str, float] = {}

    def emit(self, event: ProgressEvent) -> None:
        """Take one event."""
        self._shelf.take(event)
        name = str(event.data.get("stage", ""))
        if event.kind == "graph-planned":
            # What is done already counts nothing: the share is of the work that this attempt has before it.
            self._expected = {row["stage"]: row["seconds"] for row in event.data["stages"]}
        elif event.kind == "stage-finished":
            self._part[name] = 1.0
        elif name and event.done is not None and event.total:
            self._part[name] = max(self._part.get(name, 0.0), event.done / event.total)
        own = {key: value for key, value in event.data.items() if key != "stage"}
        if step := data_of(event.model_copy(update={"data": own}), TrainingStep):
            values = {f"{name}: loss": step.loss} | {f"{name}: {key}": value for key, value in step.metrics.items()}
            self._reporter.emit(ProgressEvent(kind="metrics", data={"step": event.done or 0, "values": values}))
        self._reporter.emit(ProgressEvent(kind="progress", done=self._percent(), total=100, data={"unit": "%"}))

    def _percent(self) -> int:
        everything = sum(self._expected.values())
        done = sum(self._expected.get(name, 0.0) * part for name, part in self._part.items())
        return int(100 * done / everything) if everything else 0
