"""A job that is worked on for longer than its kind may be is ended by its supervisor, and told in words."""

import pytest

from tests.workers.people import operator
from tests.workers.stack import job_processes, running_stack, state_of, wait_for
from webapp.accounts.services import system_team
from webapp.jobs import services
from webapp.jobs.models import Job, State


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
def test_work_that_lasts_too_long_is_ended_and_can_be_retried(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDS3_JOBS_LONGEST", "self-check=0.001")
    with running_stack(tmp_path) as stack:
        stack.start_worker("cpu-a")
        spec = {"kind": "self-check", "questions": 1000, "concurrency": 2}
        job = services.job_submit(actor=operator(), team=system_team(), spec=spec)
        wait_for(lambda: state_of(job) == State.FAILED, "the end")
        row = Job.objects.get(pk=job.pk)
        assert (row.error_code, row.failures) == ("too-long", 0), stack.log("cpu-a")
        assert "worked on for" in row.error_message
        assert row.worked >= 3
        wait_for(lambda: not job_processes("cpu-a"), "the end of its processes")
        services.job_retry(actor=operator(), job=row)
        wait_for(lambda: state_of(job) == State.RUNNING, "another attempt")
        services.job_cancel(actor=operator(), job=row)
        wait_for(lambda: state_of(job) in (State.CANCELLED, State.FAILED), "the cancelling")
        stack.end("cpu-a")
