"""The columns of a tree's drawing say what the tree says; browsers keep them; a growing tree has a page of its own."""

import gzip
import json

import pytest
from django.urls import reverse

from meds3core.types.tree import Tree as TreeRecord
from tests.drawn import grown
from tests.trees import finished_search, some_questions, submitted_search
from tests.web.people import signed_in, token
from webapp.accounts.actors import Actor
from webapp.accounts.rules import Role
from webapp.jobs.models import Job, State
from webapp.registry.bundled import bundled_ensure
from webapp.trees.drawing import MOST_TEXTS, growing_columns
from webapp.trees.models import NodeRow, SearchQuestion, Tree, TreeScore
from webapp.trees.reading import node_figures
from webapp.trees.services import arena_read, search_prepare
from workers.kinds.search import snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_queue(monkeypatch):
    """Doorbells are for tests/workers: here nobody listens."""
    monkeypatch.setattr("webapp.jobs.dispatch.app.send_task", lambda *_, **__: None)


@pytest.fixture
def owner(world):
    return world.by_role[Role.OWNER]


@pytest.fixture
def client(owner):
    return signed_in(owner)


@pytest.fixture
def tree(world, owner):
    return Tree.objects.filter(job=finished_search(Actor(owner), world.team, 1)).get()


def drawn(client, team, tree, **headers):
    return client.get(reverse("tree-drawing", args=[team.slug, tree.pk]), headers=headers)


def test_columns_say_what_the_tree_says(world, client, tree):
    record = TreeRecord.model_validate_json(arena_read(bytes(tree.arena)))
    figures = node_figures(record)
    model = bundled_ensure()
    scores = [None, 0.81234, 0.2, 0.95, 0.1]
    TreeScore.objects.create(tree=tree, model=model, scores=scores)
    found = drawn(client, world.team, tree).json()
    assert found["parent"] == [node.parent for node in record.nodes]
    assert [found["moves"][each] for each in found["move"]] == [node.move.value for node in record.nodes]
    assert found["value"] == [node.value for node in record.nodes]
    assert found["visits"] == [node.visits for node in record.nodes]
    assert found["right"] == [each.right for each in figures]
    assert found["rollouts"] == [each.rollouts for each in figures]
    assert found["drop"] == [each.drop for each in figures]
    assert found["drop"] == list(NodeRow.objects.filter(tree=tree).order_by("idx").values_list("drop", flat=True))
    assert found["verdict"] == [None, None, None, 1, 0]
    assert found["answers"] == [[3, "7"], [4, "8"]]
    assert found["growth"] is None  # this tree's values are made up: no backup rule gives them
    assert found["texts"] == [node.text for node in record.nodes]
    assert found["scores"] == [{"model": str(model.pk), "name": str(model), "values": [None, 0.81234, 0.2, 0.95, 0.1]}]
    assert "so" not in json.dumps(found["texts"]).split()  # the text of a rollout


def test_the_api_gives_the_same_columns(world, owner, client, tree):
    header = {"Authorization": f"Bearer {token(owner, world.team, Role.OWNER)}"}
    answer = client.get(f"/api/v1/teams/{world.team.slug}/trees/{tree.pk}/drawing", headers=header)
    assert answer.json() == drawn(client, world.team, tree).json()


def test_a_browser_that_has_them_keeps_them_until_a_score_comes(world, client, tree):
    first = drawn(client, world.team, tree)
    assert first.headers["Cache-Control"] == "private, no-cache"
    kept = {"If-None-Match": first.headers["ETag"]}
    assert drawn(client, world.team, tree, **kept).status_code == 304
    TreeScore.objects.create(tree=tree, model=bundled_ensure(), scores=[0.5] * 5)
    assert drawn(client, world.team, tree, **kept).status_code == 200


def test_columns_are_compressed_for_those_who_take_it(world, client, tree):
    plain = drawn(client, world.team, tree)
    packed = drawn(client, world.team, tree, **{"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content


def test_a_large_tree_leaves_its_texts_out(tree):
    question = TreeRecord.model_validate_json(arena_read(bytes(tree.arena))).question
    large = growing_columns(snapshot=snapshot(grown(question, MOST_TEXTS + 1)))
    small = growing_columns(snapshot=snapshot(grown(question, 60)))
    assert large["texts"] is None
    assert [len(small[name]) for name in ("parent", "value", "drop", "texts")] == [60] * 4
    assert max(map(len, small["texts"])) <= 90


def test_a_snapshot_draws_as_the_finished_tree_does(world, client, tree):
    record = TreeRecord.model_validate_json(arena_read(bytes(tree.arena)))
    finished = drawn(client, world.team, tree).json()
    growing = json.loads(json.dumps(growing_columns(snapshot=snapshot(record))))
    assert growing == finished | {"state": "growing", "scores": []}


def test_the_page_of_a_growing_tree(world, owner, client):
    version = some_questions(Actor(owner), world.team, 2)
    job = submitted_search(Actor(owner), world.team, version)
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=1)
    search_prepare(search_id=job.pk, version_id=version.pk)
    where = [world.team.slug, job.pk, 0]
    assert client.get(reverse("growing-tree", args=[world.team.slug, job.pk, 7])).status_code == 404
    page = client.get(reverse("growing-tree", args=where))
    question = SearchQuestion.objects.select_related("question").get(job=job, position=0)
    assert question.question.text.split("\n")[0][:40] in page.content.decode().replace("&#x27;", "'")
    answer = client.get(reverse("growing-drawing", args=where))
    assert answer.json()["state"] == "waiting"
    assert "parent" not in answer.json()
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_a_tree_that_is_finished_is_led_to(world, client, tree):
    where = [world.team.slug, tree.job_id, tree.position]
    own = reverse("tree", args=[world.team.slug, tree.pk])
    assert client.get(reverse("growing-tree", args=where)).url == own
    found = client.get(reverse("growing-drawing", args=where)).json()
    assert found == {"state": "done", "url": own, "drawing": reverse("tree-drawing", args=[world.team.slug, tree.pk])}
