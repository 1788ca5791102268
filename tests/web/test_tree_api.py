"""The API of searches, trees, nodes and label sets."""

import json

import pytest

from tests.trees import built_labels, finished_search, search_spec, some_questions
from tests.web.people import token
from webapp.accounts.actors import Actor
from webapp.accounts.rules import Role
from webapp.jobs.models import Job, State
from webapp.registry.models import LabelSet, ModelVersion
from webapp.trees.models import Tree
from webapp.trees.services import arena_read

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(world):
    return Actor(world.by_role[Role.OWNER])


@pytest.fixture
def api(world, client):
    """Calls as a manager, by token."""
    key = token(world.by_role[Role.MANAGER], world.team, Role.MANAGER)

    def call(method, path, body=None, status=200):
        url = path if path.startswith("/") else f"/api/v1/teams/{world.team.slug}/{path}"
        headers = {"Authorization": f"Bearer {key}"}
        answer = client.generic(method, url, json.dumps(body or {}), "application/json", headers=headers)
        assert answer.status_code == status, answer.content
        return answer

    return call


@pytest.fixture
def search(world, owner):
    return finished_search(owner, world.team)


def test_a_search_is_submitted_and_shown(world, owner, api):
    spec = search_spec(some_questions(owner, world.team))
    answer = api("POST", "searches", {"spec": spec, "title": "By program"}, status=202)
    job = Job.objects.get(kind="search")
    assert answer["Location"].endswith(f"/jobs/{job.pk}")
    shown = api("GET", f"searches/{job.pk}").json()
    assert (shown["title"], shown["figures"]["trees"], shown["spec"]["search"]["max_nodes"]) == ("By program", 0, 6)
    refused = api("POST", "searches", {"spec": spec | {"search": {"simulation": "scorer"}}}, status=422)
    assert "names its reward model" in refused.content.decode()


def test_trees_are_listed_narrowed_and_read_whole(api, search):
    first = api("GET", f"searches/{search.pk}/trees?limit=2").json()
    assert [each["position"] for each in first["items"]] == [0, 1]
    rest = api("GET", first["next"]).json()
    assert [each["position"] for each in rest["items"]] == [2]
    assert rest["next"] is None
    assert api("GET", f"searches/{search.pk}/trees?least_solved=0.9").json()["items"] == []
    assert len(api("GET", f"searches/{search.pk}/trees?stop_reason=complete").json()["items"]) == 3
    tree = Tree.objects.get(pk=first["items"][0]["id"])
    assert api("GET", f"trees/{tree.pk}/content").content.decode() == arena_read(bytes(tree.arena))
    assert api("GET", f"trees/{tree.pk}").json()["content_hash"] == tree.content_hash


def test_nodes_are_found_by_drop_move_verdict_and_words(api, search):
    drops = api("GET", f"searches/{search.pk}/nodes?least_drop=0.4").json()["items"]
    assert {(each["idx"], each["drop"]) for each in drops} == {(2, 0.5)}
    assert len(drops) == 3
    wrong = api("GET", f"searches/{search.pk}/nodes?verdict=false&move=finish").json()["items"]
    assert {each["text"] for each in wrong} == {"The answer is 8."}
    found = api("POST", f"searches/{search.pk}/nodes/search?limit=2", {"text": "WORSE thought"}).json()
    assert {each["idx"] for each in found["items"]} == {2}
    assert len(api("POST", found["next"], {"text": "worse thought"}).json()["items"]) == 1
    tree = Tree.objects.filter(job=search).earliest("position")
    assert [each["idx"] for each in api("GET", f"trees/{tree.pk}/nodes").json()["items"]] == [0, 1, 2, 3, 4]


def test_scores_are_asked_for_and_read(world, api, search):
    prm = ModelVersion.objects.create(team=world.team, name="Judge", number=1, kind="prm", ready=True)
    job = api("POST", f"searches/{search.pk}/scores", {"model": str(prm.pk)}, status=202).json()
    assert Job.objects.get(pk=job["id"]).spec["trees"]["id"] == str(search.pk)
    tree = Tree.objects.filter(job=search).earliest("position")
    tree.scores.create(model=prm, scores=[0.1, None])
    assert api("GET", f"trees/{tree.pk}/scores").json() == [
        {"model": str(prm.pk), "name": "Judge v1", "scores": [0.1, None]}
    ]


def test_label_sets_are_built_read_and_deleted(world, owner, api, search, tmp_path):
    trees = [{"kind": "trees", "id": str(search.pk)}]
    api("POST", "label-sets", {"spec": {"kind": "labels", "trees": trees, "sft": {}}}, status=202)
    made = built_labels(owner, world.team, search, tmp_path)
    shown = api("GET", "label-sets").json()["items"]
    assert [(each["id"], each["kind"], each["records"]) for each in shown] == [(str(made.pk), "steps", made.records)]
    lines = b"".join(api("GET", f"label-sets/{made.pk}/records").streaming_content).splitlines()
    assert len(lines) == made.records
    Job.objects.filter(kind="labels").update(state=State.SUCCEEDED)
    api("DELETE", f"label-sets/{made.pk}", status=204)
    assert not LabelSet.objects.exists()
    api("DELETE", f"searches/{search.pk}", status=204)
    assert not Tree.objects.exists()
