"""Jobs as people meet them: submitted, watched live, steered, and found again after a reload and a restart."""

from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from tests.browser.guard import sign_in
from tests.browser.people import person
from tests.browser.studio import Studio

PATIENT = 300_000
"""Milliseconds for what a worker must do: its processes start slowly on a busy machine."""

Check = Callable[[Page, str], None]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def filled_team(*, username: str) -> None:
    """A team with one job of each state, a model that was measured and a dataset."""
    from datetime import timedelta

    from django.utils import timezone

    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Membership
    from webapp.datasets.models import Dataset, DatasetVersion
    from webapp.evaluations.models import Evaluation, StrategyResult
    from webapp.jobs import claims, reports, services
    from webapp.jobs.models import Job
    from webapp.registry.models import ModelVersion

    team = Membership.objects.select_related("team").get(user__username=username).team

    def job(kind: str, title: str) -> Job:
        made = services.job_submit(actor=SYSTEM, team=team, spec={"kind": "self-check"}, title=title)
        Job.objects.filter(pk=made.pk).update(kind=kind, queue="trial")
        return made

    worker = claims.worker_register(
        name="trial@ward",
        queue="trial",
        devices=[{"uuid": "GPU-1", "name": "H100", "mebibytes": 81920}],
        versions={"python": "3.11", "torch": "2.13"},
    )
    worker.queue = "trial"

    def start() -> claims.Claim:
        found = claims.job_claim(queue="trial", worker=worker)
        assert found is not None
        return found

    job("sft", "Fine-tuning on good trajectories")
    claims.job_finish(claim=start())
    job("prm", "Process reward model of the ward")
    claims.job_fail(claim=start(), code="policy", message="The model's folder holds pickled weights, which are refused")
    services.job_cancel(actor=SYSTEM, job=job("evaluation", "Evaluation of the old model"))
    services.job_pause(actor=SYSTEM, job=job("labels", "Labels of the first search"))
    running = job("search", "Search over the clinic's questions")
    claim = start()
    Job.objects.filter(pk=running.pk).update(lease_expires=timezone.now() + timedelta(hours=1))
    who = {"job_id": running.pk, "attempt": claim.attempt}
    reports.stage_begin(**who, name="Searching", text="Searching 5,000 questions.")
    reports.progress_write(**who, done=1210, total=5000, unit="trees", rate=2.0)
    reports.warning_write(**who, text="Two questions were too long for the model and are left out.")
    steps = list(range(0, 400, 4))
    reports.metrics_append(**who, name="loss", steps=steps, values=[2.0 / (1 + step / 50) for step in steps])
    reports.metrics_append(**who, name="tokens_per_second", steps=steps, values=[900 + step % 40 for step in steps])
    path = reports.job_folder(running.pk) / "1" / "log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("model loaded\nsearching\n")
    for name, state in (("Trees", "succeeded"), ("Training", "running"), ("Evaluation", "queued")):
        from webapp.jobs.models import JobStage

        moment = timezone.now() if state != "queued" else None
        JobStage.objects.create(job=running, name=name, state=state, attempt=1, started=moment, position=10)
    job("dpo", "Preference training")
    model = ModelVersion.objects.create(team=team, name="clinic-small", number=2, kind="policy", ready=True)
    dataset = Dataset.objects.create(team=team, name="Ward questions")
    version = DatasetVersion.objects.create(team=team, dataset=dataset, number=1, ready=True, questions=1210)
    found = Evaluation.objects.create(team=team, name="e", ready=True, policy=model, benchmark=version)
    StrategyResult.objects.create(
        evaluation=found, strategy="best-of-n", n=8, accuracy=0.712, low=0.68, high=0.74, answered=1.0
    )


def job_of(*, username: str, kind: str) -> str:
    from webapp.jobs.models import Job

    found = Job.objects.filter(kind=kind, team__memberships__user__username=username).latest("id")
    return f"/t/{found.team.slug}/jobs/{found.pk}/"


def more_events(*, path: str, count: int) -> None:
    from webapp.jobs import reports
    from webapp.jobs.models import Job

    job = Job.objects.get(pk=path.split("/")[-2])
    for number in range(count):
        reports.warning_write(job_id=job.pk, attempt=job.attempt, text=f"Event {number} while nobody listened.")


def end_of(*, path: str) -> None:
    from webapp.jobs import claims
    from webapp.jobs.models import Job

    job = Job.objects.get(pk=path.split("/")[-2])
    claims.job_fail(claim=claims.Claim(job.pk, job.attempt), code="engine", message="The model could not be run")


def self_check(*, username: str, questions: int) -> str:
    from webapp.accounts.actors import Actor
    from webapp.accounts.models import User
    from webapp.accounts.services import system_team
    from webapp.jobs.services import job_submit

    spec = {"kind": "self-check", "questions": questions, "concurrency": 2, "max_nodes": 4}
    user = User.objects.get(username=username)
    return str(job_submit(actor=Actor(user), team=system_team(), spec=spec).pk)


@pytest.fixture(scope="module")
def filled(studio: Studio) -> str:
    studio.call(person, username="mara", name="Mara Lind", team="Ward of jobs")
    studio.call(filled_team, username="mara")
    return "mara"


