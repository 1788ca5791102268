"""Submitting, claiming, steering and ending jobs: what a person and a worker see, through the services."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.http import Http404
from django.utils import timezone

from meds3core.config.jobs import JOB_SPEC
from tests.workers.people import SPEC, operator, submitted, team
from webapp.accounts.models import AuditEntry, User
from webapp.accounts.rules import Role
from webapp.accounts.services import Actor, membership_set, system_team
from webapp.jobs import claims, reports, selectors, services
from webapp.jobs.kinds import KINDS
from webapp.jobs.models import Job, MetricChunk, State
from webapp.jobs.references import references_check
from webapp.jobs.transitions import JobError, StaleAttempt

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker():
    return claims.worker_register(name="cpu-1", queue="cpu")


def claim(worker):
    found = claims.job_claim(queue="cpu", worker=worker)
    assert found is not None
    return found


def state(job):
    return Job.objects.get(pk=job.pk).state


def texts(job):
    return [event.text for event in selectors.events_after(job=job, seq=0)]


def lose_lease(job):
    Job.objects.filter(pk=job.pk).update(lease_expires=timezone.now() - timedelta(seconds=1))


def test_a_job_goes_from_submit_to_result(worker):
    job = submitted()
    assert (job.state, job.attempt, job.title) == (State.QUEUED, 0, "Self-check")
    mine = claim(worker)
    assert mine == claims.Claim(job.pk, 1)
    reports.stage_begin(job_id=job.pk, attempt=1, name="Search")
    reports.progress_write(job_id=job.pk, attempt=1, done=1, total=4, unit="trees", rate=2.0)
    reports.metrics_append(job_id=job.pk, attempt=1, name="loss", steps=range(2500), values=[0.5] * 2500)
    reports.result_store(job_id=job.pk, attempt=1, result={"trees": 4})
    assert claims.job_finish(claim=mine) == State.SUCCEEDED
    ended = Job.objects.get(pk=job.pk)
    assert (ended.state, ended.result, ended.failures, ended.lease_expires) == (State.SUCCEEDED, {"trees": 4}, 0, None)
    assert (ended.stage, ended.done, ended.total) == ("Search", 1, 4)
    assert [chunk.first_step for chunk in MetricChunk.objects.order_by("first_step")] == [0, 1000, 2000]
    events = selectors.events_after(job=job, seq=0)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.kind for event in events] == ["state", "state", "stage", "progress", "state"]
    assert [event.seq for event in selectors.events_after(job=job, seq=3)] == [4, 5]
    assert claims.job_claim(queue="cpu", worker=worker) is None


def test_progress_makes_at_most_one_event_a_second(worker):
    job = submitted()
    claim(worker)
    for done in range(5):
        reports.progress_write(job_id=job.pk, attempt=1, done=done, total=5)
    assert Job.objects.get(pk=job.pk).done == 4
    assert [event.kind for event in selectors.events_after(job=job, seq=0)].count("progress") == 1


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"kind": "self-check", "questions": 0}, "questions"),
        ({"kind": "self-check", "folder": "/etc"}, "folder"),
        ({"kind": "dance"}, "kind"),
        ({"kind": "backup"}, "cannot run jobs of the kind 'Backup'"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_reason(spec, said, monkeypatch):
    monkeypatch.setitem(KINDS, "backup", replace(KINDS["backup"], offered=False))
    with pytest.raises(JobError, match=said):
        services.job_submit(actor=operator(), team=system_team(), spec=spec)
    assert not Job.objects.exists()


def test_a_self_check_is_for_operators():
    anna = User.objects.create_user(username="anna")
    ward = team("Ward")
    membership_set(actor=operator(), team=ward, user=anna, role=Role.OWNER)
    with pytest.raises(JobError, match="Ask an operator"):
        services.job_submit(actor=Actor(anna), team=ward, spec=SPEC)


@pytest.mark.parametrize("questions", [{"path": "/etc/passwd"}, {"kind": "dataset", "id": str(uuid4())}])
def test_a_reference_must_be_something_the_team_has(questions):
    spec = JOB_SPEC.validate_python({"kind": "grpo", "questions": questions, "policy": questions})
    with pytest.raises(JobError):
        references_check(team=system_team(), spec=spec)


def test_best_first_priority_then_the_team_with_fewest_running_then_age(worker):
    ward, lab = team("Ward"), team("Lab")
    first, second = submitted(of=ward), submitted(of=ward)
    third = submitted(of=lab)
    urgent = submitted(of=ward, priority=5)
    order = [claim(worker).job_id for _ in range(4)]
    # After the urgent one Ward has one running, so Lab comes before Ward's older jobs.
    assert order == [urgent.pk, third.pk, first.pk, second.pk]


def test_a_team_at_its_limit_leaves_room_for_others(worker):
    ward, lab = team("Ward"), team("Lab")
    services.team_limit_set(actor=operator(), team=ward, limit=1)
    mine, waiting, others = submitted(of=ward, priority=1), submitted(of=ward, priority=1), submitted(of=lab)
    assert [claim(worker).job_id for _ in range(2)] == [mine.pk, others.pk]
    assert claims.job_claim(queue="cpu", worker=worker) is None
    claims.job_finish(claim=claims.Claim(mine.pk, 1))
    assert claim(worker).job_id == waiting.pk


def test_a_draining_worker_claims_nothing(worker):
    submitted()
    services.worker_drain(actor=operator(), worker=worker)
    assert claims.job_claim(queue="cpu", worker=worker) is None
    assert claims.worker_heartbeat(worker=worker)


def test_a_lost_lease_is_told_in_plain_words_and_the_job_goes_on_from_its_checkpoint(worker, settings, tmp_path):
    settings.FILES = tmp_path
    job = submitted()
    claim(worker)
    path = reports.job_folder(job.pk) / "1" / "tree.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    reports.checkpoint_record(job_id=job.pk, attempt=1, name="tree-1210", path=path, label="tree 1,210")
    assert claims.leases_reclaim() == []
    lose_lease(job)
    assert claims.leases_reclaim() == [job.pk]
    assert claims.leases_reclaim() == []
    assert (state(job), Job.objects.get(pk=job.pk).failures) == (State.QUEUED, 1)
    assert "cpu-1 vanished at " in texts(job)[-1]
    assert "goes on from tree 1,210" in texts(job)[-1]
    assert claim(worker).attempt == 2
    assert texts(job)[-1].startswith("Resumed on ")
    assert selectors.checkpoints_of(job_id=job.pk)["tree-1210"].path == "1/tree.json"


def loop():
    """A loop that a worker has, with one of its three stages done and one under way."""
    job = submitted()
    Job.objects.filter(pk=job.pk).update(kind="evolution")
    mine = claims.job_claim(queue="cpu", worker=claims.worker_register(name="cpu-1", queue="cpu"))
    stages = [{"name": name, "done": False, "details": {}} for name in ("search", "sft", "evaluation")]
    reports.stages_plan(job_id=job.pk, attempt=mine.attempt, stages=stages)
    reports.stage_write(job_id=job.pk, attempt=1, name="search", state=State.RUNNING)
    reports.stage_write(job_id=job.pk, attempt=1, name="search", state=State.SUCCEEDED)
    reports.stage_write(job_id=job.pk, attempt=1, name="sft", state=State.RUNNING)
    return job, mine


def stage_states(job):
    return [stage.state for stage in selectors.stages_of(job=job)]


def test_a_loop_goes_on_with_its_stages_and_says_so(worker):
    job, mine = loop()
    claims.job_stopped(claim=mine)
    assert texts(job)[-1] == "The worker was told to stop; the job goes on elsewhere with 1 of 3 stages done."
    assert stage_states(job) == ["succeeded", "queued", "queued"]
    again = claim(worker)
    assert texts(job)[-1].startswith("Resumed on ") and texts(job)[-1].endswith(" with 1 of 3 stages done.")
    claims.job_crashed(claim=again, account="The process was killed")
    assert "; the job goes on with 1 of 3 stages done as soon as" in texts(job)[-1]


def test_no_stage_runs_on_when_its_job_has_ended(worker):
    job, mine = loop()
    claims.job_fail(claim=mine, code="empty-label-set", message="nothing to learn from")
    assert stage_states(job) == ["succeeded", "failed", "queued"]
    one = submitted()
    mine = claim(worker)
    reports.stage_begin(job_id=one.pk, attempt=1, name="Files")
    reports.stage_begin(job_id=one.pk, attempt=1, name="Listing")
    claims.job_finish(claim=mine)
    assert stage_states(one) == ["succeeded", "succeeded"]


def test_a_part_that_was_interrupted_is_not_called_done(worker):
    job = submitted()
    mine = claim(worker)
    reports.stage_begin(job_id=job.pk, attempt=1, name="Files")
    reports.stage_begin(job_id=job.pk, attempt=1, name="Trial")
    claims.job_stopped(claim=mine)
    claim(worker)
    reports.stage_begin(job_id=job.pk, attempt=2, name="Files")
    assert stage_states(job) == ["running", "queued"]


@pytest.mark.parametrize(("kind", "place"), [("import", "where it was"), ("labels", "the beginning")])
def test_work_that_is_kept_does_not_begin_again(worker, kind, place):
    job = submitted()
    Job.objects.filter(pk=job.pk).update(kind=kind)
    claims.job_stopped(claim=claim(worker))
    first, last = [text for text in texts(job) if " on " in text]
    assert first.startswith("Started on ") and "where it was" not in first
    assert last == f"The worker was told to stop; the job goes on elsewhere from {place}."


def test_what_broke_an_earlier_attempt_is_no_error_of_a_job_that_succeeded(worker):
    job = submitted()
    mine = claim(worker)
    reports.error_store(job_id=job.pk, attempt=1, code="error", message="RuntimeError")
    claims.job_crashed(claim=mine, account="The job broke (RuntimeError)")
    claims.job_finish(claim=claim(worker))
    assert [getattr(Job.objects.get(pk=job.pk), name) for name in ("state", "error_code")] == [State.SUCCEEDED, ""]


def test_too_many_failures_end_the_job_and_a_retry_begins_with_none(worker):
    job = submitted()
    for _ in range(job.max_failures):
        assert state(job) == State.QUEUED
        claims.job_crashed(claim=claim(worker), account="The process was killed")
    ended = Job.objects.get(pk=job.pk)
    assert (ended.state, ended.failures, ended.error_code) == (State.FAILED, 3, "crashed")
    assert "happened 3 times" in ended.error_message
    again = services.job_retry(actor=operator(), job=ended)
    assert (again.state, again.failures, again.error_message) == (State.QUEUED, 0, "")
    assert claim(worker).attempt == 4


@pytest.mark.parametrize(
    ("ask", "between", "after"),
    [
        (services.job_pause, State.PAUSING, State.PAUSED),
        (services.job_cancel, State.CANCELLING, State.CANCELLED),
    ],
)
@pytest.mark.parametrize("how", ["told", "vanished"])
def test_pause_and_cancel_of_a_running_job(worker, ask, between, after, how):
    job = submitted()
    mine = claim(worker)
    assert ask(actor=operator(), job=job).state == between
    assert claims.lease_renew(claim=mine, worker=worker) == between
    if how == "told":
        assert claims.job_stopped(claim=mine) == after
    else:
        lose_lease(job)
        claims.leases_reclaim()
    ended = Job.objects.get(pk=job.pk)
    assert (ended.state, ended.failures) == (after, int(how == "vanished"))


def test_waiting_jobs_are_paused_and_cancelled_at_once_and_resumed():
    job = submitted()
    assert services.job_pause(actor=operator(), job=job).state == State.PAUSED
    assert services.job_resume(actor=operator(), job=job).state == State.QUEUED
    assert services.job_cancel(actor=operator(), job=job).state == State.CANCELLED
    with pytest.raises(JobError, match="is cancelled and cannot be paused"):
        services.job_pause(actor=operator(), job=job)
    verbs = AuditEntry.objects.filter(subject=str(job.pk)).order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["job.submitted", "job.paused", "job.resumed", "job.cancelled"]


def test_a_drained_job_waits_again_and_no_failure_is_counted(worker):
    job = submitted()
    assert claims.job_stopped(claim=claim(worker)) == State.QUEUED
    assert Job.objects.get(pk=job.pk).failures == 0


def test_run_again_is_a_new_job_with_the_same_specification(worker):
    job = submitted(title="Is it well?")
    with pytest.raises(JobError, match="has not ended"):
        services.job_run_again(actor=operator(), job=job)
    services.job_cancel(actor=operator(), job=job)
    again = services.job_run_again(actor=operator(), job=Job.objects.get(pk=job.pk))
    assert again.pk != job.pk
    assert (again.spec_hash, again.title, again.origin_id) == (job.spec_hash, job.title, job.pk)


def test_an_attempt_that_the_job_has_gone_on_without_can_write_nothing(worker, settings, tmp_path):
    settings.FILES = tmp_path
    job = submitted()
    old = claim(worker)
    lose_lease(job)
    claims.leases_reclaim()
    path = reports.job_folder(job.pk) / "1" / "x"
    path.parent.mkdir(parents=True)
    path.write_text("")
    who = {"job_id": job.pk, "attempt": old.attempt}
    writes = [
        lambda: claims.lease_renew(claim=old, worker=worker),
        lambda: claims.job_wish(claim=old),
        lambda: claims.job_finish(claim=old),
        lambda: claims.job_fail(claim=old, code="x", message="y"),
        lambda: claims.job_stopped(claim=old),
        lambda: claims.job_crashed(claim=old, account="z"),
        lambda: reports.stage_begin(**who, name="s"),
        lambda: reports.progress_write(**who, done=9, total=9),
        lambda: reports.warning_write(**who, text="w"),
        lambda: reports.metrics_append(**who, name="m", steps=[1], values=[1.0]),
        lambda: reports.checkpoint_record(**who, name="c", path=path),
        lambda: reports.result_store(**who, result={}),
        lambda: reports.error_store(**who, code="x", message="y"),
    ]

    def picture():
        row = Job.objects.filter(pk=job.pk).values().get()
        counts = (row_set.filter(job=job.pk).count() for row_set in (MetricChunk.objects, job.checkpoints, job.stages))
        return row, *counts

    for _ in range(2):  # while it waits, and while another attempt runs
        before = picture()
        for write in writes:
            with pytest.raises(StaleAttempt):
                write()
        assert picture() == before
        if state(job) == State.QUEUED:
            claim(worker)


def test_teams_are_walls():
    ward, lab = team("Ward"), team("Lab")
    anna = User.objects.create_user(username="anna")
    membership_set(actor=operator(), team=ward, user=anna, role=Role.VIEWER)
    mine, theirs = submitted(of=ward), submitted(of=lab)
    assert list(selectors.jobs_for(user=anna)) == [mine]
    assert selectors.job_of(team=ward, job_id=mine.pk) == mine
    with pytest.raises(Http404):
        selectors.job_of(team=ward, job_id=theirs.pk)


def test_pages_of_jobs_follow_one_another_newest_first():
    ward = team("Ward")
    jobs = [submitted(of=ward) for _ in range(5)]
    page = selectors.jobs_page(team=ward, size=3)
    assert page == jobs[:1:-1]
    assert selectors.jobs_page(team=ward, size=3, before=page[-1].pk) == [jobs[1], jobs[0]]
    assert selectors.jobs_page(team=ward, state=State.RUNNING) == []


def test_operators_see_queues_without_content(worker):
    submitted()
    submitted()
    claim(worker)
    (cpu,) = selectors.queues_overview()
    assert (cpu["queue"], cpu["queued"], cpu["running"]) == ("cpu", 1, 1)
    assert [one.current_job.state for one in selectors.workers_known()] == [State.RUNNING]
