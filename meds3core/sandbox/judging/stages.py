"""The experiment's own kinds of stages: somebody judges chosen steps; a reward model learns from them and rollouts."""

import shutil
from typing import Any

from pydantic import Field

from meds3core.config.labels import JudgementLabelConfig, PeopleConfig
from meds3core.config.training import PrmConfig
from meds3core.data.labels import LabelSource, read_labels, write_labels
from meds3core.data.tree_scores import read_tree_scores
from meds3core.data.trees import read_trees
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.evolution.stages.labels import LABELS, without_gold
from meds3core.evolution.store import StageRecord
from meds3core.judgements.choosing import choose, steps_pool
from meds3core.judgements.flagging import FlagRules
from meds3core.judgements.labels import judged_labels
from meds3core.judgements.tree_steps import tree_steps
from meds3core.labels.people import combine_labels
from meds3core.sandbox.judge import ClinicJudge
from meds3core.training.methods import TRAINERS, TrainJob, run_job
from meds3core.types.judgements import StepJudgement, Verdict
from meds3core.types.record import Record


class JudgeStage(Record):
    """Inputs: `trees`, a file; `scores`, a reward model's of their nodes. Makes the folder `labels`."""

    rules: FlagRules
    items: int = Field(ge=1)
    error_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    seed: int = 0


class PeopleTrainStage(Record):
    """Inputs: `start`, a policy's folder; `labels`, rollouts' label set; `people`, a judged one; `steps_of`, the record
    of a training whose optimiser steps are taken. Makes the folder `model`.
    """

    training: PrmConfig
    people: PeopleConfig
    model: str = "model"


JUDGE = StageKind("judge", 3, JudgeStage, f"{__name__}:judge", seconds_per_unit=0.002)
PEOPLE = StageKind(
    "prm-people", 2, PeopleTrainStage, f"{__name__}:train", (TRAINERS["prm"].partition(":")[0],), seconds_per_unit=0.007
)


def judge(settings: JudgeStage, job: StageJob) -> dict[str, Any]:
    """Choose as a queue does, judge as a person of this error rate does, label."""
    trees = list(read_trees(job.path("trees")))
    scores = {row.tree: row.scores for row in read_tree_scores(job.path("scores"))}
    steps, places = tree_steps(trees, scores)
    choice = choose(steps_pool(steps, settings.rules), settings.rules, items=settings.items, seed=settings.seed)
    person = ClinicJudge(settings.error_rate, seed=settings.seed)
    said = []
    for place in choice.places.tolist():
        tree, node = trees[places[place][0]], places[place][1]
        bodies = tuple(each.text for each in tree.path(node))
        right = person.judge(tree.question, bodies[:-1], bodies[-1])
        verdict = Verdict.CANT_TELL if right is None else Verdict.GOOD if right else Verdict.BAD
        said.append(
            StepJudgement(
                question=without_gold(tree.question),
                bodies=bodies,
                annotator="simulated",
                verdict=verdict,
                correct=tree.nodes[node].verdict,
            )
        )
    made = judged_labels(said, JudgementLabelConfig())
    folder = job.folder / LABELS
    shutil.rmtree(folder, ignore_errors=True)
    name = f"the step checker, error {settings.error_rate:g}, seed {settings.seed}"
    write_labels(folder, made, [LabelSource(role="judge", name=name)])
    verdicts = [one.verdict for one in said]
    return {
        "judged": len(said),
        "bad": verdicts.count(Verdict.BAD),
        "cant_tell": verdicts.count(Verdict.CANT_TELL),
        "questions": made.counts.questions,
        "information": round(float(choice.priorities.mean()), 4),
        "rules": {rule.value: count for rule, count in choice.counts().items() if count},
    }


def train(settings: PeopleTrainStage, job: StageJob) -> dict[str, Any]:
    """Train, or continue to; as many optimiser steps as the training without people's labels."""
    record = StageRecord.model_validate_json(job.path("steps_of").read_bytes())
    config = settings.training.model_copy(update={"max_steps": int(record.figures["steps"])})
    labels, people = job.path("labels"), job.path("people")
    wanted = TrainJob(
        start=job.path("start"),
        data=labels,
        beside=(people,),
        people=settings.people,
        config=config,
        out=job.folder / settings.model,
    )
    result = run_job(wanted, sink=job.sink, cancel=job.cancel)
    found = combine_labels(read_labels(labels).steps(), read_labels(people).steps(), settings.people)
    combined = {"changed": found.changed, "kept": found.kept, "added": found.added}
    return result.model_dump(mode="json", exclude={"model", "seconds"}) | combined
