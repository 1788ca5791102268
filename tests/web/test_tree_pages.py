"""Pages of searches, trees and label sets: what they show, what they submit, what they refuse."""

import html
import json
import zlib

import pytest
from django.utils import timezone

from tests.trees import built_labels, finished_search, some_questions
from tests.web.people import signed_in
from webapp.accounts.actors import Actor
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.jobs.models import Job, State
from webapp.registry.bundled import bundled_ensure
from webapp.registry.models import LabelSet, ModelVersion
from webapp.trees.figures import kept_figures, tree_figures
from webapp.trees.models import NodeRow, SearchQuestion, Tree
from webapp.trees.services import arena_read, tree_score_store

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(world):
    return Actor(world.by_role[Role.OWNER])


@pytest.fixture
def page(world):
    """A manager's browser."""
    return signed_in(world.by_role[Role.MANAGER])


@pytest.fixture
def search(world, owner):
    return finished_search(owner, world.team)


def url(world, rest):
    return f"/t/{world.team.slug}/{rest}"


def text(answer):
    return " ".join(answer.content.decode().split())


def sent_back(form):
    """What a browser sends when nothing was changed."""
    values = {name: form[name].value() for name in form.fields}
    kept = {name: value for name, value in values.items() if value is not None and value is not False and value != ""}
    return {name: "on" if value is True else value for name, value in kept.items()}


def test_an_empty_list_offers_the_first_search(world, page):
    shown = text(page.get(url(world, "searches/")))
    assert "No search yet" in shown
    assert url(world, "searches/new/") in shown
    assert "There is no dataset to search" in text(page.get(url(world, "searches/new/")))


def test_a_search_is_submitted_from_a_preset(world, page, owner):
    version, policy = some_questions(owner, world.team), bundled_ensure()
    shown = page.get(url(world, "searches/new/?preset=quick"))
    assert shown.context["form"]["search.max_nodes"].initial == 16
    sent = sent_back(shown.context["form"]) | {"title": "Ward 7, first try"}
    sent |= {"questions": f"dataset:{version.pk}", "policy": f"model:{policy.pk}", "limit": "2"}
    answer = page.post(url(world, "searches/new/"), sent | {"show_json": "1"})
    assert answer.status_code == 200
    assert json.loads(answer.context["form"].as_json())["limit"] == 2
    assert not Job.objects.filter(kind="search").exists()
    answer = page.post(url(world, "searches/new/"), sent)
    job = Job.objects.get(kind="search")
    assert answer.url == url(world, f"searches/{job.pk}/")
    assert (job.title, job.spec["limit"], job.spec["search"]["max_nodes"]) == ("Ward 7, first try", 2, 16)
    again = page.get(url(world, f"searches/new/?like={job.pk}"))
    assert again.context["form"]["limit"].initial == 2
    refused = page.post(url(world, "searches/new/"), sent | {"search.max_nodes": "0"})
    assert refused.status_code == 400
    assert "greater than or equal to 1" in text(refused)


def test_the_page_of_a_search_adds_up_and_narrows(world, page, search):
    shown = page.get(url(world, f"searches/{search.pk}/"))
    assert shown.context["figures"].trees == 3
    body = text(shown)
    for tree in Tree.objects.filter(job=search):
        assert url(world, f"trees/{tree.pk}/") in body
    assert "Solved fraction" in body
    assert "/ws/t/" not in body, "what is over is not followed"
    assert len(page.get(url(world, f"searches/{search.pk}/?outcome=mixed")).context["page"].rows) == 3
    assert "No tree is like that" in text(page.get(url(world, f"searches/{search.pk}/?outcome=wrong")))
    assert page.get(url(world, f"searches/{search.pk}/?outcome=odd")).status_code == 404
    assert page.get(url(world, f"searches/{search.pk}/?after=x")).status_code == 404
    assert page.get(url(world, f"searches/{search.pk}/trees/")).status_code == 286, "htmx need not ask again"


def test_figures_are_kept_of_searches_that_are_over_and_of_no_others(search, django_assert_num_queries):
    rows = Tree.objects.filter(job=search)
    Job.objects.filter(pk=search.pk).update(ended=timezone.now())
    search.refresh_from_db()
    found = kept_figures(rows, job=search, wanted="all")
    assert found == tree_figures(rows) and found.trees == 3
    with django_assert_num_queries(0):
        assert kept_figures(rows, job=search, wanted="all") == found
    assert kept_figures(rows.filter(position=0), job=search, wanted="the first").trees == 1
    search.state, search.ended = State.RUNNING, None  # somebody let it go on
    assert kept_figures(rows.filter(position__gt=0), job=search, wanted="all").trees == 2


def test_pages_of_searches_cost_few_queries(world, page, search, django_assert_max_num_queries):
    for where in ("searches/", f"searches/{search.pk}/standing/", f"searches/{search.pk}/trees/"):
        with django_assert_max_num_queries(15):
            page.get(url(world, where))
    with django_assert_max_num_queries(26):  # the frame, what is asked of it, and both parts
        page.get(url(world, f"searches/{search.pk}/"))


def test_a_running_search_is_followed(world, page, search):
    Job.objects.filter(pk=search.pk).update(state=State.RUNNING)
    shown = page.get(url(world, f"searches/{search.pk}/"))
    assert f"/ws/t/{world.team.slug}/jobs/{search.pk}/" in text(shown)
    assert page.get(url(world, f"searches/{search.pk}/standing/")).status_code == 200


