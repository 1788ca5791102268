"""Pages and API of training and evaluations: what they show, and that a form starts the job that it says."""

import pytest
from django.urls import reverse

from meds3core.config.training import TRAINING_PRESETS
from meds3core.sandbox.questions import generate
from tests.evaluations import measured
from tests.trees import built_labels, finished_search, some_questions
from tests.web.people import World, signed_in, token
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Role
from webapp.datasets.services import dataset_from_questions
from webapp.evaluations.models import Evaluation
from webapp.jobs.models import Job
from webapp.registry.bundled import bundled_ensure
from webapp.training.methods import METHODS

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World().built()


@pytest.fixture
def owner(world):
    return signed_in(world.by_role[Role.OWNER])


@pytest.fixture
def version(world):
    return dataset_from_questions(actor=SYSTEM, team=world.team, name="Ward", questions=generate("test", 4, seed=1))


def fields_of(page) -> dict[str, object]:
    """What a browser would send of the form as it stands."""
    sent = {}
    for name, field in page.context["form"].fields.items():
        value = field.initial
        if value is True:
            sent[name] = "on"
        elif value is not None and value is not False and value != "":
            sent[name] = value
    return sent


@pytest.mark.parametrize("method", METHODS)
def test_without_anything_to_learn_from_the_form_says_where_to_begin(world, owner, method):
    page = owner.get(reverse("training-create", args=[world.team.slug, method]))
    assert page.status_code == 200
    assert b"empty-title" in page.content


def test_a_form_starts_the_run_that_it_describes(world, owner, tmp_path):
    policy = bundled_ensure()
    labels = built_labels(SYSTEM, world.team, finished_search(SYSTEM, world.team, name="Search"), tmp_path)
    method = {"sft": "sft", "pairs": "dpo", "steps": "prm"}[labels.kind]
    url = reverse("training-create", args=[world.team.slug, method])
    page = owner.get(f"{url}?policy={policy.pk}&labels={labels.pk}")
    sent = fields_of(page) | {"name": "Ward policy"}
    answer = owner.post(url, sent)
    assert answer.status_code == 302, answer.context["form"].errors
    job = Job.objects.get(team=world.team, title="Ward policy")
    assert answer.url == reverse("training-run", args=[world.team.slug, job.pk])
    assert job.spec["policy"]["id"] == str(policy.pk)
    assert job.spec["training"] == TRAINING_PRESETS["clinic"][job.kind].model_dump(mode="json")
    listed = owner.get(reverse("training-list", args=[world.team.slug]))
    assert b"Ward policy" in listed.content


def test_an_evolution_is_started_with_its_preset(world, owner, version):
    policy = bundled_ensure()
    url = reverse("training-create", args=[world.team.slug, "evolution"])
    held_out = some_questions(SYSTEM, world.team, 3, name="Held out")
    page = owner.get(f"{url}?policy={policy.pk}&questions={version.pk}&held_out={version.pk}")
    same = owner.post(url, fields_of(page) | {"name": "Loop"})
    assert same.status_code == 400
    assert "held_out names the training questions" in same.content.decode()
    page = owner.get(f"{url}?policy={policy.pk}&questions={version.pk}&held_out={held_out.pk}")
    answer = owner.post(url, fields_of(page) | {"name": "Loop", "settings.iterations": 1})
    assert answer.status_code == 302, answer.context["form"].errors
    job = Job.objects.get(team=world.team, kind="evolution")
    assert answer.url == reverse("evolution", args=[world.team.slug, job.pk])
    assert f'href="{answer.url}"' in owner.get(reverse("training-list", args=[world.team.slug])).content.decode()
    assert (job.title, job.spec["settings"]["iterations"]) == ("Loop", 1)
    assert job.spec["settings"]["search_shares"] == 2  # of the preset, on no input of the form's first page


def test_an_evaluation_is_started_shown_and_deleted(world, owner, version):
    policy = bundled_ensure()
    url = reverse("evaluation-create", args=[world.team.slug])
    page = owner.get(f"{url}?policy={policy.pk}&questions={version.pk}")
    answer = owner.post(url, fields_of(page) | {"name": "Ward benchmark"})
    assert answer.status_code == 302, answer.context["form"].errors
    assert Job.objects.get(team=world.team, kind="evaluation").title == "Ward benchmark"
    found = measured(world.team, version)
    value = found.figures["greedy"]["value"]
    listed = owner.get(reverse("evaluation-list", args=[world.team.slug])).content.decode()
    assert f"{value:.1%}" in listed
    shown = owner.get(reverse("evaluation", args=[world.team.slug, found.pk])).content.decode()
    assert f"{value:.1%} [" in shown
    asked = owner.get(reverse("evaluation-questions", args=[world.team.slug, found.pk])).content.decode()
    assert asked.count("right</span>") == 4 * value
    report = owner.get(reverse("evaluation-file", args=[world.team.slug, found.pk, "report"]))
    assert report["Content-Disposition"].startswith("attachment") and b"<html" in report.getvalue()
    owner.post(reverse("evaluation-delete", args=[world.team.slug, found.pk]))
    assert not Evaluation.objects.exists()


def test_the_api_gives_headline_strategies_and_answers(world, version):
    found = measured(world.team, version)
    person = world.by_role[Role.VIEWER]
    bearer = {"Authorization": f"Bearer {token(person, world.team, Role.VIEWER)}"}
    client = signed_in(None, headers=bearer)
    base = f"/api/v1/teams/{world.team.slug}/evaluations"
    (headline,) = client.get(base).json()["items"]
    assert headline["figures"]["greedy"] == found.figures["greedy"]
    strategies = client.get(f"{base}/{found.pk}/strategies").json()
    assert "greedy" in {each["strategy"] for each in strategies}
    first = client.get(f"{base}/{found.pk}/answers?limit=3").json()
    assert [row["position"] for row in first["items"]] == [0, 1, 2]
    assert [row["position"] for row in client.get(first["next"]).json()["items"]] == [3]
    assert client.delete(f"{base}/{found.pk}").status_code == 403
