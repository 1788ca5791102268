"""What machines ask: whether the instance can serve, and its figures."""

import pytest
from django.conf import settings
from django.db.models.functions import Now
from prometheus_client.parser import text_string_to_metric_families

from tests.redis_server import redis_server
from tests.web.people import person, signed_in, token
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Role
from webapp.accounts.services import team_create
from webapp.health import readiness
from webapp.jobs.claims import worker_register
from webapp.jobs.models import Job, MetricChunk, State
from webapp.jobs.transitions import in_seconds

pytestmark = pytest.mark.django_db


@pytest.fixture
def redis(tmp_path, monkeypatch):
    with redis_server() as server:
        monkeypatch.setattr(settings, "REDIS", server.url)
        yield server


def test_strangers_learn_one_word(client, redis):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    redis.stop()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})


def test_a_token_and_an_operator_learn_why(client, redis):
    ann = person("ann")
    key = token(ann, team_create(actor=SYSTEM, name="Ward", owner=ann), Role.OWNER)
    worker_register(name="cpu@here", queue="cpu")
    redis.stop()
    for caller, headers in ((client, {"Authorization": f"Bearer {key}"}), (signed_in(person("op", operator=True)), {})):
        answer = caller.get("/readyz", headers=headers)
        assert answer.status_code == 503
        checks = answer.json()["checks"]
        assert not checks["redis"]["ok"] and "does not answer" in checks["redis"]["said"]
        assert checks["database"]["ok"] and checks["migrations"]["ok"] and checks["disk"]["said"]
        assert checks["workers of queue cpu"]["ok"]
        assert not checks["workers of queue gpu"]["ok"]
        assert not checks["workers of queue gpu"]["decides"]
    wrong = client.get("/readyz", headers={"Authorization": "Bearer meds3_no_token"})
    assert wrong.json() == {"status": "not ready"}
    assert signed_in(person("guest")).get("/readyz").json() == {"status": "not ready"}


def test_missing_migrations_are_not_ready(client, redis, monkeypatch):
    from django.db.migrations.recorder import MigrationRecorder

    monkeypatch.setattr(readiness, "_migrated", set())
    MigrationRecorder.Migration.objects.filter(app="jobs").latest("id").delete()
    assert client.get("/readyz").status_code == 503


def test_figures_for_prometheus(client):
    ann = person("ann")
    team = team_create(actor=SYSTEM, name="Ward", owner=ann)
    common = {"team": team, "kind": "search", "spec": {}, "queue": "gpu"}
    Job.objects.create(**common, state=State.QUEUED)
    Job.objects.filter(state=State.QUEUED).update(created=in_seconds(-90))
    running = Job.objects.create(**common, state=State.RUNNING, attempt=1, started=Now(), lease_expires=in_seconds(45))
    speeds = {"name": "tokens per second", "first_step": 1, "steps": [1, 2], "values": [90.0, 120.5]}
    MetricChunk.objects.create(job=running, attempt=1, **speeds)
    for seconds in (5, 500):
        Job.objects.create(**common, state=State.SUCCEEDED, started=in_seconds(-seconds), ended=Now())
    worker_register(name="gpu@here", queue="gpu")
    assert client.get("/metrics").status_code == 302
    assert signed_in(ann).get("/metrics").status_code == 403
    key = token(ann, team, Role.OWNER)
    text = client.get("/metrics", headers={"Authorization": f"Bearer {key}"}).content.decode()
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["meds3_jobs_queued", "gpu"] == found["meds3_jobs_running", "gpu"] == 1
    assert found["meds3_jobs_queued", "cpu"] == 0
    assert 89 <= found["meds3_oldest_queued_seconds", "gpu"] < 120
    assert found["meds3_workers", "alive", "gpu"] == 1
    assert found["meds3_jobs", "search", "succeeded"] == 2
    assert found["meds3_job_duration_seconds_bucket", "10.0", "search"] == 1
    assert found["meds3_job_duration_seconds_count", "search"] == 2
    assert 500 <= found["meds3_job_duration_seconds_sum", "search"] < 515
    assert found["meds3_tokens_per_second", "search"] == 120.5
    assert "Ward" not in text
