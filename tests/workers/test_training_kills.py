"""Plugs are pulled over a training: the model is bit for bit that of an undisturbed run, it is listed once,
no process is left and every lease is given back.

The full proof: `MEDS3_KILLS=50 MEDS3_JOBS_TEMPO=0.1`.
"""

import os
import random
import time

import pytest

from meds3core.config.labels import SftLabelConfig
from tests.core.training.tiny import make_examples
from tests.workers.accidents import EVERY, accidents_of
from tests.workers.learning import QUICK, labels, over, submit, succeeded, weights
from tests.workers.people import operator, team
from tests.workers.stack import job_processes, running_stack, state_of, wait_for
from webapp.jobs import selectors, services
from webapp.jobs.models import Checkpoint, DeviceLease, Job, State
from webapp.jobs.transitions import ENDED
from webapp.registry.bundled import bundled_ensure
from webapp.registry.models import ModelVersion

KILLS = int(os.environ.get("MEDS3_KILLS", "2"))
WORKER = "gpu-a"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if KILLS > 10 else 1800), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stack(tmp_path, transactional_db):
    with running_stack(tmp_path) as running:
        running.start_worker(WORKER, queue="gpu")
        yield running
        running.end(WORKER)
        assert not job_processes(WORKER)
        assert not DeviceLease.objects.exists()


@pytest.fixture
def ward(transactional_db):
    return team("Ward 7")


@pytest.fixture
def policy(transactional_db):
    return {"kind": "model", "id": str(bundled_ensure().pk)}


def patient(job):
    """However often its process is killed."""
    Job.objects.filter(pk=job.pk).update(max_failures=10_000)
    return job


def saved(job):
    """The newest checkpoint."""
    return Checkpoint.objects.filter(job=job).values_list("pk", flat=True).last()


def pause_and_resume(_, name):
    """As a person does."""
    job = Job.objects.exclude(state__in=ENDED).first()
    if job is None:
        return
    services.job_pause(actor=operator(), job=Job.objects.get(pk=job.pk))
    wait_for(lambda: state_of(job) == State.PAUSED or over(job), "the pause")
    if state_of(job) == State.PAUSED:
        assert not job_processes(name)
        services.job_resume(actor=operator(), job=Job.objects.get(pk=job.pk))


def counted_once(job):
    """Events are whole, and only lost leases and crashes count."""
    found = Job.objects.get(pk=job.pk)
    seqs = [event.seq for event in selectors.events_after(job=job, seq=0, size=100_000)]
    assert seqs == sorted(set(seqs))
    assert found.failures < found.attempt


def test_whatever_is_killed_a_training_ends_as_an_undisturbed_one(stack, ward, policy):
    examples = labels(ward, "sft", SftLabelConfig(), make_examples(8))
    training = {"method": "sft", **QUICK, "epochs": KILLS + 4}
    spec = {"kind": "sft", "policy": policy, "labels": examples, "training": training}
    calm = succeeded(submit(ward, **spec))
    assert (calm.attempt, calm.failures) == (1, 0)

    job = patient(submit(ward, **spec))
    chance = random.Random(int(os.environ.get("MEDS3_KILL_SEED", "1")))
    happened = []
    for accident in accidents_of(KILLS, chance, (EVERY[0], pause_and_resume, *EVERY[1:])):
        before = saved(job)
        wait_for(lambda before=before: saved(job) != before or over(job), "a checkpoint")
        if over(job):
            break
        time.sleep(chance.uniform(0.0, 0.3))
        accident(stack, WORKER)
        happened.append(accident.__name__)
    assert happened
    found = succeeded(job)
    counted_once(job)
    assert found.attempt > 1
    assert {"steps", "final_loss", "tokens"} <= set(found.result)
    for figure in ("steps", "examples", "final_loss"):
        assert found.result[figure] == calm.result[figure], figure
    made = ModelVersion.objects.filter(job=job)
    assert made.count() == 1
    wanted = ModelVersion.objects.get(job=calm)
    assert weights(made.get()) == weights(wanted), f"after {happened}"
