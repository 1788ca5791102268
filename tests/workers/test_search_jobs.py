"""From a search to what is trained on, by a real worker: a search, guided too, scores of its trees, label sets."""

import json
import shutil
import zlib

import pytest

from meds3core.data.labels import read_labels
from tests.core.prm.tiny import write_prm
from tests.trees import search_spec, some_questions, submitted_search
from tests.workers.people import operator, team
from tests.workers.stack import running_stack, state_of, wait_for
from webapp.common.files import Store, folder_of
from webapp.jobs import selectors, services
from webapp.jobs.models import Job, State
from webapp.jobs.transitions import ENDED
from webapp.registry.models import LabelSet, ModelVersion
from webapp.trees.models import SearchQuestion, Tree, TreeScore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stack(tmp_path, transactional_db):
    with running_stack(tmp_path) as running:
        running.start_worker("gpu-a", queue="gpu")
        running.start_worker("cpu-a")
        yield running
        running.end("gpu-a")
        running.end("cpu-a")


@pytest.fixture
def ward(transactional_db):
    return team("Ward 7")


def ended(job, wanted=State.SUCCEEDED):
    wait_for(lambda: state_of(job) in ENDED, f"the end of {job}")
    found = Job.objects.get(pk=job.pk)
    told = [event.text for event in selectors.events_after(job=found, seq=0) if event.text]
    assert found.state == wanted, (found.error_message, told)
    return found


def reward_model(ward, tmp_path):
    """A tiny reward model on the shelf, untrained: its scores are numbers all the same."""
    row = ModelVersion.objects.create(team=ward, name="Judge", number=1, kind="prm", ready=True)
    shutil.copytree(write_prm(tmp_path / "prm", max_position_embeddings=4096), folder_of(Store.MODELS, row.pk))
    return row


def submit(ward, **spec):
    return services.job_submit(actor=operator(), team=ward, spec=spec)


def test_trees_are_searched_scored_and_made_into_labels(stack, ward, tmp_path):
    version = some_questions(operator(), ward, 6)
    search = submitted_search(operator(), ward, version)
    found = ended(search)
    assert found.result["trees"] == 6
    assert (found.done, found.total, found.unit) == (6, 6, "trees")
    trees = {"kind": "trees", "id": str(search.pk)}
    prm = reward_model(ward, tmp_path)
    scoring = submit(ward, kind="tree-scoring", trees=trees, model={"kind": "model", "id": str(prm.pk)})
    made = {
        kind: submit(ward, kind="labels", name=f"Of {kind}", trees=[trees], **{kind: settings})
        for kind, settings in {"sft": {}, "steps": {"both_outcomes": False}, "pairs": {"gap": 0.0}}.items()
    }
    ended(scoring)
    for score in TreeScore.objects.select_related("tree"):
        assert len(score.scores) == score.tree.nodes + 1
        assert all(0 <= each <= 1 for each in score.scores)
    assert TreeScore.objects.count() == 6
    for kind, job in made.items():
        result = ended(job).result
        row = LabelSet.objects.get(pk=result["labels"])
        stored = read_labels(folder_of(Store.LABELS, row.pk))
        assert (row.name, row.kind, row.records) == (f"Of {kind}", kind, len(stored.records))
        assert row.records == result["kept"] > 0
    guided = search_spec(
        version,
        search={"simulation": "scorer", "mode": "inference"},
        scorer={"kind": "model", "id": str(prm.pk)},
        limit=2,
    )
    followed = submit(ward, **guided)
    assert ended(followed).result["trees"] == 2
    arena = json.loads(zlib.decompress(Tree.objects.filter(job=followed).earliest("position").arena))
    assert "gold" not in arena["question"], "at inference nobody knows the answer"


def test_a_tree_that_breaks_is_told_and_the_search_goes_on(stack, ward):
    version = some_questions(operator(), ward, 4)
    row = version.rows.get(position=1)
    long = row.record | {"text": row.record["text"] + " word" * 3000}
    version.rows.filter(pk=row.pk).update(record=long)
    found = ended(submitted_search(operator(), ward, version))
    assert (found.result["trees"], found.result["failures"]) == (3, 1)
    broken = SearchQuestion.objects.get(job=found, state="failed")
    assert (broken.position, broken.error_code) == (1, "context-overflow")
    warnings = [event.text for event in selectors.events_after(job=found, seq=0) if event.kind == "warning"]
    assert any(text.startswith("Question 2 has no tree (context-overflow)") for text in warnings)


def test_a_search_without_any_tree_fails_and_a_retry_tries_again(stack, ward):
    version = some_questions(operator(), ward, 2)
    for row in version.rows.all():
        version.rows.filter(pk=row.pk).update(record=row.record | {"text": row.record["text"] + " word" * 3000})
    found = ended(submitted_search(operator(), ward, version), State.FAILED)
    assert (found.error_code, found.attempt) == ("no-trees", 1)
    assert "None of the 2 trees could be grown (context-overflow)" in found.error_message
    services.job_retry(actor=operator(), job=found)
    assert ended(found, State.FAILED).attempt == 2
