"""Pages and API of models: the list, a model with where it came from, downloads, names, deletion, the import."""

import io
import json
import shutil
import tarfile

import pytest

from meds3core.sandbox.bundled import policy_folder
from tests.web.people import World, signed_in, token
from tests.web.test_registry import claimed, own_files, register, trained
from webapp.accounts.actors import Actor
from webapp.accounts.rules import Role
from webapp.evaluations.models import Evaluation, StrategyResult
from webapp.jobs.claims import job_fail
from webapp.jobs.models import Job, JobInput
from webapp.registry.bundled import bundled_benchmark_ensure, bundled_ensure
from webapp.registry.models import LabelSet, ModelVersion
from webapp.registry.services import model_alias_set
from webapp.uploads.models import Upload

__all__ = ["own_files", "trained"]


@pytest.fixture
def page(world: World):
    """The owner's browser."""
    return signed_in(world.by_role[Role.OWNER])


@pytest.fixture
def api(world: World, client):
    """Calls as a program of the owner's; gives status and content."""
    headers = {"Authorization": f"Bearer {token(world.by_role[Role.OWNER], world.team, Role.OWNER)}"}

    def ask(method, path, body=None):
        answer = client.generic(
            method,
            f"/api/v1/teams/{world.team.slug}/{path}",
            json.dumps(body) if body is not None else b"",
            content_type="application/json",
            headers=headers,
        )
        streamed = b"".join(answer.streaming_content) if answer.streaming else answer.content
        content = json.loads(streamed) if streamed and "json" in answer.get("Content-Type", "") else streamed
        return answer.status_code, content

    return ask


@pytest.fixture
def model(world: World, trained):
    """A trained policy whose job read labels that were built from a search over a dataset."""
    base, benchmark = bundled_ensure(), bundled_benchmark_ensure()
    search = Job.objects.create(
        team=world.team, kind="search", title="Night search", spec={}, spec_hash="", state="succeeded"
    )
    built = Job.objects.create(
        team=world.team, kind="labels", title="Label build", spec={}, spec_hash="", state="succeeded"
    )
    labels = LabelSet.objects.create(team=world.team, name="Good ones", kind="sft", ready=True, job=built)
    inputs = [(search, "dataset", benchmark.pk), (search, "model", base.pk), (built, "trees", search.pk)]
    JobInput.objects.bulk_create(JobInput(job=job, kind=kind, thing=thing) for job, kind, thing in inputs)
    held = claimed(world.team, inputs=[("labels", labels.pk), ("model", base.pk)])
    made = register(held, trained, name="Ward <b>policy</b>", base_id=base.pk)
    job_fail(claim=held.claim, code="x", message="x")
    return made


def url(world, model, rest=""):
    return f"/t/{world.team.slug}/models/{model.pk}/{rest}"


def test_the_list_shows_own_and_bundled_models_with_their_scores(world, page, model, trained):
    other = register(claimed(world.other_team), trained, name="Foreign")
    done = Evaluation.objects.create(team=world.team, name="E", policy=model, ready=True)
    elsewhere = Evaluation.objects.create(team=world.other_team, name="Theirs", policy=bundled_ensure(), ready=True)
    for evaluation, strategy, n, accuracy in ((done, "greedy", 1, 0.5), (done, "best-of-n", 8, 0.625)):
        StrategyResult.objects.create(
            evaluation=evaluation, strategy=strategy, n=n, accuracy=accuracy, low=0, high=1, answered=1
        )
    StrategyResult.objects.create(
        evaluation=elsewhere, strategy="greedy", n=1, accuracy=0.123, low=0, high=1, answered=1
    )
    model_alias_set(actor=Actor(world.by_role[Role.OWNER]), model=model, alias="production")
    text = page.get(f"/t/{world.team.slug}/models/").content.decode()
    assert "Ward &lt;b&gt;policy&lt;/b&gt; v1" in text and "clinic-base v1" in text and "production" in text
    assert "50.0%" in text and "62.5%" in text and "best-of-n @8" in text
    assert "12.3%" not in text and other.name not in text
    assert "No models of this kind" in page.get(f"/t/{world.team.slug}/models/?kind=prm").content.decode()


def test_a_models_page_tells_where_it_came_from_down_to_the_data(world, page, model):
    text = page.get(url(world, model)).content.decode()
    for each in ("LlamaForCausalLM", "1,547,136", "Good ones", "Night search", "Clinic, held out v1", "clinic-base v1"):
        assert each in text
    assert model.content_hash in text and "Run its job again" in text
    bundled = page.get(url(world, bundled_ensure())).content.decode()
    assert "comes with the product" in bundled and "Rename" not in bundled and "Delete" not in bundled


