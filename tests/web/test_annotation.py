"""Flags on steps: who sets and withdraws them, what stays of them, and where they show."""

import json

import pytest

from tests.trees import finished_search
from tests.web.people import signed_in, token
from webapp.accounts.actors import Actor
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.annotation.models import StepFlag
from webapp.annotation.selectors import flag_counts, flags_of
from webapp.annotation.services import FlagError, flag_withdraw, step_flag
from webapp.trees.deletion import search_delete
from webapp.trees.models import Tree

pytestmark = pytest.mark.django_db


@pytest.fixture
def actors(world):
    return {role: Actor(user) for role, user in world.by_role.items()}


@pytest.fixture
def search(world, actors):
    return finished_search(actors[Role.OWNER], world.team)


@pytest.fixture
def tree(search):
    return Tree.objects.filter(job=search).earliest("position")


def test_a_flag_says_who_and_when_and_is_changed_by_the_same_person(actors, tree):
    first = step_flag(actor=actors[Role.MANAGER], tree=tree, idx=2, comment=" Why? ")
    again = step_flag(actor=actors[Role.MANAGER], tree=tree, idx=2, comment="Why so low?")
    other = step_flag(actor=actors[Role.ANNOTATOR], tree=tree, idx=2)
    assert first.pk == again.pk != other.pk
    assert (again.comment, again.flagged_by_name, again.stands) == ("Why so low?", "manager", True)
    assert flag_counts(tree=tree) == {2: 2}
    lines = AuditEntry.objects.filter(verb="step.flagged")
    assert [line.details for line in lines] == [{"node": 2}] * 2, "comments are in no log"
    for wrong in ({"idx": 5}, {"idx": -1}, {"idx": 1, "comment": "x" * 2001}):
        with pytest.raises(FlagError):
            step_flag(actor=actors[Role.MANAGER], tree=tree, **wrong)


def test_flags_are_withdrawn_by_their_owner_or_a_manager_and_kept(actors, world, tree, search):
    flags = [step_flag(actor=actors[Role.ANNOTATOR], tree=tree, idx=idx) for idx in (1, 2)]
    managers = step_flag(actor=actors[Role.MANAGER], tree=tree, idx=1)
    with pytest.raises(FlagError, match="manager flagged this step"):
        flag_withdraw(actor=actors[Role.ANNOTATOR], flag=managers)
    flag_withdraw(actor=actors[Role.ANNOTATOR], flag=flags[0])
    flag_withdraw(actor=actors[Role.MANAGER], flag=flags[1])
    assert set(flags_of(team=world.team)) == {managers}
    kept = StepFlag.objects.get(pk=flags[1].pk)
    assert (kept.flagged_by_name, kept.withdrawn_by, kept.stands) == ("annotator", world.by_role[Role.MANAGER], False)
    step_flag(actor=actors[Role.ANNOTATOR], tree=tree, idx=1)  # may be said again
    search_delete(actor=actors[Role.OWNER], job=search)
    assert not StepFlag.objects.exists()


def test_the_panel_flags_and_withdraws(world, tree):
    page = signed_in(world.by_role[Role.MANAGER])
    where = f"/t/{world.team.slug}/trees/{tree.pk}/nodes/2/"
    part = {"HX-Request": "true"}
    answer = page.post(f"{where}flag/", {"comment": "Look at <this>"}, headers=part, follow=True)
    shown = answer.content.decode()
    assert "Look at &lt;this&gt;" in shown
    assert "flagged" in page.get(f"/t/{world.team.slug}/trees/{tree.pk}/").content.decode()
    flag = StepFlag.objects.get()
    viewer = signed_in(world.by_role[Role.VIEWER])
    assert "Flag this step" not in viewer.get(where, headers=part).content.decode()
    assert viewer.post(f"{where}flag/").status_code == 403
    shown = page.post(f"/t/{world.team.slug}/flags/{flag.pk}/withdraw/", follow=True).content.decode()
    assert "Withdrawn" in shown
    assert page.post(f"/t/{world.team.slug}/flags/{flag.pk}/withdraw/").status_code == 404


def test_programs_flag_list_and_withdraw(world, tree, client):
    key = token(world.by_role[Role.MANAGER], world.team, Role.MANAGER)

    def call(method, path, body=None):
        url = f"/api/v1/teams/{world.team.slug}/{path}"
        headers = {"Authorization": f"Bearer {key}"}
        return client.generic(method, url, json.dumps(body or {}), "application/json", headers=headers)

    made = call("POST", f"trees/{tree.pk}/flags", {"node": 4, "comment": "Wrong dose"})
    assert (made.status_code, made.json()["node"], made.json()["flagged_by"]) == (201, 4, "manager")
    assert [each["id"] for each in call("GET", "flags").json()["items"]] == [made.json()["id"]]
    assert [each["comment"] for each in call("GET", f"trees/{tree.pk}/flags").json()["items"]] == ["Wrong dose"]
    assert call("POST", f"trees/{tree.pk}/flags", {"node": 40}).status_code == 422
    assert call("DELETE", f"flags/{made.json()['id']}").status_code == 204
    assert call("GET", f"flags/{made.json()['id']}").status_code == 404