def test_a_new_team_is_told_what_to_do_first(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="nora", team="New ward")
    sign_in(page, studio, "nora")
    page.goto(studio.url)
    expect(page.get_by_role("heading", name="What to do first")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    check_page(page, "home-new-team")
    page.goto(f"{studio.url}/t/new-ward/jobs/")
    expect(page.get_by_text("No job yet")).to_be_visible()
    check_page(page, "jobs-none")


def test_pages_of_jobs_look_as_they_should(studio: Studio, page: Page, check_page: Check, filled: str) -> None:
    sign_in(page, studio, filled)
    page.goto(studio.url)
    expect(page.get_by_text("71%")).to_be_visible()
    check_page(page, "home-team")
    page.goto(f"{studio.url}/t/ward-of-jobs/jobs/")
    expect(page.get_by_role("row")).to_have_count(7)
    check_page(page, "jobs")
    page.get_by_label("State", exact=True).select_option("failed")
    expect(page.get_by_role("row")).to_have_count(2)
    page.goto(studio.url + studio.call(job_of, username=filled, kind="search"))
    expect(page.get_by_text("1,210 of 5,000 trees")).to_be_visible()
    expect(page.locator(".job-curve canvas")).to_have_count(2)
    page.get_by_role("button", name="Show the log").click()
    expect(page.get_by_text("model loaded")).to_be_visible()
    page.get_by_text("Settings", exact=True).last.click()
    check_page(page, "job-running")
    page.get_by_role("button", name="Cancel the job").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.wait_for_timeout(400)
    check_page(page, "job-cancel")
    page.goto(studio.url + studio.call(job_of, username=filled, kind="prm"))
    expect(page.get_by_text("Choose another model")).to_be_visible()
    check_page(page, "job-failed")


def test_what_happens_is_shown_without_a_reload(studio: Studio, page: Page, filled: str) -> None:
    sign_in(page, studio, filled)
    path = studio.call(job_of, username=filled, kind="search")
    page.goto(studio.url + path)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    studio.call(more_events, path=path, count=3)
    expect(page.get_by_text("Event 2 while nobody listened.")).to_be_visible()
    expect(page.locator(".job-event").first).to_contain_text("Event 2")
    studio.redis.client().flushall()
    studio.call(more_events, path=path, count=5)
    expect(page.get_by_text("Event 4 while nobody listened.")).to_be_visible()
    expect(page.get_by_text("Event 0 while nobody listened.")).to_have_count(2)


def test_a_restart_of_the_web_process_costs_nothing(studio: Studio, chromium, filled: str) -> None:
    context = chromium.new_context()  # no guard: the browser complains of every connection that is refused
    page = context.new_page()
    sign_in(page, studio, filled)
    path = studio.call(job_of, username=filled, kind="search")
    page.goto(studio.url + path)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    before = page.locator(".job-event").count()
    studio.stop_server()
    expect(page.get_by_text("Not live: connecting again …")).to_be_visible()
    studio.call(more_events, path=path, count=7)
    studio.call(end_of, path=path)
    studio.start_server()
    expect(page.get_by_text("Event 6 while nobody listened.")).to_be_visible()
    expect(page.locator(".job-event")).to_have_count(before + 8)
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    context.close()


def test_whoever_is_signed_out_is_told(studio: Studio, page: Page, filled: str) -> None:
    sign_in(page, studio, filled)
    page.goto(f"{studio.url}/t/ward-of-jobs/jobs/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.context.clear_cookies()
    studio.call(sign_everybody_out)
    expect(page.get_by_text("You are signed out. Load the page again.")).to_be_visible()
    page.get_by_label("State", exact=True).select_option("failed")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def sign_everybody_out() -> None:
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()


@pytest.fixture
def working(studio: Studio) -> Iterator[Studio]:
    studio.start_worker("cpu")
    yield studio
    studio.stop_workers()


def test_an_operator_runs_watches_and_steers(working: Studio, page: Page, check_page: Check) -> None:
    studio = working
    studio.call(person, username="opa", is_operator=True, team="Operators")
    sign_in(page, studio, "opa")
    page.goto(f"{studio.url}/operations/")
    expect(page.get_by_text("Ready")).to_be_visible(timeout=PATIENT)
    check_page(page, "operations")
    page.get_by_role("button", name="Run a self-check").click()
    expect(page.get_by_text("Finished after")).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text("content_hash")).to_be_visible(timeout=PATIENT)

    key = studio.call(self_check, username="opa", questions=400)
    page.goto(f"{studio.url}/operations/jobs/{key}/")
    expect(page.locator(".job-numbers")).to_contain_text("of 400", timeout=PATIENT)
    expect(page.get_by_role("heading", name="Saved places")).to_be_visible(timeout=PATIENT)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("It keeps its place until somebody resumes it.")).to_be_visible(timeout=PATIENT)
    page.reload()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Resumed on")).to_be_visible(timeout=PATIENT)
    expect(page.locator("[data-part=standing] .badge")).to_have_text("Running", timeout=PATIENT)
    page.reload()
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=PATIENT)
    page.get_by_role("button", name="Cancel the job").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_text("It was cancelled.")).to_be_visible(timeout=PATIENT)
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Tried again by opa.")).to_be_visible(timeout=PATIENT)
    expect(page.locator("[data-part=standing] .badge")).to_have_text("Running", timeout=PATIENT)
    other = page.context.new_page()
    other.goto(studio.url)
    page.get_by_role("button", name="Cancel the job").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    expect(other.get_by_text("was cancelled.")).to_be_visible(timeout=PATIENT)
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("The same job is submitted once more.")).to_be_visible(timeout=PATIENT)
    page.get_by_role("button", name="Cancel the job").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_text("It was cancelled.")).to_be_visible(timeout=PATIENT)
