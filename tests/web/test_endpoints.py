"""Remote engines: who gives the key, where it goes, and that a job's engine asks nobody but the listed host."""

import asyncio
import json
import os

import pytest

from meds3core.engines.base import Message, Prompt, Request, Sampling
from meds3core.engines.loading import load_engine
from meds3core.engines.openai.connections import PlainConnections, connect_by
from tests.core.engines.test_openai import Server
from tests.web.people import signed_in, token
from webapp.accounts.actors import SYSTEM
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.common.vault import unseal
from webapp.endpoints import services
from webapp.endpoints.keys import EndpointError, endpoint_keys, key_variable, remote_engine
from webapp.jobs.models import Job, JobInput, State
from webapp.outgoing.engines import CheckedConnections
from webapp.outgoing.rules import OutgoingRefused
from webapp.registry.models import Endpoint
from workers import supervise
from workers.inputs import served

KEY = "sk-a-key-that-nobody-sees"


@pytest.fixture
def server():
    import threading

    with Server() as found:
        found.models = [{"id": "other"}, {"id": "some-model", "max_model_len": 300}]
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def endpoint(world, server, settings):
    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{server.server_port}"]
    return services.endpoint_create(
        actor=SYSTEM, team=world.team, name="GPU box", url=server.url, model="some-model", key=KEY
    )


@pytest.fixture
def checked():
    connect_by(CheckedConnections())
    yield
    connect_by(PlainConnections())


def job_that_names(endpoint):
    spec = {"kind": "search", "engine": {"kind": "endpoint", "id": str(endpoint.pk)}}
    job = Job.objects.create(team=endpoint.team, kind="search", spec=spec, spec_hash="x", queue="gpu")
    JobInput.objects.create(job=job, kind="endpoint", thing=endpoint.pk)
    return job


def ask(config):
    engine = load_engine("some-model", config)

    async def once():
        try:
            prompt = Prompt((Message("user", "How are you?"),))
            return await engine.generate(Request(prompt, Sampling(max_tokens=5, temperature=0.0, seed=1)))
        finally:
            await engine.close()

    return asyncio.run(once())


def test_a_jobs_engine_has_the_key_and_asks_the_listed_host(endpoint, server, checked, monkeypatch):
    for name, value in endpoint_keys(job_id=job_that_names(endpoint).pk).items():
        monkeypatch.setenv(name, value)
    config = remote_engine(endpoint)
    assert KEY not in config.model_dump_json()
    assert ask(config).text
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert server.bodies[0][1]["model"] == "some-model"  # of the two that are served


def test_another_jobs_process_has_no_key(endpoint, world):
    other = Job.objects.create(team=world.team, kind="search", spec={}, spec_hash="x", queue="gpu")
    assert endpoint_keys(job_id=other.pk) == {}
    with pytest.raises(EndpointError, match="Enter it anew"):
        remote_engine(endpoint)


def test_the_supervisor_hands_the_key_to_the_process_and_to_no_command_line(endpoint, monkeypatch, tmp_path, settings):
    settings.FILES = tmp_path
    started = {}

    def note(command, **how):
        started.update(how, command=command)

    monkeypatch.setattr(supervise.subprocess, "Popen", note)  # the process itself is not wanted here
    from webapp.jobs.claims import Claim, worker_register

    job = job_that_names(endpoint)
    worker = worker_register(name="gpu-1", queue="gpu")
    supervise.Supervisor(Claim(job.pk, 1), worker, tmp_path / "drain")._start()
    assert started["env"][key_variable(endpoint.pk)] == KEY
    assert KEY not in " ".join(started["command"])
    assert key_variable(endpoint.pk) not in os.environ


def test_an_engine_goes_nowhere_else(endpoint, server, checked, settings, monkeypatch):
    monkeypatch.setenv(key_variable(endpoint.pk), KEY)
    config = remote_engine(endpoint)
    settings.OUTBOUND_ALLOW = []
    for act in (lambda: remote_engine(endpoint), lambda: ask(config)):
        with pytest.raises(OutgoingRefused):
            act()
    assert server.keys == [] and server.bodies == []


def test_what_a_job_asks_is_found_through_its_reference(endpoint, world, monkeypatch, tmp_path):
    from meds3core.config.references import Registered
    from meds3core.sandbox.bundled import policy_folder
    from workers import inputs

    monkeypatch.setenv(key_variable(endpoint.pk), KEY)
    monkeypatch.setattr(
        inputs, "policy", lambda reference, folder: policy_folder()
    )  # stored models have tests of theirs
    found = served(Registered(kind="model", id=endpoint.pk), Registered(kind="endpoint", id=endpoint.pk), tmp_path)
    assert (found.engine.kind, found.engine.base_url, found.engine.model) == ("openai", endpoint.url, "some-model")