def test_a_tree_shows_every_step_with_its_numbers_and_scores(world, page, search):
    tree = Tree.objects.filter(job=search).earliest("position")
    prm = ModelVersion.objects.create(team=world.team, name="Judge", number=1, kind="prm", ready=True)
    Job.objects.filter(pk=search.pk).update(state=State.RUNNING)
    tree_score_store(job_id=search.pk, attempt=1, tree_id=tree.pk, model_id=prm.pk, scores=[0.5, 0.91, 0.2, 0.8, 0.1])
    shown = page.get(url(world, f"trees/{tree.pk}/"))
    body = text(shown)
    rows = shown.context["grid"].rows
    assert [row.node.id for row in rows] == [0, 1, 2, 4, 3], "each step below the one that it follows"
    assert [row.level for row in rows] == [1, 2, 3, 4, 3]
    for wanted in ("A worse thought.", "3 of 4", "right: 7", "wrong: 8", "Judge v1", "0.91", "sample rollout"):
        assert wanted in body
    assert shown.context["question"].text in html.unescape(shown.content.decode())
    answer = page.get(url(world, f"trees/{tree.pk}/json/"))
    assert json.loads(answer.content)["format"] == "meds3-tree/1"
    assert "attachment" in answer["Content-Disposition"]


def test_scripts_in_a_step_stay_letters(world, page, search):
    tree = Tree.objects.filter(job=search).earliest("position")
    line = arena_read(bytes(tree.arena)).replace("A first thought.", "<script>alert(1)</script>")
    Tree.objects.filter(pk=tree.pk).update(arena=zlib.compress(line.encode()))
    assert "<script>alert" not in page.get(url(world, f"trees/{tree.pk}/")).content.decode()


def test_scores_and_labels_are_asked_for_from_the_search(world, page, search):
    answer = page.post(url(world, f"searches/{search.pk}/score/"), {"model": "model:nobody"}, follow=True)
    assert "Choose the process reward model" in text(answer)
    prm = ModelVersion.objects.create(team=world.team, name="Judge", number=1, kind="prm", ready=True)
    page.post(url(world, f"searches/{search.pk}/score/"), {"model": f"model:{prm.pk}"})
    job = Job.objects.get(kind="tree-scoring")
    assert (job.spec["trees"]["id"], job.spec["model"]["id"]) == (str(search.pk), str(prm.pk))
    form = page.get(url(world, f"labels/new/?kind=steps&search={search.pk}")).context["form"]
    answer = page.post(url(world, "labels/new/?kind=steps"), sent_back(form) | {"name": "First labels"})
    assert answer.status_code == 302, answer.context["form"].errors
    job = Job.objects.get(kind="labels")
    assert job.spec["steps"]["label"] == "dual"
    assert [each["id"] for each in job.spec["trees"]] == [str(search.pk)]


@pytest.mark.parametrize("kind", ["sft", "pairs", "steps"])
def test_a_label_set_shows_counts_and_examples(world, page, owner, search, tmp_path, kind):
    labels = built_labels(owner, world.team, search, tmp_path, kind=kind)
    shown = page.get(url(world, f"labels/{labels.pk}/"))
    examples = shown.context["sample"]
    assert examples
    assert labels.records == labels.counts["kept"] > 0
    assert all(step.text in text(shown) for step in examples[0].steps)
    assert str(labels) in text(page.get(url(world, "labels/")))


def test_deleting_says_what_depends_on_it_and_leaves_nothing(world, page, owner, search, tmp_path):
    labels = built_labels(owner, world.team, search, tmp_path)
    Job.objects.filter(pk=labels.job_id).update(state=State.RUNNING)
    shown = text(page.get(url(world, f"searches/{search.pk}/delete/")))
    assert "In the way" in shown
    assert "Delete the search" not in shown
    answer = page.post(url(world, f"searches/{search.pk}/delete/"), follow=True)
    assert "cannot be deleted while" in text(answer)
    Job.objects.filter(pk=labels.job_id).update(state=State.SUCCEEDED)
    assert "could not be made again" in text(page.get(url(world, f"searches/{search.pk}/delete/")))
    page.post(url(world, f"searches/{search.pk}/delete/"))
    for model in (Tree, NodeRow, SearchQuestion):
        assert not model.objects.exists()
    assert not Job.objects.filter(kind="search").exists()
    assert LabelSet.objects.filter(pk=labels.pk, ready=True).exists()
    assert AuditEntry.objects.filter(verb="search.deleted").exists()
    page.post(url(world, f"labels/{labels.pk}/delete/"))
    assert not LabelSet.objects.exists()


def test_a_running_search_is_not_deleted(world, page, search):
    Job.objects.filter(pk=search.pk).update(state=State.RUNNING)
    answer = page.post(url(world, f"searches/{search.pk}/delete/"), follow=True)
    assert "is not over" in text(answer)
    assert Tree.objects.count() == 3


def test_other_teams_find_nothing(world, search):
    tree = Tree.objects.filter(job=search).earliest("position")
    neighbour = signed_in(world.other_owner)
    for where in (f"searches/{search.pk}/", f"trees/{tree.pk}/", f"trees/{tree.pk}/json/"):
        assert neighbour.get(url(world, where)).status_code == 404
        assert neighbour.get(f"/t/{world.other_team.slug}/{where}").status_code == 404
