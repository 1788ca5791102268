"""Training, evaluation, pass rates and the loop, from submit to what is on the shelf, by a real worker."""

import pytest

from meds3core.config.labels import SftLabelConfig, StepLabelConfig
from meds3core.data.labels import write_labels
from meds3core.labels.base import LabelSet as Labels
from meds3core.sandbox.questions import generate
from meds3core.types.labels import LabelCounts
from tests.core.evolution.small import small_config
from tests.core.training.rewards import make_trajectories
from tests.core.training.tiny import make_examples
from tests.workers.people import operator, team
from tests.workers.stack import PATIENCE, job_log, running_stack, state_of, wait_for
from webapp.common.files import Store, folder_of
from webapp.datasets.models import DatasetVersion, QuestionRow
from webapp.datasets.services import dataset_from_questions
from webapp.evaluations.models import Evaluation
from webapp.jobs import selectors, services
from webapp.jobs.models import Checkpoint, Job, JobStage, MetricChunk, State
from webapp.jobs.transitions import ENDED
from webapp.registry.bundled import bundled_ensure
from webapp.registry.models import LabelSet, ModelVersion
from webapp.registry.selectors import model_folder
from webapp.trees.models import Tree, TreeScore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]

QUICK = {"batch_size": 4, "micro_batch_size": 4, "epochs": 1, "save_every": 1, "log_every": 1, "max_length": 600}


@pytest.fixture
def stack(tmp_path, transactional_db):
    with running_stack(tmp_path) as running:
        running.start_worker("gpu-a", queue="gpu")
        yield running
        running.end("gpu-a")


@pytest.fixture
def ward(transactional_db):
    return team("Ward 7")


@pytest.fixture
def policy(transactional_db):
    return {"kind": "model", "id": str(bundled_ensure().pk)}


def questions(ward, name, split, count):
    version = dataset_from_questions(
        actor=operator(), team=ward, name=name, questions=list(generate(split, count, seed=5))
    )
    return {"kind": "dataset", "id": str(version.pk)}


def labels(ward, kind, config, records):
    row = LabelSet.objects.create(team=ward, name=kind, kind=kind, ready=True, records=len(records))
    counts = LabelCounts(trees=len(records), questions=len(records), kept=len(records))
    write_labels(folder_of(Store.LABELS, row.pk), Labels(config, tuple(records), counts))
    return {"kind": "labels", "id": str(row.pk)}


def submit(ward, **spec):
    return services.job_submit(actor=operator(), team=ward, spec=spec)


def ended(job):
    wait_for(lambda: state_of(job) in ENDED, f"the end of {job}", patience=4 * PATIENCE)
    found = Job.objects.get(pk=job.pk)
    told = [event.text for event in selectors.events_after(job=found, seq=0) if event.text]
    assert found.state == State.SUCCEEDED, f"{found.error_message}\n{told}\n{job_log(found)}"
    return found


def test_what_a_team_trains_and_measures(stack, ward, policy):
    good = labels(ward, "sft", SftLabelConfig(), make_examples(8))
    steps = labels(ward, "steps", StepLabelConfig(), make_trajectories(8))
    asked = questions(ward, "Held out", "test", 3)
    sft = submit(ward, kind="sft", policy=policy, labels=good, name="Ward policy", training={"method": "sft", **QUICK})
    prm = submit(ward, kind="prm", policy=policy, labels=steps, training={"method": "prm", **QUICK, "lora": None})
    rates = submit(ward, kind="pass-rates", policy=policy, questions=asked, sampling={"n": 2, "max_tokens": 96})
    trained = ModelVersion.objects.get(pk=ended(sft).result["model"])
    assert (trained.name, trained.kind, trained.team, trained.ready) == ("Ward policy", "policy", ward, True)
    assert str(trained.base_id) == policy["id"]
    assert (model_folder(model_id=trained.pk) / "config.json").is_file()
    assert Checkpoint.objects.filter(job=sft).count() == 1
    assert MetricChunk.objects.filter(job=sft, name="loss").exists()
    reward = ModelVersion.objects.get(pk=ended(prm).result["model"])
    assert (reward.kind, reward.name) == ("prm", "Process reward model")

    evaluation = submit(
        ward,
        kind="evaluation",
        policy={"kind": "model", "id": str(trained.pk)},
        prm={"kind": "model", "id": str(reward.pk)},
        questions=asked,
        collect={"greedy": GREEDY, "samples": {"n": 2, "max_tokens": 96}},
        figures={"resamples": 200, "p_resamples": 200},
    )
    measured = DatasetVersion.objects.get(pk=ended(rates).result["version"])
    assert (measured.number, measured.questions, measured.parent_id is not None) == (2, 3, True)
    assert all(row.difficulty is not None for row in QuestionRow.objects.filter(version=measured))
    found = Evaluation.objects.get(pk=ended(evaluation).result["evaluation"])
    assert (found.ready, found.questions, found.policy, found.scorer) == (True, 3, trained, reward)
    assert found.answers.count() == 3
    greedy = found.results.get(strategy="greedy")
    assert 0.0 <= greedy.low <= greedy.accuracy <= greedy.high <= 1.0
    assert found.results.filter(strategy__contains="vote", n=2).exists()
    assert (folder_of(Store.EVALUATIONS, found.pk) / "report.html").is_file()


GREEDY = {"n": 1, "draw": {"temperature": 0.0, "top_p": 1.0}, "max_tokens": 96}


def test_the_loop_leaves_trees_models_and_evaluations(stack, ward, policy):
    job = submit(
        ward,
        kind="evolution",
        name="Loop",
        questions=questions(ward, "Training", "train", 12),
        held_out=questions(ward, "Held out", "test", 5),
        policy=policy,
        settings=small_config().model_dump(mode="json"),
    )
    result = ended(job).result
    stages = JobStage.objects.filter(job=job)
    assert stages.exclude(state=State.SUCCEEDED).count() == 0
    assert stages.get(name="sft-1").details["figures"]["steps"] > 0
    assert set(Tree.objects.filter(job=job).values_list("stage", flat=True)) == {"trees-1", "trees-2"}
    models = {one.stage: one for one in ModelVersion.objects.filter(job=job)}
    assert set(models) == {"sft-1", "control-1", "sft-2", "dpo-2", "prm-2"}
    assert models["dpo-2"].base == models["sft-2"]
    assert result["final"] == str(models["dpo-2"].pk)
    assert result["prm"] == str(models["prm-2"].pk)
    sets = {one.stage: one for one in LabelSet.objects.filter(job=job, ready=True)}
    assert set(sets) == {"sft-set-1", "control-set-1", "sft-set-2", "pairs-2", "steps-2"}
    assert all(one.records == stages.get(name=name).details["figures"]["kept"] for name, one in sets.items())
    last = Tree.objects.filter(job=job, stage="trees-2")
    scores = TreeScore.objects.filter(model=models["prm-2"])
    assert {one.tree_id for one in scores} == {tree.pk for tree in last}
    assert all(len(one.scores) == one.tree.nodes + 1 for one in scores)
    evaluations = {one.stage: one for one in Evaluation.objects.filter(job=job, ready=True)}
    assert set(evaluations) == {f"evaluation-{name}" for name in ("base", "sft-1", "control-1", "sft-2", "dpo-2")}
    assert evaluations["evaluation-dpo-2"].scorer == models["prm-2"]
    assert evaluations["evaluation-base"].answers.exclude(question=None).count() == 5
