"""Many workers at once over one database: no job has two owners, no team exceeds its limit."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest
from django.db import OperationalError, close_old_connections, connection

from tests.workers.people import operator, submitted, team
from webapp.jobs import claims, services
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.models import Job, JobEvent, State
from webapp.jobs.transitions import LIVE

WORKERS = 20


def in_threads(work, count=WORKERS):
    """`work(number)` in as many threads, each with a connection of its own; their results."""
    together = Barrier(count)

    def one(number):
        close_old_connections()
        try:
            together.wait()
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def patiently(act):
    """As workers do: a busy database is asked again (the next doorbell, the supervisor's next try)."""
    while True:
        try:
            return act()
        except OperationalError:
            connection.close()


def jobs_of(teams, each):
    for one in teams:
        for _ in range(each):
            with suppress(QueueUnreachable):  # no Redis in this test; the job is stored all the same
                submitted(of=one)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.django_db(transaction=True)
def test_twenty_workers_and_five_hundred_jobs_no_double_claim():
    Job.objects.all().delete()
    ward = team("Ward")
    services.team_limit_set(actor=operator(), team=ward, limit=WORKERS)
    first = [ward]
    jobs_of(first, 1)
    model = Job.objects.get()
    Job.objects.bulk_create(
        Job(team=ward, kind=model.kind, spec=model.spec, spec_hash=model.spec_hash, queue="cpu") for _ in range(499)
    )

    def work(number):
        worker = patiently(lambda: claims.worker_register(name=f"cpu-{number}", queue="cpu"))
        mine = []
        while claim := patiently(lambda: claims.job_claim(queue="cpu", worker=worker)):
            mine.append(claim)
            patiently(lambda claim=claim: claims.job_finish(claim=claim))
        return mine

    done = Counter(claim.job_id for mine in in_threads(work) for claim in mine)
    assert len(done) == 500
    assert set(done.values()) == {1}
    assert set(Job.objects.values_list("state", "attempt")) == {(State.SUCCEEDED, 1)}
    assert JobEvent.objects.filter(job__in=list(done)[:1]).count() == Job.objects.get(pk=next(iter(done))).next_seq - 1


@pytest.mark.django_db(transaction=True)
def test_a_limit_holds_when_many_claim_at_the_same_moment():
    ward, lab = team("Ward"), team("Lab")
    for one in (ward, lab):
        services.team_limit_set(actor=operator(), team=one, limit=2)
    jobs_of([ward, lab], 5)

    def work(number):
        worker = patiently(lambda: claims.worker_register(name=f"cpu-{number}", queue="cpu"))
        return patiently(lambda: claims.job_claim(queue="cpu", worker=worker))

    claimed = [claim for claim in in_threads(work, 8) if claim]
    running = Counter(Job.objects.filter(state__in=LIVE).values_list("team__name", flat=True))
    assert running == {"Ward": 2, "Lab": 2}
    assert len(claimed) == 4
