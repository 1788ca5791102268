"""From a search to what is trained on: a search, guided too, scores of its trees, label sets.

In the test's own process; workers, their deaths and their sharing are in test_search_kills.py.
"""

import json
import shutil
import zlib

import pytest

from meds3core.data.labels import read_labels
from tests.core.prm.tiny import write_prm
from tests.trees import search_spec, some_questions, submitted_search
from tests.workers.attempts import done
from tests.workers.people import operator, team
from webapp.common.files import Store, folder_of
from webapp.jobs import selectors, services
from webapp.registry.models import LabelSet, ModelVersion
from webapp.trees.models import SearchQuestion, Tree, TreeScore
from workers.kinds.search import NothingGrown

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def no_queue(monkeypatch):
    """Nobody listens to doorbells here."""
    monkeypatch.setattr("webapp.jobs.dispatch.app.send_task", lambda *_, **__: None)


@pytest.fixture
def ward(transactional_db):
    return team("Ward 7")


def reward_model(ward, tmp_path):
    """A tiny reward model on the shelf, untrained: its scores are numbers all the same."""
    row = ModelVersion.objects.create(team=ward, name="Judge", number=1, kind="prm", ready=True)
    shutil.copytree(write_prm(tmp_path / "prm", max_position_embeddings=4096), folder_of(Store.MODELS, row.pk))
    return row


def submit(ward, **spec):
    return services.job_submit(actor=operator(), team=ward, spec=spec)


def test_trees_are_searched_scored_and_made_into_labels(ward, tmp_path):
    version = some_questions(operator(), ward, 6)
    search = submitted_search(operator(), ward, version)
    assert done(search)["trees"] == 6
    trees = {"kind": "trees", "id": str(search.pk)}
    prm = reward_model(ward, tmp_path)
    done(submit(ward, kind="tree-scoring", trees=trees, model={"kind": "model", "id": str(prm.pk)}))
    for score in TreeScore.objects.select_related("tree"):
        assert len(score.scores) == score.tree.nodes + 1
        assert all(0 <= each <= 1 for each in score.scores)
    assert TreeScore.objects.count() == 6
    for kind, settings in {"sft": {}, "steps": {"both_outcomes": False}, "pairs": {"gap": 0.0}}.items():
        result = done(submit(ward, kind="labels", name=f"Of {kind}", trees=[trees], **{kind: settings}))
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
    assert done(followed)["trees"] == 2
    arena = json.loads(zlib.decompress(Tree.objects.filter(job=followed).earliest("position").arena))
    assert "gold" not in arena["question"], "at inference nobody knows the answer"


def test_a_tree_that_breaks_is_told_and_the_search_goes_on(ward):
    version = some_questions(operator(), ward, 4)
    row = version.rows.get(position=1)
    long = row.record | {"text": row.record["text"] + " word" * 3000}
    version.rows.filter(pk=row.pk).update(record=long)
    found = submitted_search(operator(), ward, version)
    result = done(found)
    assert (result["trees"], result["failures"]) == (3, 1)
    broken = SearchQuestion.objects.get(job=found, state="failed")
    assert (broken.position, broken.error_code) == (1, "context-overflow")
    warnings = [event.text for event in selectors.events_after(job=found, seq=0) if event.kind == "warning"]
    assert any(text.startswith("Question 2 has no tree (context-overflow)") for text in warnings)


def test_a_search_without_any_tree_fails_and_a_retry_tries_again(ward):
    version = some_questions(operator(), ward, 2)
    for row in version.rows.all():
        version.rows.filter(pk=row.pk).update(record=row.record | {"text": row.record["text"] + " word" * 3000})
    job = submitted_search(operator(), ward, version)
    with pytest.raises(NothingGrown, match=r"None of the 2 trees could be grown \(context-overflow\)"):
        done(job)
    assert set(SearchQuestion.objects.filter(job=job).values_list("state", flat=True)) == {"waiting"}


def test_two_shards_one_after_the_other_give_what_one_worker_gives(ward):
    version = some_questions(operator(), ward, 6)
    alone = done(submitted_search(operator(), ward, version))
    whole = submitted_search(operator(), ward, version, shards=2)
    first, second = whole.shards.order_by("id")
    assert done(first)["own_trees"] == 6, "whoever comes first takes all there is"
    assert done(second)["own_trees"] == 0
    whole.refresh_from_db()
    assert (whole.state, whole.result) == ("succeeded", alone)
