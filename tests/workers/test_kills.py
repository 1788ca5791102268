"""Plugs are pulled over a running job: nothing is lost, nothing runs twice, the result is the undisturbed one.

Real Redis, real Celery workers, the real policy. Timings are three tenths of the real ones, for machines that are busy;
the full proof: `MEDS3_KILLS=50 MEDS3_JOBS_TEMPO=0.1`.
"""

import os
import random
import time
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from tests.workers.accidents import accidents_of, child_of
from tests.workers.people import operator
from tests.workers.stack import PATIENCE, job_processes, running_stack, state_of, wait_for
from webapp.accounts.services import system_team
from webapp.jobs import selectors, services
from webapp.jobs.models import Checkpoint, Job, State

KILLS = int(os.environ.get("MEDS3_KILLS", "3"))
WHOLE = PATIENCE * (2 + KILLS / 10)
"""Seconds for a whole job."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if KILLS > 10 else 1800), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stack(tmp_path, transactional_db):
    with running_stack(tmp_path) as running:
        yield running


def submit(questions, **others):
    spec = {"kind": "self-check", "questions": questions, "concurrency": 2, "max_nodes": 4, **others}
    job = services.job_submit(actor=operator(), team=system_team(), spec=spec)
    Job.objects.filter(pk=job.pk).update(max_failures=10_000)
    return job


def recorded(job):
    return Checkpoint.objects.filter(job=job).count()


def ended(job):
    return state_of(job) in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


def test_pause_resume_and_cancel_reach_the_process(stack):
    stack.start_worker("cpu-a")
    job = submit(500)
    wait_for(lambda: child_of("cpu-a"), "the job's process")
    services.job_pause(actor=operator(), job=job)
    wait_for(lambda: state_of(job) == State.PAUSED, "the pause")
    assert not job_processes("cpu-a")
    services.job_resume(actor=operator(), job=job)
    wait_for(lambda: child_of("cpu-a"), "the second attempt's process")
    services.job_cancel(actor=operator(), job=job)
    wait_for(lambda: state_of(job) == State.CANCELLED, "the cancelling")
    assert not job_processes("cpu-a")
    assert Job.objects.get(pk=job.pk).failures == 0
    stack.end("cpu-a")


def test_whatever_is_killed_the_result_is_the_undisturbed_one(stack):
    stack.start_worker("cpu-a")
    questions = KILLS + 5
    calm = submit(questions)
    wait_for(lambda: ended(calm), "the undisturbed job", patience=WHOLE)
    wanted = Job.objects.get(pk=calm.pk)
    assert (wanted.state, wanted.attempt, wanted.failures) == (State.SUCCEEDED, 1, 0), stack.log("cpu-a")
    assert recorded(calm) == questions

    job = submit(questions)
    chance = random.Random(int(os.environ.get("MEDS3_KILL_SEED", "1")))
    happened = []
    for accident in accidents_of(KILLS, chance):
        before = recorded(job)
        wait_for(lambda before=before: recorded(job) > before or ended(job), "a tree")
        if ended(job):
            break
        time.sleep(chance.uniform(0.0, 0.5))
        accident(stack, "cpu-a")
        happened.append(accident.__name__)
    assert happened
    wait_for(lambda: ended(job), f"the end after {happened}", patience=WHOLE)
    found = Job.objects.get(pk=job.pk)
    assert found.state == State.SUCCEEDED, stack.log("cpu-a")
    assert found.result == wanted.result
    counted = sum(happened.count(name) for name in ("kill_child", "kill_worker", "kill_both"))
    assert found.failures <= counted, "only lost leases and crashes count"
    seqs = [event.seq for event in selectors.events_after(job=job, seq=0, size=100_000)]
    assert seqs == list(range(1, found.next_seq))
    stack.end("cpu-a")
    assert not job_processes("cpu-a")


def test_a_supervisor_that_was_stopped_finds_its_lease_gone_and_ends_its_process(stack):
    stack.start_worker("cpu-a")
    job = submit(500)
    wait_for(lambda: child_of("cpu-a"), "the job's process")
    supervisor, old = stack.supervisor("cpu-a"), child_of("cpu-a")
    supervisor.suspend()
    stack.start_worker("cpu-b")
    wait_for(lambda: Job.objects.get(pk=job.pk).attempt == 2, "another worker's claim")
    supervisor.resume()
    wait_for(lambda: not psutil.pid_exists(old), "the end of the first process")
    row = Job.objects.select_related("worker").get(pk=job.pk)
    assert (row.state, row.attempt, row.failures, row.worker.name) == (State.RUNNING, 2, 1, "cpu-b")
    texts = [event.text for event in selectors.events_after(job=job, seq=0)]
    assert any("cpu-a vanished at" in text for text in texts)
    assert not (Path(settings.FILES) / "jobs" / str(job.pk) / "3").exists()
    services.job_cancel(actor=operator(), job=job)
    wait_for(lambda: ended(job), "the cancelling")
    stack.end("cpu-b")
    stack.end("cpu-a")
