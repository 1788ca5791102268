"""The API of jobs as a program sees it; who reaches which operation is walked in test_walls.py."""

from uuid import UUID

import pytest
from django.core.cache import cache
from django.test import Client

from tests.web.people import World, signed_in, token
from tests.workers.people import SPEC
from webapp.accounts.actors import SYSTEM
from webapp.accounts.models import AuditEntry, Membership
from webapp.accounts.rules import Action, Role
from webapp.config.api import api
from webapp.jobs import claims, reports, services
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.models import Job

UPLOAD = {"kind": "upload", "id": str(UUID(int=1))}


class Program:
    """A client with a token, in one team."""

    def __init__(self, user, team, role):
        self.headers = {"Authorization": f"Bearer {token(user, team, role)}"}
        self.base = f"/api/v1/teams/{team.slug}/jobs"

    def get(self, path="", **query):
        return Client().get(
            path if path.startswith("/") else f"{self.base}/{path}".rstrip("/"), query, headers=self.headers
        )

    def post(self, path="", body=None, **headers):
        url = f"{self.base}/{path}".rstrip("/")
        client = Client(raise_request_exception=False)
        return client.post(url, body or {}, content_type="application/json", headers=self.headers | headers)


@pytest.fixture
def program(world):
    """Of an operator who is a manager of the team: self-checks are the one kind that needs nothing."""
    Membership.objects.create(user=world.operator, team=world.team, role=Role.MANAGER)
    return Program(world.operator, world.team, Role.MANAGER)


def submitted(world, **others):
    return services.job_submit(actor=SYSTEM, team=world.team, spec=SPEC, **others)


@pytest.fixture
def worker(db):
    return claims.worker_register(name="cpu-1", queue="cpu")


def test_a_job_is_submitted_found_and_shown(world, program):
    answer = program.post(body={"spec": SPEC, "title": "Is it well?", "priority": 3}, **{"Idempotency-Key": "one"})
    assert answer.status_code == 202
    made = answer.json()
    assert (made["state"], made["title"], made["priority"], made["seq"]) == ("queued", "Is it well?", 3, 1)
    shown = program.get(answer["Location"]).json()
    assert shown["id"] == made["id"] and shown["spec"]["kind"] == "self-check" and shown["result"] is None
    assert (
        program.post(body={"spec": SPEC, "title": "Is it well?", "priority": 3}, **{"Idempotency-Key": "one"}).json()
        == made
    )
    assert [job["id"] for job in program.get().json()["items"]] == [made["id"]]
    assert program.get(state="paused").json()["items"] == [] == program.get(kind="search").json()["items"]
    assert AuditEntry.objects.filter(verb="job.submitted", via="api", actor=world.operator).count() == 1


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"kind": "self-check", "questions": 0}, "questions"),
        ({"kind": "dance"}, "kind"),
        ({"kind": "export", "what": {"path": "/etc/passwd"}}, "never a path"),
        ({"kind": "self-check", "folder": "/etc"}, "folder"),
        ({}, "kind"),
    ],
)
def test_what_cannot_be_run_is_refused(program, monkeypatch, spec, said):
    from webapp.jobs import kinds

    offered = {name: kinds.Kind(kind.label, kind.queue, offered=True) for name, kind in kinds.KINDS.items()}
    monkeypatch.setattr(services, "KINDS", offered)
    answer = program.post(body={"spec": spec})
    assert answer.status_code == 422 and said in answer.content.decode()
    assert "passwd" not in answer.content.decode()
    assert not Job.objects.exists()


def test_what_another_team_has_is_nobodys(world, program):
    theirs = services.job_submit(actor=SYSTEM, team=world.other_team, spec=SPEC)
    body = {"spec": {"kind": "tree-scoring", "trees": {"kind": "trees", "id": str(theirs.pk)}, "model": {"path": "x"}}}
    assert program.post(body=body).status_code == 422
    assert program.get(str(theirs.pk)).status_code == 404


def test_events_are_read_after_the_last_one_and_waited_for(world, program, worker, monkeypatch):
    job = submitted(world)
    first = program.get(f"{job.pk}/events").json()
    assert ([event["seq"] for event in first["items"]], first["seq"], first["next"]) == ([1], 1, None)
    claims.job_claim(queue="cpu", worker=worker)
    page = program.get(f"{job.pk}/events", after=0, limit=1).json()
    rest = program.get(page["next"]).json()
    assert [event["seq"] for event in page["items"] + rest["items"]] == [1, 2]
    assert rest["state"] == "running"

    def then(_seconds):
        reports.warning_write(job_id=job.pk, attempt=1, text="Something happened.")

    monkeypatch.setattr("webapp.jobs.api.time.sleep", then)  # the clock: what happens while the answer waits
    late = program.get(f"{job.pk}/events", after=2, wait=20).json()
    assert [event["text"] for event in late["items"]] == ["Something happened."]
    assert program.get(f"{job.pk}/events", wait=26).status_code == 422


def test_a_log_is_read_by_range(world, program, worker, settings, tmp_path):
    settings.FILES = tmp_path
    job = submitted(world)
    nothing = program.get(f"{job.pk}/log").json()
    assert (nothing["text"], nothing["size"]) == ("", 0)
    for attempt, text in ((1, "old\n"), (2, "first line\nsecond µ line\n")):
        folder = reports.job_folder(job.pk) / str(attempt)
        folder.mkdir(parents=True)
        (folder / "log").write_text(text)
    assert program.get(f"{job.pk}/log", attempt=1).json()["text"] == "old\n"
    whole, read = program.get(f"{job.pk}/log", offset=0).json(), ""
    at = 0
    while at < whole["size"]:
        part = program.get(f"{job.pk}/log", offset=at, limit=5).json()
        read, at = read + part["text"], part["next"]
    assert read == whole["text"] == "first line\nsecond µ line\n"
    assert program.get(f"{job.pk}/log", limit=17).json()["text"] == "second µ line\n"
    assert program.get(f"{job.pk}/log", attempt=99).json()["size"] == 0


