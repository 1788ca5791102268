"""Pages of jobs: the list and its filters, one job, what can be asked of it, the operators' pages, home."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.web.people import signed_in
from tests.workers.people import operator, submitted
from webapp.accounts.rules import Role
from webapp.jobs import claims, reports, services
from webapp.jobs.models import Job, State

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(world):
    return signed_in(world.by_role[Role.OWNER])


def running(team, **others):
    """A job of the team that a worker has."""
    job = submitted(of=team, **others)
    worker = claims.worker_register(name="cpu-1", queue="cpu")
    claim = claims.job_claim(queue="cpu", worker=worker)
    assert claim is not None and claim.job_id == job.pk
    return job, claim


def test_the_list_filters_and_counts(world, owner):
    running(world.team, title="First look")
    submitted(of=world.team, title="Second look")
    submitted(of=world.other_team, title="Not ours")
    page = owner.get("/t/ward-7/jobs/").content.decode()
    assert "First look" in page and "Second look" in page and "Not ours" not in page
    assert page.index("Second look") < page.index("First look")
    page = owner.get("/t/ward-7/jobs/?state=running").content.decode()
    assert "First look" in page and "Second look" not in page
    assert "No job fits" in owner.get("/t/ward-7/jobs/?state=failed").content.decode()
    assert owner.get("/t/ward-7/jobs/?kind=search").status_code == 200
    assert owner.get("/t/ward-7/jobs/?state=nonsense").status_code == 404
    part = owner.get("/t/ward-7/jobs/?state=running", headers={"HX-Request": "true"}).content.decode()
    assert "First look" in part and "<html" not in part


def test_a_list_costs_few_queries_however_long(world, owner, django_assert_max_num_queries):
    for number in range(60):
        submitted(of=world.team, title=f"Job {number}")
    with django_assert_max_num_queries(15):
        page = owner.get("/t/ward-7/jobs/").content.decode()
    assert page.count("<tr id=") == 50
    assert "before=" in page


def test_a_page_tells_how_a_job_stands(world, owner, settings, tmp_path, django_assert_max_num_queries):
    settings.FILES = tmp_path
    job, _ = running(world.team, title="Look")
    who = {"job_id": job.pk, "attempt": 1}
    reports.stage_begin(**who, name="Searching")
    reports.progress_write(**who, done=1210, total=5000, unit="trees", rate=2.0)
    reports.warning_write(**who, text="The disk is slow.")
    path = reports.job_folder(job.pk) / "1" / "x"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    reports.checkpoint_record(**who, name="x", path=path, label="tree 1,210")
    with django_assert_max_num_queries(25):
        page = owner.get(f"/t/ward-7/jobs/{job.pk}/").content.decode()
    for said in ("1,210 of 5,000 trees", "2.0 a second", "about 32 minutes left", "Searching", "The disk is slow.",
                 "tree 1,210", "cpu-1", "concurrency"):  # fmt: skip
        assert said in page, said


def test_a_failure_is_told_with_what_to_do(world, owner):
    job, claim = running(world.team)
    claims.job_fail(claim=claim, code="policy", message="The model has pickled weights")
    page = owner.get(f"/t/ward-7/jobs/{job.pk}/").content.decode()
    assert "The model has pickled weights" in page
    assert "Choose another model" in page


@pytest.mark.parametrize(
    ("before", "ask", "after"),
    [
        (State.QUEUED, "pause", State.PAUSED),
        (State.PAUSED, "resume", State.QUEUED),
        (State.QUEUED, "cancel", State.CANCELLED),
        (State.CANCELLED, "retry", State.QUEUED),
    ],
)
def test_a_manager_steers_and_a_viewer_does_not(world, before, ask, after, monkeypatch):
    job = submitted(of=world.team)
    Job.objects.filter(pk=job.pk).update(state=before, kind="labels")
    url = f"/t/ward-7/jobs/{job.pk}/{ask}/"
    assert signed_in(world.by_role[Role.VIEWER]).post(url).status_code == 403
    assert Job.objects.get(pk=job.pk).state == before
    manager = signed_in(world.by_role[Role.MANAGER])
    assert manager.get(url).status_code == 405
    answer = manager.post(url)
    assert (answer.status_code, answer.url) == (302, f"/t/ward-7/jobs/{job.pk}/")
    assert Job.objects.get(pk=job.pk).state == after


def test_what_cannot_be_done_now_is_said(world, owner):
    job = submitted(of=world.team)
    Job.objects.filter(pk=job.pk).update(kind="labels", state=State.SUCCEEDED)
    page = owner.post(f"/t/ward-7/jobs/{job.pk}/pause/", follow=True).content.decode()
    assert "is succeeded and cannot be paused now" in page


def test_the_log_is_read_by_stretches(world, owner, settings, tmp_path):
    settings.FILES = tmp_path
    job, _ = running(world.team)
    url = f"/t/ward-7/jobs/{job.pk}/log/1/"
    assert owner.get(url).json()["size"] == 0
    path = reports.job_folder(job.pk) / "1" / "log"
    path.parent.mkdir(parents=True)
    path.write_text("one\ntwo\n")
    first = owner.get(url).json()
    assert (first["text"], first["next"]) == ("one\ntwo\n", 8)
    with path.open("a") as log:
        log.write("three\n")
    assert owner.get(f"{url}?offset=8").json()["text"] == "three\n"
    assert owner.get(f"{url}?offset=x").status_code == 404


def test_operators_see_causes_and_never_content(world):
    job, claim = running(world.team, title="SECRET TITLE")
    reports.stage_begin(job_id=job.pk, attempt=1, name="SECRET STAGE")
    reports.result_store(job_id=job.pk, attempt=1, result={"answer": "SECRET RESULT"})
    claims.job_fail(claim=claim, code="policy", message="The model has pickled weights")
    client = signed_in(world.operator)
    for url in ("/operations/", f"/operations/jobs/{job.pk}/"):
        page = client.get(url).content.decode()
        assert "The model has pickled weights" in page and "Ward 7" in page, url
        assert "SECRET" not in page, url
    for part in ("events/", "metrics/", "log/1/"):
        assert "SECRET" not in client.get(f"/operations/jobs/{job.pk}/{part}").content.decode()
    assert client.post(f"/operations/jobs/{job.pk}/again/").status_code == 302
    assert Job.objects.count() == 1, "nobody submits in a team's name"
    client.post(f"/operations/jobs/{job.pk}/retry/")
    assert Job.objects.get(pk=job.pk).state == State.QUEUED


def test_operators_see_the_instances_own_jobs_whole(world):
    client = signed_in(world.operator)
    assert client.post("/operations/backup/").url == f"/operations/jobs/{Job.objects.get(kind='backup').pk}/"
    answer = client.post("/operations/self-check/")
    job = Job.objects.get(kind="self-check")
    assert answer.url == f"/operations/jobs/{job.pk}/"
    page = client.get(answer.url).content.decode()
    assert "concurrency" in page and f"/ws/operations/jobs/{job.pk}/" in page


def test_operators_drain_workers_and_set_limits(world):
    worker = claims.worker_register(name="cpu-1", queue="cpu")
    client = signed_in(world.operator)
    client.post(f"/operations/workers/{worker.pk}/drain/")
    worker.refresh_from_db()
    assert worker.draining and "Draining" in client.get("/operations/").content.decode()
    client.post(f"/operations/workers/{worker.pk}/release/")
    worker.refresh_from_db()
    assert not worker.draining
    services.team_limit_set(actor=operator(), team=world.team, limit=None)
    client.post("/operations/teams/ward-7/limit/", {"limit": "3"})
    assert 'value="3"' in client.get("/operations/").content.decode()
    refused = client.post("/operations/teams/ward-7/limit/", {"limit": "0"}, follow=True)
    assert "whole number" in refused.content.decode()


def test_a_worker_that_is_silent_is_called_gone(world):
    worker = claims.worker_register(name="cpu-1", queue="cpu")
    type(worker).objects.filter(pk=worker.pk).update(heartbeat=timezone.now() - timedelta(hours=1))
    assert ">Gone<" in signed_in(world.operator).get("/operations/").content.decode()


def test_home_shows_a_new_team_what_to_do_first(world, owner):
    page = owner.get("/").content.decode()
    assert "What to do first" in page and "Bring questions" in page and "/t/ward-7/datasets/" in page
    submitted(of=world.team, title="First look")
    page = owner.get("/").content.decode()
    assert "What to do first" not in page and "First look" in page
    claims.worker_register(name="cpu-1", queue="cpu")
    assert "1 CPU worker, free" in owner.get("/").content.decode()


def test_home_shows_an_annotator_no_jobs(world):
    submitted(of=world.team, title="First look")
    page = signed_in(world.by_role[Role.ANNOTATOR]).get("/").content.decode()
    assert "First look" not in page and "Your judging" in page and "/ws/t/" not in page


def test_home_shows_models_with_what_was_measured_of_them(world, owner, django_assert_max_num_queries):
    from webapp.evaluations.models import Evaluation, StrategyResult
    from webapp.registry.models import ModelVersion

    for number in range(3):
        model = ModelVersion.objects.create(
            team=world.team, name="clinic", number=number + 1, kind="policy", ready=True
        )
        found = Evaluation.objects.create(team=world.team, name="e", ready=True, policy=model)
        for strategy, accuracy in (("greedy", 0.5), ("vote", 0.71)):
            StrategyResult.objects.create(
                evaluation=found, strategy=strategy, n=1, accuracy=accuracy, low=0.4, high=0.8, answered=1.0
            )
    with django_assert_max_num_queries(15):
        page = owner.get("/").content.decode()
    assert page.count("71%") == 3 and "clinic v3" in page


def test_home_is_closed_where_a_second_factor_is_missing(world, owner):
    submitted(of=world.team, title="First look")
    world.team.mfa_required = True
    world.team.save()
    assert "First look" not in owner.get("/").content.decode()


def test_a_part_of_a_page_after_the_sessions_end_sends_the_whole_page_to_sign_in(world, client):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/t/ward-7/jobs/?state=failed"}
    answer = client.get("/t/ward-7/jobs/", headers=headers)
    assert answer.headers["HX-Redirect"] == "/accounts/login/?next=/t/ward-7/jobs/%3Fstate%3Dfailed"
    elsewhere = {"HX-Request": "true", "HX-Current-URL": "https://elsewhere.example/x"}
    assert client.get("/t/ward-7/jobs/", headers=elsewhere).headers["HX-Redirect"] == "/accounts/login/?next=/"


def test_what_the_api_does_not_offer_is_a_problem_too(client):
    answer = client.patch("/api/v1/me")
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")
    assert "GET" in answer["Allow"]
    answer = client.get("/api/v1/nothing/here")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
