"""A finished loop for tests of pages: real graph, evaluations and report by the library's own functions, no training.

Six held-out questions; `RIGHT` says which of them each policy answers rightly.
"""

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from meds3core.config.evaluation import EvaluationConfig
from meds3core.config.evolution import EVOLUTION_PRESETS
from meds3core.config.jobs import EvolutionSpec
from meds3core.config.labels import SftLabelConfig
from meds3core.data.labels import write_labels
from meds3core.evaluation.record import read_evaluation
from meds3core.evaluation.run import evaluate
from meds3core.evolution.stages.report import PAGE, RESULT, EvolutionResult, ReportStage, evolution_result
from meds3core.labels.base import LabelSet as Labels
from meds3core.report.stages_page import write_stages_page
from meds3core.sandbox.questions import generate
from meds3core.types.labels import LabelCounts, SftExample
from meds3core.types.question import Question
from meds3core.types.samples import QuestionSamples, Sample
from tests.core.evaluation.builders import sample_of, sample_set
from tests.trees import small_tree
from webapp.accounts.actors import SYSTEM
from webapp.accounts.models import Team
from webapp.common.files import Store, folder_of
from webapp.datasets.models import DatasetVersion
from webapp.datasets.selectors import questions_of, rows_by_content
from webapp.datasets.services import dataset_from_questions
from webapp.evaluations.models import Evaluation
from webapp.evaluations.services import evaluation_store
from webapp.evolution.restarts import planned_stages
from webapp.jobs import reports
from webapp.jobs.models import Job, State
from webapp.jobs.services import job_submit
from webapp.registry.bundled import bundled_ensure
from webapp.registry.labels import label_set_register
from webapp.registry.models import ModelVersion
from webapp.trees.models import Tree
from webapp.trees.services import tree_score_store, tree_store

RIGHT = {
    "base": (1, 1, 0, 0, 0, 0),
    "sft-1": (1, 0, 1, 1, 0, 0),
    "control-1": (1, 1, 1, 0, 0, 0),
    "sft-2": (1, 1, 1, 1, 0, 0),
    "dpo-2": (1, 1, 1, 1, 1, 0),
}
MODELS = {"sft-1": "base", "control-1": "base", "sft-2": "sft-1", "dpo-2": "sft-2", "prm-2": "dpo-2"}
"""By stage: from what it was trained."""
KINDS = {"prm-2": "prm"}
SECONDS = 61.0


def small_loop(team: Team, *, name: str = "Loop") -> Job:
    """An evolution that has succeeded, with everything on the shelf that a worker puts there."""
    policy = bundled_ensure()
    number = Job.objects.filter(team=team, kind="evolution").count()
    asked = {
        split: dataset_from_questions(
            actor=SYSTEM, team=team, name=f"{name} {split} {number}", questions=answered(split, count)
        )
        for split, count in (("train", 4), ("test", 6))
    }
    spec = EvolutionSpec.model_validate(
        {
            "name": name,
            "questions": {"kind": "dataset", "id": str(asked["train"].pk)},
            "held_out": {"kind": "dataset", "id": str(asked["test"].pk)},
            "policy": {"kind": "model", "id": str(policy.pk)},
            "settings": EVOLUTION_PRESETS["clinic"].model_dump(mode="json"),
        }
    )
    job = job_submit(actor=SYSTEM, team=team, spec=spec, title=name)
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=1)
    plan_stages(job, spec)
    shelve(job, asked["train"], asked["test"])
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    return Job.objects.select_related("team").get(pk=job.pk)


def answered(split: str, count: int) -> list[Question]:
    """Questions whose gold answer, said in a sentence, is known to be right."""
    known = (each for each in generate(split, 20 * count, seed=7) if _said(each, each.gold.value).correct)
    return list(islice(known, count))


def _said(question: Question, answer: str) -> Sample:
    return sample_of(question, f"The answer is {answer}.")


def plan_stages(job: Job, spec: EvolutionSpec, *, done: bool = True) -> None:
    """The stages of the loop as rows."""
    stages = [
        {
            "name": stage,
            "done": done,
            "details": {
                "kind": entry.stage.kind.name,
                "after": sorted(entry.stage.parents()),
                "seconds_expected": 5.0,
                "seconds": SECONDS,
                "reads": {role: _sources(entry.stage, role) for role in entry.stage.inputs},
            },
        }
        for stage, entry in planned_stages(spec).items()
    ]
    reports.stages_plan(job_id=job.pk, attempt=1, stages=stages)


