"""What a search would cost: told by earlier searches, measured by a job, asked from the form and by the API."""

import json

import pytest

from meds3core.config.jobs import JOB_SPEC
from tests.core.evolution.small import small_config
from tests.trees import finished_search, search_spec, some_questions
from tests.web.people import World, signed_in
from tests.web.test_tree_pages import sent_back
from tests.workers.attempts import done
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Role
from webapp.jobs.models import Job, State
from webapp.jobs.services import job_submit
from webapp.trees.estimates import estimate_from_earlier
from webapp.trees.models import Tree

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db):
    return World().built()


def worked(search, seconds):
    Job.objects.filter(pk=search.pk).update(worked=seconds)


def earlier(world, version, **others):
    return estimate_from_earlier(team=world.team, spec=JOB_SPEC.validate_python(search_spec(version, **others)))


def test_earlier_searches_tell_what_a_new_one_costs(world):
    version = some_questions(SYSTEM, world.team, 30)
    assert earlier(world, version) is None
    worked(finished_search(SYSTEM, world.team, 3, name="One"), 60.0)
    found = earlier(world, version)
    assert (found.questions, found.searches, found.trees, found.same_settings) == (30, 1, 3, True)
    assert found.generated_tokens.value == 30 * 120
    assert (found.seconds.low, found.seconds.value, found.seconds.high) == (400.0, 600.0, 900.0)
    worked(finished_search(SYSTEM, world.team, 3, name="Two"), 120.0)
    assert earlier(world, version).seconds.high == 1800.0
    assert earlier(world, version, shards=3).seconds.value == 300.0
    larger = earlier(world, version, search={"max_nodes": 12})
    assert (larger.same_settings, larger.seconds.value) == (False, 1800.0)
    assert earlier(world, version, engine={"kind": "vllm"}) is None
    assert estimate_from_earlier(team=world.other_team, spec=JOB_SPEC.validate_python(search_spec(version))) is None


def test_the_form_shows_what_is_known_and_measures_the_rest(world):
    version = some_questions(SYSTEM, world.team, 6)
    worked(finished_search(SYSTEM, world.team, 3, name="One"), 60.0)
    page, place = signed_in(world.by_role[Role.MANAGER]), f"/t/{world.team.slug}/searches/"
    sent = sent_back(page.get(f"{place}new/").context["form"])
    sent |= {"questions": f"dataset:{version.pk}", "search.max_nodes": "4", "search.rollouts": "2"}
    sent |= {"policy": f"model:{search_spec(version)['policy']['id']}"}
    sent |= {"search.min_rollouts": "1", "search.rollout_tokens": "64"}
    wrong = page.post(f"{place}estimate/", sent | {"limit": "0"}, headers={"HX-Request": "true"})
    assert "Nothing can be estimated as the form stands" in wrong.content.decode()
    shown = page.post(f"{place}estimate/", sent, headers={"HX-Request": "true"}).content.decode()
    assert "From earlier searches" in shown
    assert "none with these settings" in shown
    job = Job.objects.get(kind="estimate")
    assert f"{place}estimate/{job.pk}/" in shown
    assert "starts as soon as a worker is free" in shown
    result = done(job)
    assert result["questions"] == 6
    assert len(result["trial"]["trees"]) == 5
    assert result["seconds"]["low"] <= result["seconds"]["value"] <= result["seconds"]["high"]
    assert not Tree.objects.filter(job=job).exists(), "nothing of a trial is kept"
    measured = page.get(f"{place}estimate/{job.pk}/").content.decode()
    assert "5 questions, evenly spaced" in measured
    assert "hx-get" not in measured, "what is over is not asked for again"


def test_the_searches_of_a_loop_are_estimated(world):
    version = some_questions(SYSTEM, world.team, 8)
    held_out = some_questions(SYSTEM, world.team, 2, name="Held out")
    loop = {
        "kind": "evolution",
        "questions": {"kind": "dataset", "id": str(version.pk)},
        "held_out": {"kind": "dataset", "id": str(held_out.pk)},
        "policy": search_spec(version)["policy"],
        "settings": json.loads(small_config().model_dump_json()),
    }
    job = job_submit(actor=SYSTEM, team=world.team, spec={"kind": "estimate", "evolution": loop, "trial": 2})
    result = done(job)
    assert result["questions"] == 2 * 6
    assert "2 searches of 6 questions" in result["note"]
    assert Job.objects.get(pk=job.pk).state == State.SUCCEEDED


def test_an_estimate_is_of_one_thing():
    with pytest.raises(ValueError, match="exactly one of search and evolution"):
        JOB_SPEC.validate_python({"kind": "estimate"})
