"""Previews of training data, runs and their comparison: pages and API against what the library says."""

from dataclasses import asdict

import pytest
from django.urls import reverse

from meds3core.config.jobs import JOB_SPEC
from meds3core.config.training import TRAINING_PRESETS
from meds3core.data.labels import read_labels
from meds3core.engines.policy import inspect_policy
from meds3core.training.models import load_tokenizer
from meds3core.training.preview import preview_data
from tests.trees import built_labels, finished_search, some_questions
from tests.web.people import World, signed_in, token
from tests.workers.attempts import done
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Role
from webapp.common.files import Store, folder_of
from webapp.jobs import reports
from webapp.jobs.models import Job, State
from webapp.jobs.services import job_submit
from webapp.registry.bundled import bundled_ensure
from webapp.registry.models import LabelSet
from webapp.training.compare import comparison_of
from webapp.training.models import DataPreview
from webapp.training.previews import preview_of, preview_request, previews_sweep

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World().built()


@pytest.fixture
def owner(world):
    return signed_in(world.by_role[Role.OWNER])


@pytest.fixture
def labels(world, tmp_path):
    return built_labels(SYSTEM, world.team, finished_search(SYSTEM, world.team), tmp_path)


def spec_of(labels: LabelSet, method: str = "prm", **training):
    settings = TRAINING_PRESETS["clinic"][method].model_dump(mode="json") | training
    policy = {"kind": "model", "id": str(bundled_ensure().pk)}
    return {
        "kind": method,
        "policy": policy,
        "labels": {"kind": "labels", "id": str(labels.pk)},
        "training": settings,
        "name": "Ward",
    }


def by_library(labels: LabelSet, method: str, **training):
    folder = inspect_policy(folder_of(Store.MODELS, bundled_ensure().pk))
    config = TRAINING_PRESETS["clinic"][method].model_copy(update=training)
    records = read_labels(folder_of(Store.LABELS, labels.pk)).records
    return preview_data(method, records, load_tokenizer(folder), config, folder.context_length)


def test_a_preview_is_asked_for_made_once_and_shown(world, owner, labels):
    url = reverse("training-preview-create", args=[world.team.slug, "prm"])
    form = {"policy": f"model:{bundled_ensure().pk}", "labels": f"labels:{labels.pk}", "training.max_length": "1024"}
    page = owner.get(reverse("training-create", args=[world.team.slug, "prm"]))
    sent = {}
    for name, field in page.context["form"].fields.items():
        if field.initial is True:
            sent[name] = "on"
        elif field.initial is not None and field.initial is not False and field.initial != "":
            sent[name] = field.initial
    waiting = owner.post(url, sent | form, headers={"HX-Request": "true"})
    assert waiting.status_code == 200
    assert "every 1s" in waiting.content.decode()
    again = owner.post(url, sent | form | {"training.learning_rate": "0.5", "name": "Other"})
    preview = DataPreview.objects.get(team=world.team)
    assert again.url == reverse("training-preview", args=[world.team.slug, preview.pk])
    result = done(Job.objects.get(kind="training-preview"))
    found = by_library(labels, "prm")
    assert result == {"records": found.records, "used": found.used, "left_out": 0}
    shown = owner.get(again.url)
    assert shown.context["counts"].model_dump(exclude={"examples"}) == found.model_dump(exclude={"examples"})
    assert shown.context["examples"].rows == list(found.examples[:6])
    text = shown.content.decode()
    (mark, *_) = [mark for stretch in found.examples[0].stretches for mark in stretch.marks if mark.target is not None]
    assert f"step {mark.step}: {mark.target:.2f} at token {mark.position}" in text
    assert text.count('class="tok tok-end"') >= sum(
        mark.target is not None for each in found.examples[:6] for part in each.stretches for mark in part.marks
    )
    assert owner.post(url, sent | form).url == again.url
    assert Job.objects.filter(kind="training-preview").count() == 1
    owner.post(url, sent | form | {"training.max_length": "64"})
    assert DataPreview.objects.filter(team=world.team).count() == 2