def test_files_and_the_archive_are_what_was_stored(world, page, model):
    answer = page.get(url(world, model, "files/adapter/adapter_config.json"))
    assert b"".join(answer.streaming_content) == b"{}" and answer["Content-Disposition"].startswith("attachment")
    part = page.get(url(world, model, "files/model.safetensors"), headers={"Range": "bytes=0-7"})
    assert part.status_code == 206
    for name in ("../secret", "nothing.json", "adapter", "%2e%2e/x"):
        assert page.get(url(world, model, f"files/{name}")).status_code == 404
    answer = page.get(url(world, model, "archive/"))
    content = b"".join(answer.streaming_content)
    assert len(content) == int(answer["Content-Length"]) and "Ward-b-policy-b-v1.tar" in answer["Content-Disposition"]
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        held = {each.name: archive.extractfile(each).read() for each in archive.getmembers()}
    weights = (policy_folder() / "model.safetensors").read_bytes()
    assert held["Ward-b-policy-b-v1/model.safetensors"] == weights and len(held) == len(model.files)


def test_names_aliases_and_deletion_on_the_page(world, page, model):
    page.post(url(world, model, "alias/"), {"alias": "candidate"})
    page.post(url(world, model, "rename/"), {"name": "Renamed"})
    answer = page.post(url(world, model, "delete/"), follow=True)
    text = answer.content.decode()
    assert "cannot be deleted: the alias candidate depends on it" in text and "Renamed v1" in text
    assert "Why it cannot be deleted" in text
    page.post(url(world, model, "alias/"), {"alias": "candidate", "end": "1"})
    assert page.post(url(world, model, "alias/"), {"alias": "no word"}, follow=True).status_code == 200
    answer = page.post(url(world, model, "delete/"), follow=True)
    assert "was deleted" in answer.content.decode()
    assert not ModelVersion.objects.filter(pk=model.pk).exists()
    bundled = bundled_ensure()
    for what in ("delete/", "rename/", "alias/"):
        assert page.post(url(world, bundled, what), {"name": "x", "alias": "x"}).status_code == 404


def test_the_import_page_offers_what_the_operator_listed(world, page, settings, tmp_path, monkeypatch):
    place = f"/t/{world.team.slug}/models/import/"
    text = page.get(place + "?from=folder").content.decode()
    assert "Folder of this server" not in text and 'id="files"' in text
    settings.IMPORT_ROOTS, settings.HUB_ALLOW = {"shared": tmp_path / "shared"}, ["Qwen/*"]
    shutil.copytree(policy_folder(), tmp_path / "shared" / "tiny")
    text = page.get(place + "?from=folder").content.decode()
    assert 'value="shared/tiny"' in text and str(tmp_path) not in text
    common = {"name": "Tiny", "role": "policy"}
    for folder in ("shared/../tiny", "/etc", "shared/other", "other/tiny"):
        answer = page.post(place + "?from=folder", common | {"folder": folder})
        assert answer.status_code == 400 and not Job.objects.exists()
    answer = page.post(place + "?from=folder", common | {"folder": "shared/tiny", "score_head": "sigmoid"})
    assert "score_head is for a reward model" in answer.content.decode()
    answer = page.post(place + "?from=folder", common | {"folder": "shared/tiny"})
    job = Job.objects.get()
    assert answer.url == f"/t/{world.team.slug}/jobs/{job.pk}/" and job.spec["root"]["folder"] == "tiny"
    answer = page.post(place + "?from=hub", common | {"hub": "other/model", "revision": "main"})
    assert "may not be fetched" in answer.content.decode()
    upload = Upload.objects.create(
        team=world.team, purpose="dataset", state="complete", expires="2040-01-01T00:00Z", created_by=None
    )
    answer = page.post(place, common | {"upload": str(upload.pk)})
    assert "sent to become a dataset" in answer.content.decode()
    assert Job.objects.count() == 1


def test_models_by_api(world, api, model, settings, tmp_path):
    status, content = api("GET", "models?kind=policy")
    assert status == 200 and [each["name"] for each in content["items"]] == [model.name, "clinic-base"]
    assert content["items"][1]["bundled"] is True and content["items"][1]["job"] is None
    status, whole = api("GET", f"models/{model.pk}")
    assert whole["provenance"]["inputs"][0]["name"] == "Good ones" and whole["depends"] == []
    assert api("PUT", f"models/{model.pk}/aliases/production")[1]["aliases"] == ["production"]
    assert api("PATCH", f"models/{model.pk}", {"name": "Other"})[1]["name"] == "Other"
    status, refused = api("DELETE", f"models/{model.pk}")
    assert (status, refused["code"]) == (422, "registry") and "production" in refused["detail"]
    assert api("DELETE", f"models/{model.pk}/aliases/production")[0] == 204
    assert api("GET", f"models/{model.pk}/files/adapter/adapter_config.json") == (200, b"{}")
    assert len(api("GET", f"models/{model.pk}/archive")[1]) > model.bytes
    assert api("DELETE", f"models/{model.pk}")[0] == 204
    assert api("DELETE", f"models/{bundled_ensure().pk}")[0] == 404
    settings.IMPORT_ROOTS = {"shared": tmp_path}
    (tmp_path / "tiny").mkdir()
    assert [each["name"] for each in api("GET", "import-roots")[1]] == ["shared"]
    status, job = api("POST", "models", {"name": "Tiny", "root": {"root": "shared", "folder": "tiny"}})
    assert status == 202 and job["kind"] == "model-import"
    for body in (
        {"name": "x"},
        {"name": "x", "root": {"root": "shared", "folder": "../x"}},
        {"name": "x", "path": "/"},
    ):
        assert api("POST", "models", body)[0] == 422
