"""Pages and API of datasets: lists, questions, deletion, downloads, the curriculum."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from tests.datasets import question, sleep_version
from tests.web.people import signed_in, token
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.accounts.services import system_team
from webapp.datasets import selectors, services
from webapp.datasets.deletion import deletions_go_on, dependents_of
from webapp.datasets.models import Dataset, QuestionRow
from webapp.datasets.services import dataset_from_questions
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel, job_submit

QUERIES = 15


@pytest.fixture
def owner(world):
    return world.by_role[Role.OWNER]


@pytest.fixture
def version(world, owner):
    return sleep_version(Actor(owner), world.team)


@pytest.fixture
def client(owner):
    return signed_in(owner)


# --- pages ---------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_what_to_do(world, client):
    answer = client.get(reverse("dataset-list", args=[world.team.slug]))
    assert "No datasets of this team yet" in answer.content.decode()


def test_pages_ask_the_database_little(world, client, version, django_assert_max_num_queries):
    slug = world.team.slug
    Job.objects.all().delete()
    what = {"kind": "dataset", "id": str(version.pk)}
    for _ in range(3):
        job_submit(actor=SYSTEM, team=world.team, spec={"kind": "export", "what": what})
    for number in range(5):
        dataset_from_questions(actor=SYSTEM, team=world.team, name=f"More {number}", questions=[question(number)])
    pages = [
        reverse("dataset-list", args=[slug]),
        reverse("dataset", args=[slug, version.dataset_id]),
        reverse("dataset-version", args=[slug, version.pk]),
        reverse("question-list", args=[slug, version.pk]) + "?source=odd&after=20",
        reverse("question", args=[slug, version.pk, 7]),
        reverse("dataset-alike", args=[slug, version.pk]),
        reverse("dataset-curriculum", args=[slug, version.pk]),
        reverse("dataset-delete", args=[slug, version.dataset_id]),
    ]
    for url in pages:
        with django_assert_max_num_queries(QUERIES):
            assert client.get(url).status_code == 200, url
    with django_assert_max_num_queries(QUERIES):
        assert client.post(reverse("question-list", args=[slug, version.pk]), {"text": "17"}).status_code == 200


def test_a_question_is_shown_as_text(world, client, owner):
    nasty = question(1, "<script>alert(1)</script> {{ 7 }}")
    made = dataset_from_questions(actor=Actor(owner), team=world.team, name="<b>x</b>", questions=[nasty])
    for name, more in (("question", [0]), ("question-list", [])):
        text = client.get(reverse(name, args=[world.team.slug, made.pk, *more])).content.decode()
        assert "&lt;script&gt;alert(1)" in text
        assert "<script>alert" not in text


def test_a_search_by_htmx_gives_the_part(world, client, version):
    url = reverse("question-list", args=[world.team.slug, version.pk])
    answer = client.post(url, {"text": "is 17 mg"}, headers={"HX-Request": "true"}).content.decode()
    assert answer.startswith('<div id="questions">')
    assert "Question 17" in answer
    assert "Question 18" not in answer


def test_bundled_datasets_are_read_and_not_changed(world, client):
    bundled = dataset_from_questions(actor=SYSTEM, team=system_team(), name="Benchmark", questions=[question(1)])
    slug = world.team.slug
    assert "Benchmark" in client.get(reverse("dataset-list", args=[slug])).content.decode()
    assert client.get(reverse("question", args=[slug, bundled.pk, 0])).status_code == 200
    for name, key in (("dataset-change", bundled.dataset_id), ("dataset-delete", bundled.dataset_id)):
        assert client.post(reverse(name, args=[slug, key]), {"name": "x", "sure": "on"}).status_code == 404
    assert client.post(reverse("dataset-version-delete", args=[slug, bundled.pk]), {"sure": "on"}).status_code == 404


def test_a_dataset_is_renamed(world, client, version):
    url = reverse("dataset-change", args=[world.team.slug, version.dataset_id])
    assert client.post(url, {"name": "Sleep medicine", "description": "On hypnotics"}).status_code == 302
    assert Dataset.objects.get().name == "Sleep medicine"
    assert AuditEntry.objects.filter(verb="dataset.changed").exists()
    services.dataset_create(actor=SYSTEM, team=world.team, name="Taken")
    assert "already" in client.post(url, {"name": "Taken"}).content.decode()


# --- deletion ------------------------------------------------------------------------------------------------------


def test_deletion_says_what_depends_and_waits_for_jobs(world, owner, client, version):
    what = {"kind": "dataset", "id": str(version.pk)}
    job = job_submit(actor=Actor(owner), team=world.team, spec={"kind": "export", "what": what})
    url = reverse("dataset-delete", args=[world.team.slug, version.dataset_id])
    assert str(job) in client.get(url).content.decode()
    client.post(url, {"sure": "on"})
    assert Dataset.objects.filter(deleted=None).exists()
    job_cancel(actor=Actor(owner), job=job)
    dependents = dependents_of(versions=[version])
    assert (dependents.unfinished, dependents.job_count) == ([], 1)
    assert client.post(url).status_code == 400
    assert client.post(url, {"sure": "on"}).status_code == 302
    assert client.get(url).status_code == 404
    assert client.get(reverse("dataset-version", args=[world.team.slug, version.pk])).status_code == 404
    assert not selectors.version_usable(world.team, version.pk)
    while deletions_go_on(seconds=5):
        pass
    assert not Dataset.objects.exists()
    assert not QuestionRow.objects.exists()
    assert Job.objects.filter(pk=job.pk).exists()


# --- downloads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "extension"), [("jsonl", "jsonl"), ("csv", "csv"), ("spreadsheet", "csv")])
def test_a_small_version_is_fetched_at_once(world, client, version, form, extension):
    answer = client.post(reverse("dataset-export", args=[world.team.slug, version.pk]), {"format": form})
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == f'attachment; filename="Sleep-v1.{extension}"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert len(answer.content.splitlines()) == 120 + (extension == "csv")
    assert AuditEntry.objects.filter(verb="dataset.exported").exists()


def test_a_large_version_is_exported_by_a_job(world, client, version, monkeypatch):
    monkeypatch.setattr("webapp.datasets.exports.SMALL_ROWS", 100)
    url = reverse("dataset-export", args=[world.team.slug, version.pk])
    answer = client.post(url, {"format": "csv"})
    job = Job.objects.get(kind="export")
    assert answer.url == reverse("export", args=[world.team.slug, job.pk])
    assert job.spec["form"] == "exact"
    viewer = signed_in(world.by_role[Role.VIEWER])
    assert viewer.post(url, {"format": "csv"}).status_code == 403
    assert client.get(answer.url).status_code == 200
    assert client.get(reverse("export-file", args=[world.team.slug, job.pk])).url == answer.url


# --- the curriculum ------------------------------------------------------------------------------------------------


def settings(**others):
    plain = {"group_by": "source", "bands": "0, 0.25, 0.5, 0.75, 1", "seed": "0", "drop_duplicates": "on"}
    return plain | others


def test_the_preview_counts_what_the_settings_would_give(world, client, owner, version):
    held = dataset_from_questions(
        actor=Actor(owner), team=world.team, name="Held out", questions=[question(number) for number in range(5)]
    )
    url = reverse("dataset-curriculum", args=[world.team.slug, version.pk])
    given = settings(count="50", group=["odd", "even"], most=["10", ""], held_out=[str(held.pk)])
    answer = client.post(url, given, headers={"HX-Request": "true"}).content.decode()
    assert "50 of 120 questions" in answer
    assert "5 stand word by word" in answer
    answer = client.post(url, settings(bands="0, 0.5")).content.decode()
    assert "bands must reach from 0 to 1" in answer


def test_a_curriculum_is_submitted(world, client, version):
    url = reverse("dataset-curriculum", args=[world.team.slug, version.pk])
    answer = client.post(url, settings(count="50", name="Chosen", group=["odd"], most=["10"], make="1"))
    job = Job.objects.get(kind="curriculum")
    assert answer.url == reverse("job", args=[world.team.slug, job.pk])
    assert job.spec["settings"]["quotas"] == [["odd", 10]]
    assert job.spec["settings"]["count"] == 50
    assert "already" in client.post(url, settings(name="Sleep", make="1")).content.decode()
    client.post(url, settings(make="1"), headers={"HX-Request": "true"})  # a preview on its way
    assert Job.objects.filter(kind="curriculum").count() == 1


# --- the API -------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(world, owner):
    """Calls the API with a token: method, path below the team, body."""
    headers = {"Authorization": f"Bearer {token(owner, world.team, Role.OWNER)}"}

    def call(method, path, body=None, **more):
        url = f"/api/v1/teams/{world.team.slug}/{path}"
        return Client().generic(method, url, json.dumps(body or {}), "application/json", headers=headers | more)

    return call


def test_a_program_makes_finds_and_deletes(world, api, version):
    made = api("POST", "datasets", {"name": "Empty"}, **{"Idempotency-Key": "k"})
    again = api("POST", "datasets", {"name": "Empty"}, **{"Idempotency-Key": "k"})
    assert (made.status_code, again.status_code) == (201, 201)
    assert made.json() == again.json()
    assert made["Location"].endswith(made.json()["id"])
    listed = api("GET", "datasets?limit=1").json()
    assert [each["name"] for each in listed["items"]] == ["Empty"]
    assert listed["next"]
    (only,) = api("GET", f"datasets/{version.dataset_id}/versions").json()["items"]
    assert only["id"] == str(version.pk)
    whole = api("GET", f"dataset-versions/{version.pk}").json()
    assert whole["statistics"]["sources"] == {"even": 60, "odd": 60}
    assert api("DELETE", f"datasets/{made.json()['id']}").status_code == 204
    assert api("GET", f"datasets/{made.json()['id']}").status_code == 404


def test_a_program_reads_and_searches_questions(api, version):
    place = f"dataset-versions/{version.pk}/questions"
    first = api("GET", f"{place}?source=odd&limit=40").json()
    second = api("GET", first["next"].partition("/teams/")[2].partition("/")[2]).json()
    positions = [each["position"] for each in first["items"] + second["items"]]
    assert positions == list(range(1, 120, 2))
    assert second["next"] is None
    hits = api("POST", f"{place}/search", {"text": "IS 17 MG"}).json()
    assert [each["question"]["id"] for each in hits["items"]] == ["q17"]
    assert (hits["count"], hits["after"]) == (1, None)
    assert api("GET", f"{place}/7").json()["question"]["gold"]["value"] == "A"
    assert api("GET", f"{place}/120").status_code == 404
    assert api("GET", f"{place}?difficulty=0.5-0.1").status_code == 404


def test_a_program_chooses_checks_and_exports(world, api, version):
    settings = {"count": 30, "quotas": [["odd", 5]]}
    plan = api("POST", f"dataset-versions/{version.pk}/curriculum/preview", {"settings": settings}).json()
    assert plan["plan"]["total"] == 30
    for path, body in (
        (f"dataset-versions/{version.pk}/curriculum", {"settings": settings}),
        (f"dataset-versions/{version.pk}/checks", {}),
        ("exports", {"what": {"kind": "dataset", "id": str(version.pk)}, "format": "csv", "form": "spreadsheet"}),
    ):
        answer = api("POST", path, body)
        assert answer.status_code == 202, path
        assert answer["Location"] == f"/api/v1/teams/{world.team.slug}/jobs/{answer.json()['id']}"
    export = api("GET", f"exports/{answer.json()['id']}").json()
    assert (export["state"], export["file"]) == ("queued", None)
    assert api("GET", f"exports/{answer.json()['id']}/file").status_code == 422
    refused = api("POST", "exports", {"what": {"kind": "dataset", "id": str(version.pk)}, "format": "zip"})
    assert refused.status_code == 422
    assert "jsonl or csv" in refused.json()["detail"]
    assert api("DELETE", f"dataset-versions/{version.pk}?confirm=true").status_code == 422  # jobs wait for it
    assert api("GET", f"dataset-versions/{version.pk}/dependents").json()["jobs"] == 0