def test_what_is_too_long_has_a_page_of_its_own(world, owner, labels):
    longest = sorted(each.length for each in by_library(labels, "prm").examples)[0]
    preview = preview_request(
        actor=SYSTEM, team=world.team, spec=JOB_SPEC.validate_python(spec_of(labels, max_length=longest))
    )
    done(preview.job)
    found = by_library(labels, "prm", max_length=longest)
    assert found.left_out
    url = reverse("training-preview", args=[world.team.slug, preview.pk])
    page = owner.get(f"{url}?show=left-out")
    assert [each.number for each in page.context["examples"].rows] == [
        each.number for each in found.examples if not each.fits
    ][:6]
    assert f"Left out: {longest} fit" in page.content.decode()
    assert owner.get(f"{url}?start=x").status_code == 404


def test_a_preview_that_failed_says_why_and_is_made_anew(world, owner, labels):
    spec = JOB_SPEC.validate_python(spec_of(labels))
    preview = preview_request(actor=SYSTEM, team=world.team, spec=spec)
    Job.objects.filter(pk=preview.job_id).update(
        state=State.FAILED, error_code="policy", error_message="The model's tokenizer cannot be loaded."
    )
    page = owner.get(reverse("training-preview", args=[world.team.slug, preview.pk])).content.decode()
    assert "The model&#x27;s tokenizer cannot be loaded." in page
    assert "every 1s" not in page
    assert preview_request(actor=SYSTEM, team=world.team, spec=spec).job_id != preview.job_id
    done(Job.objects.get(pk=DataPreview.objects.get(pk=preview.pk).job_id))
    assert preview_of(team=world.team, preview_id=preview.pk).ready
    Job.objects.filter(kind="training-preview").update(ended="2020-01-01T00:00:00Z", state=State.SUCCEEDED)
    assert previews_sweep() == 2
    kept = preview_of(team=world.team, preview_id=preview.pk)
    assert kept.ready and kept.job is None
    assert owner.get(reverse("training-preview", args=[world.team.slug, preview.pk])).status_code == 200
    labels.delete()
    assert not DataPreview.objects.exists(), "texts go with their label set"


def test_questions_are_previewed_for_reinforcement(world, owner):
    version = some_questions(SYSTEM, world.team, 3)
    settings = TRAINING_PRESETS["clinic"]["grpo"].model_dump(mode="json")
    spec = {
        "kind": "grpo",
        "policy": {"kind": "model", "id": str(bundled_ensure().pk)},
        "questions": {"kind": "dataset", "id": str(version.pk)},
        "training": settings,
    }
    run = job_submit(actor=SYSTEM, team=world.team, spec=spec, title="Rewards")
    answer = owner.post(reverse("training-run-preview", args=[world.team.slug, run.pk]))
    done(Job.objects.get(kind="training-preview"))
    page = owner.get(answer.url)
    assert (page.context["counts"].used, page.context["counts"].method) == (3, "grpo")
    assert "the policy writes on from here" in page.content.decode()


def test_runs_are_compared(world, owner, labels):
    slug, url = world.team.slug, reverse("training-compare", args=[world.team.slug])
    assert b"There is no run to compare" in owner.get(url).content
    runs = [
        job_submit(actor=SYSTEM, team=world.team, spec=spec_of(labels, learning_rate=rate), title=f"Run {rate}")
        for rate in (1e-3, 5e-4)
    ]
    runs.append(job_submit(actor=SYSTEM, team=world.team, spec=spec_of(labels, "orm"), title="Outcome"))
    Job.objects.filter(pk=runs[0].pk).update(
        state=State.SUCCEEDED, result={"final_loss": 0.123456, "steps": 12, "tokens": 4000, "seconds": 8.0}
    )
    listed = owner.get(reverse("training-list", args=[slug])).content.decode()
    assert listed.count('name="run"') == 3
    two = owner.get(f"{url}?run={runs[1].pk}&run={runs[0].pk}&run=nonsense").context["found"]
    assert [run.job.pk for run in two.runs] == [runs[1].pk, runs[0].pk]
    assert [asdict(row) for row in two.differing] == [{"name": "learning rate", "values": ["0.0005", "0.001"]}]
    assert two.same > 10
    results = {row.name: row.values for row in two.results}
    assert results["Loss of the last step"] == ["–", "0.1235"]
    assert results["Tokens per second"] == ["–", "500"]
    page = owner.get(url + "?" + "&".join(f"run={run.pk}" for run in runs)).content.decode()
    assert page.count("data-run=") == 3
    assert "not a setting of it" in page  # the loss of a process reward model
    three = comparison_of(team=world.team, jobs=list(Job.objects.filter(pk__in=[run.pk for run in runs])))
    assert {"method", "loss"} <= {row.name for row in three.differing}


