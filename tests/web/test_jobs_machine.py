"""Any order of what people, workers and accidents do leaves a job in order."""

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.workers.people import operator, submitted
from webapp.jobs import claims, reports, services
from webapp.jobs.models import Job, JobEvent, State
from webapp.jobs.transitions import LIVE, JobError, StaleAttempt

ASKS = [services.job_cancel, services.job_pause, services.job_resume, services.job_retry]


class JobMachine(RuleBasedStateMachine):
    @initialize()
    def submit(self):
        self.worker = claims.worker_register(name="cpu-1", queue="cpu")
        self.job = submitted()
        self.claims = []
        self.failures = 0

    def row(self):
        return Job.objects.get(pk=self.job.pk)

    @rule()
    def claim(self):
        waiting = self.row().state == State.QUEUED
        found = claims.job_claim(queue="cpu", worker=self.worker)
        assert (found is not None) == waiting
        if found:
            self.claims.append(found)

    @rule(ask=st.sampled_from(ASKS))
    def person_asks(self, ask):
        before = self.row()
        try:
            after = ask(actor=operator(), job=before)
        except JobError:
            assert self.row().state == before.state
        else:
            assert after.state != before.state
            if ask is services.job_retry:
                self.failures = 0

    @precondition(lambda self: self.claims)
    @rule(how=st.sampled_from(["finish", "fail", "stopped"]), which=st.integers(0, 20))
    def worker_ends(self, how, which):
        claim = self.claims[which % len(self.claims)]
        ends = {
            "finish": lambda: claims.job_finish(claim=claim),
            "fail": lambda: claims.job_fail(claim=claim, code="x", message="It cannot be done"),
            "stopped": lambda: claims.job_stopped(claim=claim),
        }
        self.write(claim, ends[how])

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 20))
    def child_crashes(self, which):
        claim = self.claims[which % len(self.claims)]
        if self.write(claim, lambda: claims.job_crashed(claim=claim, account="It was killed")):
            self.failures += 1

    @rule()
    def lease_runs_out(self):
        live = self.row().state in LIVE
        Job.objects.filter(pk=self.job.pk, state__in=LIVE).update(lease_expires=timezone.now() - timedelta(seconds=1))
        assert (claims.leases_reclaim() == [self.job.pk]) == live
        self.failures += live

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 20), how=st.sampled_from(["renew", "progress", "stage", "warning"]))
    def worker_writes(self, which, how):
        claim = self.claims[which % len(self.claims)]
        who = {"job_id": claim.job_id, "attempt": claim.attempt}
        writes = {
            "renew": lambda: claims.lease_renew(claim=claim, worker=self.worker),
            "progress": lambda: reports.progress_write(**who, done=1, total=2),
            "stage": lambda: reports.stage_begin(**who, name="s"),
            "warning": lambda: reports.warning_write(**who, text="w"),
        }
        self.write(claim, writes[how])

    def write(self, claim, act):
        """Only the last claim, and only while the job is live, may write."""
        row = self.row()
        allowed = row.state in LIVE and claim == self.claims[-1]
        try:
            act()
        except StaleAttempt:
            assert not allowed
            assert self.row().next_seq == row.next_seq
        else:
            assert allowed
        return allowed

    @invariant()
    def in_order(self):
        if not hasattr(self, "job"):
            return
        row = self.row()
        assert row.attempt == len(self.claims)
        assert row.failures == self.failures
        assert (row.state in LIVE) == (row.lease_expires is not None) == (row.worker_id is not None)
        assert (row.state == State.FAILED) <= bool(row.error_message)
        seqs = JobEvent.objects.filter(job=row).order_by("id").values_list("seq", flat=True)
        assert list(seqs) == list(range(1, row.next_seq))

    def teardown(self):
        Job.objects.all().delete()


@pytest.mark.django_db
def test_a_job_stays_in_order_whatever_happens():
    checked = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(JobMachine, settings=checked)