def _sources(stage: Any, role: str) -> list[str]:
    given = {"questions": "questions", "held-out": "held-out", "policy": "base", "start": "base"}
    return [getattr(one, "stage", given.get(role, "questions")) for one in stage.inputs_of(role)]


def shelve(job: Job, train: DatasetVersion, test: DatasetVersion) -> EvolutionResult:
    """Trees, a label set, models, evaluations and the report."""
    who = {"job_id": job.pk, "attempt": 1}
    models: dict[str, UUID] = {"base": bundled_ensure().pk}
    for stage, base in MODELS.items():
        row = ModelVersion.objects.create(
            team=job.team, name=f"{job.title} · {stage}", number=1 + ModelVersion.objects.filter(team=job.team).count(),
            kind=KINDS.get(stage, "policy"), ready=True, job=job, stage=stage, base_id=models[base],
            content_hash=stage.ljust(64, "0"), facts={"parameters": 1000, "architecture": "LlamaForCausalLM"},
            provenance={"kind": "evolution", "spec": job.spec},
        )  # fmt: skip
        models[stage] = row.pk
    questions = list(questions_of(version_id=train.pk))
    known = rows_by_content(version_id=train.pk, hashes=[each.content_hash for each in questions])
    for number, grower in ((1, "base"), (2, "sft-1")):
        for position, question in enumerate(questions[:2]):
            tree = tree_store(
                **who, position=position, tree=small_tree(question), stage=f"trees-{number}",
                question_row_id=known.get(question.content_hash), policy_id=models[grower],
            )  # fmt: skip
            if number == 2:
                scores = [0.5] * Tree.objects.get(pk=tree).nodes + [0.5]
                tree_score_store(**who, tree_id=tree, model_id=models["prm-2"], scores=scores)
    with TemporaryDirectory() as folder:
        examples = tuple(SftExample(question=each, bodies=("So.", "The answer is 1.")) for each in questions[:2])
        counts = LabelCounts(trees=2, questions=2, kept=2, dropped={"no right answer": 1})
        write_labels(Path(folder) / "labels", Labels(SftLabelConfig(), examples, counts))
        for stage in ("sft-set-1", "sft-set-2"):
            label_set_register(**who, folder=Path(folder) / "labels", name=f"{job.title} · {stage}", stage=stage)
    return _measure(job, test, models)


def _measure(job: Job, test: DatasetVersion, models: dict[str, UUID]) -> EvolutionResult:
    config = EvaluationConfig(resamples=100, p_resamples=100)
    for policy, right in RIGHT.items():
        rows = []
        for question, is_right in zip(questions_of(version_id=test.pk), right, strict=True):
            said = _said(question, question.gold.value if is_right else "77777")
            rows.append(QuestionSamples(question=question, samples=(said,)))
        sampled = sample_set(rows) if policy in ("base", "dpo-2") else None
        stored = evaluate(sample_set(rows, temperature=0.0), sampled, config=config)
        with TemporaryDirectory() as folder:
            stored.write(Path(folder))
            evaluation_store(
                job_id=job.pk, attempt=1, name=f"{job.title} · {policy}", folder=Path(folder), benchmark=test.pk,
                policy=models[policy], scorer=models["prm-2"] if sampled else None, stage=f"evaluation-{policy}",
            )  # fmt: skip
    result = library_result(job)
    folder = reports.job_folder(job.pk) / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).write_text(result.model_dump_json())
    write_stages_page(result.stages, folder / PAGE)
    shown = ("name", "after", "description", "accuracy", "sound", "against_base")
    lines = [{name: row[name] for name in shown} for row in result.model_dump(mode="json")["stages"]]
    found = {"summary": result.summary, "stages": lines, "page": f"1/{PAGE}", "figures": f"1/{RESULT}"}
    Job.objects.filter(pk=job.pk).update(result=found)
    return result


def library_result(job: Job) -> EvolutionResult:
    """What the library says of the loop's evaluations."""
    rows = Evaluation.objects.filter(job=job, ready=True)
    found = {
        row.stage.removeprefix("evaluation-"): read_evaluation(folder_of(Store.EVALUATIONS, row.pk)) for row in rows
    }
    graph = planned_stages(EvolutionSpec.model_validate(job.spec))
    settings = graph["report"].stage.settings
    assert isinstance(settings, ReportStage)
    return evolution_result(settings, found)
