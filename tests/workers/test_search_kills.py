"""Plugs are pulled over a search that two workers share: no tree is lost or grown by two, the result is that of an
undisturbed search by one worker, no process is left and every lease is given back.

The full proof: `MEDS3_KILLS=50 MEDS3_JOBS_TEMPO=0.1`.
"""

import os
import random
import time
import zlib

import pytest
from django.db import connection
from django.db.models.functions import Now

from tests.trees import some_questions, submitted_search
from tests.workers.accidents import accidents_of, cut_connections
from tests.workers.people import operator, team
from tests.workers.stack import PATIENCE, job_processes, running_stack, state_of, wait_for
from webapp.jobs import selectors, services
from webapp.jobs.models import DeviceLease, Job, State
from webapp.jobs.transitions import ENDED
from webapp.trees.models import NodeRow, SearchQuestion, Tree

KILLS = int(os.environ.get("MEDS3_KILLS", "4"))
WHOLE = PATIENCE * (2 + KILLS / 10)
"""Seconds for a whole search."""
WORKERS = ("gpu-a", "gpu-b")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if KILLS > 10 else 1800), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stack(tmp_path, transactional_db):
    with running_stack(tmp_path) as running:
        yield running


def trees_of(job):
    """Question and whole content of every tree."""
    rows = Tree.objects.filter(job=job).order_by("position").values_list("position", "arena")
    return {position: zlib.decompress(arena) for position, arena in rows}


def stored(job):
    return Tree.objects.filter(job=job).count()


def ended(job):
    return state_of(job) in ENDED


def submit(version, **others):
    job = submitted_search(operator(), version.team, version, **others)
    Job.objects.filter(kind="search").update(max_failures=10_000)
    return job


def test_whatever_is_killed_a_shared_search_ends_as_an_undisturbed_one(stack):
    version = some_questions(operator(), team("Ward 7"), KILLS * 2 + 8)
    stack.start_worker("gpu-a", queue="gpu")
    calm = submit(version)
    wait_for(lambda: ended(calm), "the undisturbed search", patience=WHOLE)
    wanted = Job.objects.get(pk=calm.pk)
    assert (wanted.state, wanted.attempt, wanted.failures) == (State.SUCCEEDED, 1, 0), stack.log("gpu-a")
    assert wanted.result["trees"] == version.questions

    stack.start_worker("gpu-b", queue="gpu")
    job = submit(version, shards=2)
    chance = random.Random(int(os.environ.get("MEDS3_KILL_SEED", "1")))
    happened = []
    for accident in accidents_of(KILLS, chance):
        before = stored(job)
        wait_for(lambda before=before: stored(job) > before or ended(job), "a tree")
        if ended(job):
            break
        time.sleep(chance.uniform(0.0, 0.5))
        accident(stack, chance.choice(WORKERS))
        happened.append(accident.__name__)
    assert happened
    wait_for(lambda: ended(job), f"the end after {happened}", patience=WHOLE)
    found = Job.objects.get(pk=job.pk)
    assert found.state == State.SUCCEEDED, [stack.log(name) for name in WORKERS]
    assert found.result == wanted.result
    assert trees_of(job) == trees_of(calm)
    for tree in Tree.objects.filter(job=job):
        assert NodeRow.objects.filter(tree=tree).count() == tree.nodes + 1, "a tree and its nodes are one write"
    assert set(SearchQuestion.objects.filter(job=job).values_list("state", flat=True)) == {"done"}
    assert set(job.shards.values_list("state", flat=True)) == {State.SUCCEEDED}
    for each in (job, *job.shards.all()):
        seqs = [event.seq for event in selectors.events_after(job=each, seq=0, size=100_000)]
        assert seqs == sorted(set(seqs))
    for name in WORKERS:
        stack.end(name)
        assert not job_processes(name)
    # One whose holder lost the database ends by itself.
    wait_for(lambda: not DeviceLease.objects.filter(expires__gt=Now()).exists(), "the end of all leases")


def test_a_shared_search_is_paused_and_goes_on_as_a_whole(stack):
    version = some_questions(operator(), team("Ward 7"), 40)
    for name in WORKERS:
        stack.start_worker(name, queue="gpu")
    job = submit(version, shards=2)
    wait_for(lambda: stored(job), "a tree")
    services.job_pause(actor=operator(), job=job)
    wait_for(lambda: state_of(job) == State.PAUSED, "the pause")
    kept = trees_of(job)
    assert not [pid for name in WORKERS for pid in job_processes(name)]
    assert 0 < len(kept) < 40
    services.job_resume(actor=operator(), job=job)
    wait_for(lambda: stored(job) > len(kept), "the next tree")
    services.job_cancel(actor=operator(), job=job)
    wait_for(lambda: state_of(job) == State.CANCELLED, "the cancelling")
    wait_for(lambda: not [pid for name in WORKERS for pid in job_processes(name)], "the end of all processes")
    assert kept.items() <= trees_of(job).items()
    assert not Job.objects.filter(parent=job, failures__gt=0).exists()
    for name in WORKERS:
        stack.end(name)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server that could be restarted")
def test_connections_that_the_database_cuts_cost_nothing(stack):
    version = some_questions(operator(), team("Ward 7"), 30)
    stack.start_worker("gpu-a", queue="gpu")
    job = submit(version)
    for _ in range(3):
        before = stored(job)
        wait_for(lambda before=before: stored(job) > before or ended(job), "a tree")
        cut_connections()
    wait_for(lambda: ended(job), "the end")
    found = Job.objects.get(pk=job.pk)
    assert (found.state, found.result["trees"]) == (State.SUCCEEDED, 30), stack.log("gpu-a")
    stack.end("gpu-a")