def test_a_comparison_costs_the_same_however_many_are_in_it(world, owner, labels, django_assert_max_num_queries):
    runs = [job_submit(actor=SYSTEM, team=world.team, spec=spec_of(labels), title=f"Run {n}") for n in range(12)]
    url = reverse("training-compare", args=[world.team.slug])
    with django_assert_max_num_queries(15):
        page = owner.get(url + "?" + "&".join(f"run={run.pk}" for run in runs))
    assert len(page.context["found"].runs) == 12


def test_a_run_has_its_own_page(world, owner, labels):
    run = job_submit(actor=SYSTEM, team=world.team, spec=spec_of(labels), title="Ward PRM")
    reports_url = reverse("training-run", args=[world.team.slug, run.pk])
    page = owner.get(reports_url).content.decode()
    assert labels.name in page and "Process reward model" in page
    assert f"{reverse('training-create', args=[world.team.slug, 'prm'])}?like={run.pk}" in page
    assert reports_url in owner.get(reverse("job", args=[world.team.slug, run.pk])).content.decode()
    form = owner.get(reverse("training-create", args=[world.team.slug, "prm"]), {"like": run.pk}).context["form"]
    assert form["training.learning_rate"].initial == run.spec["training"]["learning_rate"]
    steer = reverse("job-steer", args=[world.team.slug, run.pk, "pause"])
    assert owner.post(steer, {"page": "own"}).url == reports_url
    assert owner.get(reverse("training-run", args=[world.team.slug, labels.job_id])).status_code == 404
    viewer = signed_in(world.by_role[Role.VIEWER])
    assert b"See its data" not in viewer.get(reports_url).content


def test_the_api_gives_previews(world, labels):
    bearer = {"Authorization": f"Bearer {token(world.by_role[Role.OWNER], world.team, Role.OWNER)}"}
    client = signed_in(None, headers=bearer)
    base = f"/api/v1/teams/{world.team.slug}/training-previews"
    answer = client.post(base, {"training": spec_of(labels)}, content_type="application/json")
    assert answer.status_code == 202, answer.content
    place = answer["Location"]
    assert client.get(place).json()["ready"] is False
    done(Job.objects.get(kind="training-preview"))
    found, whole = by_library(labels, "prm"), client.get(place).json()
    assert whole["counts"]["trained_tokens"] == found.trained_tokens
    page = client.get(f"{place}/examples?start=1&limit=2").json()
    assert page["total"] == len(found.examples)
    assert page["items"] == [each.model_dump(mode="json") for each in found.examples[1:3]]
    assert client.post(base, {"training": spec_of(labels)}, content_type="application/json").status_code == 200


def test_curves_of_a_run_are_those_of_its_job(world, owner, labels):
    run = job_submit(actor=SYSTEM, team=world.team, spec=spec_of(labels))
    Job.objects.filter(pk=run.pk).update(state=State.RUNNING, attempt=1)
    reports.metrics_append(job_id=run.pk, attempt=1, name="loss", steps=[1, 2], values=[0.5, 0.25])
    page = owner.get(reverse("training-run", args=[world.team.slug, run.pk])).content.decode()
    url = reverse("job-metrics", args=[world.team.slug, run.pk])
    assert f'data-curves="{url}"' in page
    assert owner.get(url).json()["curves"][0]["values"] == [0.5, 0.25]