def test_a_key_is_written_and_never_shown(endpoint, world):
    assert KEY not in endpoint.key_encrypted and unseal(endpoint.key_encrypted) == KEY
    owner = signed_in(world.by_role[Role.OWNER])
    told = [owner.get(f"/t/ward-7/remote-engines/{path}").content.decode() for path in ("", f"{endpoint.pk}/")]
    bearer = {"Authorization": f"Bearer {token(world.by_role[Role.OWNER], world.team, Role.OWNER)}"}
    told.append(owner.get("/api/v1/teams/ward-7/endpoints", headers=bearer).content.decode())
    told.append(json.dumps(list(AuditEntry.objects.values_list("subject", "details"))))
    assert not any(KEY in text or endpoint.key_encrypted in text for text in told)
    assert '"has_key": true' in told[2] or '"has_key":true' in told[2]


def test_a_key_stays_when_nothing_else_is_said_and_never_goes_to_another_host(endpoint, settings):
    same = {name: getattr(endpoint, name) for name in ("name", "url", "model", "api", "context_length")}
    services.endpoint_change(actor=SYSTEM, endpoint=endpoint, **same | {"model": "other"})
    assert unseal(Endpoint.objects.get().key_encrypted) == KEY
    settings.OUTBOUND_ALLOW = [*settings.OUTBOUND_ALLOW, "elsewhere.example"]
    services.endpoint_change(actor=SYSTEM, endpoint=endpoint, **same | {"url": "https://elsewhere.example/v1"})
    assert Endpoint.objects.get().key_encrypted == ""


def test_a_key_is_not_sent_unsealed_where_it_was_sent_sealed(endpoint, settings):
    settings.OUTBOUND_ALLOW = [*settings.OUTBOUND_ALLOW, "models.ward.example:8000"]
    same = {name: getattr(endpoint, name) for name in ("name", "model", "api", "context_length")}
    sealed = same | {"url": "https://models.ward.example:8000/v1"}
    services.endpoint_change(actor=SYSTEM, endpoint=endpoint, **sealed, key=KEY)
    services.endpoint_change(actor=SYSTEM, endpoint=endpoint, **sealed)
    assert unseal(Endpoint.objects.get().key_encrypted) == KEY
    services.endpoint_change(actor=SYSTEM, endpoint=endpoint, **same, url="http://models.ward.example:8000/v1")
    assert Endpoint.objects.get().key_encrypted == ""


@pytest.mark.parametrize("key", [None, "another"])
def test_a_key_that_a_job_was_given_is_not_sent_to_a_server_entered_since(endpoint, settings, monkeypatch, key):
    variables = endpoint_keys(job_id=job_that_names(endpoint).pk)
    assert variables == {key_variable(endpoint.pk): KEY}
    settings.OUTBOUND_ALLOW = [*settings.OUTBOUND_ALLOW, "elsewhere.example"]
    same = {name: getattr(endpoint, name) for name in ("name", "model", "api", "context_length")}
    services.endpoint_change(actor=SYSTEM, endpoint=endpoint, **same, url="https://elsewhere.example/v1", key=key)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(EndpointError, match="was changed"):
        remote_engine(Endpoint.objects.get())


def test_pages_register_try_and_remove(world, endpoint, server):
    owner, base = signed_in(world.by_role[Role.OWNER]), "/t/ward-7/remote-engines/"
    form = {"name": "Second", "url": server.url, "model": "gone", "api": "chat", "context_length": 4096}
    assert owner.post(f"{base}new/", form).status_code == 302
    second = Endpoint.objects.get(name="Second")
    assert "answers and serves some-model" in owner.post(f"{base}{endpoint.pk}/ask/", follow=True).content.decode()
    assert (
        "serves other, some-model and not gone" in owner.post(f"{base}{second.pk}/ask/", follow=True).content.decode()
    )
    server.models = 401
    assert "refused the key" in owner.post(f"{base}{endpoint.pk}/ask/", follow=True).content.decode()
    assert "MEDS3_OUTBOUND_ALLOW" in owner.post(f"{base}new/", form | {"url": "http://10.1.1.1/v1"}).content.decode()
    job = job_that_names(endpoint)
    refused = owner.post(f"{base}{endpoint.pk}/delete/", follow=True).content.decode()
    assert "uses it and has not ended" in refused and Endpoint.objects.count() == 2
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    owner.post(f"{base}{endpoint.pk}/delete/")
    assert list(Endpoint.objects.values_list("name", flat=True)) == ["Second"]
    viewer = signed_in(world.by_role[Role.VIEWER]).get(base).content.decode()
    assert "Second" in viewer and "Register" not in viewer.replace("Registered", "")