def test_metrics_and_stages(world, program, worker):
    job = submitted(world)
    claims.job_claim(queue="cpu", worker=worker)
    reports.stage_begin(job_id=job.pk, attempt=1, name="Search")
    reports.metrics_append(job_id=job.pk, attempt=1, name="loss", steps=range(1500), values=[0.5] * 1500)
    reports.metrics_append(job_id=job.pk, attempt=1, name="rate", steps=[1], values=[0.1])
    assert [stage["name"] for stage in program.get(f"{job.pk}/stages").json()] == ["Search"]
    page = program.get(f"{job.pk}/metrics", limit=1).json()
    assert (page["items"][0]["name"], len(page["items"][0]["steps"])) == ("loss", 1000)
    assert program.get(page["next"]).json()["items"][0]["steps"][0] == 1000
    assert [each["name"] for each in program.get(f"{job.pk}/metrics", name="rate").json()["items"]] == ["rate"]


def test_steering(world, program, worker):
    job = submitted(world)
    assert program.post(f"{job.pk}/pause").json()["state"] == "paused"
    assert program.post(f"{job.pk}/resume").json()["state"] == "queued"
    assert program.post(f"{job.pk}/run-again").status_code == 422
    cancelled = program.post(f"{job.pk}/cancel").json()
    assert (cancelled["state"], cancelled["ended_for_good"]) == ("cancelled", True)
    refused = program.post(f"{job.pk}/pause")
    assert (refused.status_code, refused.json()["code"]) == (422, "job")
    assert program.post(f"{job.pk}/retry").json()["state"] == "queued"
    program.post(f"{job.pk}/cancel")
    again = program.post(f"{job.pk}/run-again")
    assert (again.status_code, again.json()["origin"]) == (202, str(job.pk))


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_does_not_answer_is_said_and_the_job_is_kept(monkeypatch):
    cache.clear()
    world = World().built()
    Membership.objects.create(user=world.operator, team=world.team, role=Role.MANAGER)
    program = Program(world.operator, world.team, Role.MANAGER)
    # No Redis in this test: the doorbell's client finds nobody.
    answer = program.post(body={"spec": SPEC}, **{"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (503, QueueUnreachable.code)
    again = program.post(body={"spec": SPEC}, **{"Idempotency-Key": "k"})
    assert (again.status_code, Job.objects.count()) == (202, 1)


def test_operators_see_workers_and_queues_and_set_limits(world, worker):
    job = submitted(world, title="a title is content")
    claims.job_claim(queue="cpu", worker=worker)
    submitted(world)
    operator = signed_in(world.operator)
    (seen,) = operator.get("/api/v1/operations/workers").json()
    assert (seen["job"], seen["job_kind"], seen["job_team"]) == (str(job.pk), "self-check", "Ward 7")
    (queue,) = operator.get("/api/v1/operations/queues").json()
    assert (queue["queue"], queue["queued"], queue["running"]) == ("cpu", 1, 1)
    teams = {team["slug"]: team for team in operator.get("/api/v1/operations/teams").json()}
    assert (teams["ward-7"]["running"], teams["ward-7"]["queued"], teams["ward-7"]["own"]) == (1, 1, False)
    limited = operator.put("/api/v1/operations/teams/ward-7/limit", {"limit": 1}, content_type="application/json")
    assert (limited.json()["limit"], limited.json()["own"]) == (1, True)
    url = f"/api/v1/operations/workers/{worker.pk}/draining"
    assert operator.put(url, {"draining": True}, content_type="application/json").json()["draining"] is True
    assert claims.worker_heartbeat(worker=worker) is True
    told = operator.get("/api/v1/operations/workers").content + operator.get("/api/v1/operations/queues").content
    assert b"a title" not in told


def test_a_token_never_speaks_for_an_operator(world, program):
    answer = Client().get("/api/v1/operations/workers", headers=program.headers)
    assert answer.status_code == 403


def test_the_description_holds_every_kind_of_job_with_its_words():
    schemas = api.get_openapi_schema()["components"]["schemas"]
    kinds = schemas["JobIn"]["properties"]["spec"]["discriminator"]["mapping"]
    assert {"search", "sft", "import", "evolution", "self-check"} <= set(kinds)
    assert schemas["SearchSpec"]["description"].startswith("Trees over the questions")
    assert schemas["SearchSpec"]["properties"]["concurrency"]["description"]


@pytest.mark.parametrize(
    ("spec", "scope"),
    [
        ({"kind": "model-import", "upload": UPLOAD, "name": "Mine"}, "model.change"),
        ({"kind": "import", "upload": UPLOAD, "name": "Mine"}, "dataset.change"),
    ],
)
def test_a_token_that_may_only_submit_brings_nothing_in(world, spec, scope):
    manager = world.by_role[Role.MANAGER]
    narrow = token(manager, world.team, Role.MANAGER, {Action.JOB_SUBMIT, Action.JOB_VIEW})
    url = f"/api/v1/teams/{world.team.slug}/jobs"
    answer = Client().post(
        url, {"spec": spec}, content_type="application/json", headers={"Authorization": f"Bearer {narrow}"}
    )
    assert answer.status_code == 403, answer.content
    assert scope in answer.json()["detail"]
    assert not Job.objects.exists()
