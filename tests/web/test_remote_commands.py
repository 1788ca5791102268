"""`meds3 login` and `meds3 jobs …` against a real server, as somebody at a terminal meets them."""

import json
import socket
import stat
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from django.core.cache import cache

from meds3core.cli.main import main
from meds3core.cli.remote import login as login_module
from meds3core.cli.remote.account import account_file
from meds3core.cli.remote.specs import spec_of
from meds3core.errors import ConfigError
from tests.redis_server import redis_server
from tests.web.people import World, token
from webapp.accounts.models import ApiToken, Membership
from webapp.accounts.rules import Role
from webapp.jobs import claims, reports
from webapp.jobs.models import Job, State

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def studio(live_server, tmp_path, monkeypatch, settings):
    """A server with a queue, a token of an operator who manages the team, an empty configuration folder."""
    cache.clear()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    world = World().built()
    Membership.objects.create(user=world.operator, team=world.team, role=Role.MANAGER)
    world.token = token(world.operator, world.team, Role.MANAGER)
    world.url = live_server.url
    return world


@pytest.fixture
def meds3(monkeypatch, capsys):
    """Runs the command; gives exit code, standard output, and what was said beside it."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["meds3", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


@pytest.fixture
def signed_in(studio, meds3, tmp_path):
    file = tmp_path / "token"
    file.write_text(studio.token + "\n")
    code, _, said = meds3("login", studio.url, "--token-file", str(file))
    assert code == 0 and "Signed in as operator to the team Ward 7" in said
    return studio


@pytest.fixture
def queue(settings):
    """A real Redis where the settings look for it."""
    with redis_server(Path(settings.HOME) / "run") as redis:
        yield redis


def test_sign_in_is_kept_for_oneself_and_forgotten(signed_in, meds3):
    kept = account_file()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["team"] == "ward-7"
    kept.chmod(0o644)
    code, _, said = meds3("jobs", "list")
    assert code == 2 and "chmod 600" in said
    assert meds3("logout")[0] == 0 and not kept.exists()
    code, _, said = meds3("jobs", "list")
    assert code == 2 and "meds3 login" in said


def test_a_job_is_submitted_listed_shown_and_steered(signed_in, meds3, queue, tmp_path):
    code, out, _ = meds3("jobs", "submit", "self-check", "questions=3", "--title", "Is [it] well?")
    job = Job.objects.get()
    assert (code, out.strip(), job.spec["questions"]) == (0, str(job.pk), 3)
    file = tmp_path / "spec.json"
    file.write_text('{"kind": "self-check", "questions": 2}')
    assert meds3("jobs", "submit", str(file), "--priority", "2")[0] == 0
    code, out, _ = meds3("jobs", "list")
    assert code == 0 and "Is [it] well?" in out and "queued" in out
    assert len(json.loads(meds3("jobs", "list", "--json", "--limit", "1")[1])) == 1
    code, out, _ = meds3("jobs", "show", str(job.pk))
    assert "Is [it] well? (self-check): queued" in out and '"questions": 3' in out
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued")):
        code, _, said = meds3("jobs", verb, str(job.pk))
        assert (code, said.strip()) == (0, f"Is [it] well?: {state}")
    code, _, said = meds3("jobs", "resume", str(job.pk))
    assert code == 2 and "is queued and cannot be resumed" in said
    code, _, said = meds3("jobs", "submit", "self-check", "questions=0")
    assert code == 2 and "questions" in said and "greater than or equal to 1" in said


def test_watching_shows_events_until_the_end(signed_in, meds3, queue):
    meds3("jobs", "submit", "self-check")
    job = Job.objects.get()
    worker = claims.worker_register(name="cpu-1", queue="cpu")
    mine = claims.job_claim(queue="cpu", worker=worker)

    def work():
        from django.db import connection

        try:
            reports.stage_begin(job_id=job.pk, attempt=1, name="Search", text="Searching 4 questions.")
            reports.progress_write(job_id=job.pk, attempt=1, done=2, total=4, unit="trees", rate=0.5)
            reports.warning_write(job_id=job.pk, attempt=1, text="Waiting for cpu:0.")
            claims.job_finish(claim=mine)
        finally:
            connection.close()

    worker_thread = threading.Timer(0.3, work)
    worker_thread.start()
    code, _, said = meds3("jobs", "watch", str(job.pk))
    worker_thread.join()
    assert code == 0
    order = ["Submitted by operator.", "Started on", "Searching 4 questions.", "Waiting for cpu:0.", "Finished."]
    places = [said.index(text) for text in order]
    assert places == sorted(places)


@pytest.mark.parametrize(("state", "code"), [(State.FAILED, 1), (State.CANCELLED, 3), (State.PAUSED, 4)])
def test_the_exit_code_of_watching_says_how_it_ended(signed_in, meds3, queue, state, code):
    meds3("jobs", "submit", "self-check")
    Job.objects.update(state=state, error_message="It broke.")
    found, _, said = meds3("jobs", "watch", str(Job.objects.get().pk))
    assert found == code
    assert ("It broke." in said) == (state == State.FAILED)


def test_a_token_that_is_worthless_now(signed_in, meds3):
    ApiToken.objects.all().delete()
    code, _, said = meds3("jobs", "list")
    assert code == 2 and "does not know this token" in said and "meds3 login" in said


def test_another_teams_jobs_are_nobodys(signed_in, meds3):
    code, _, said = meds3("jobs", "list", "--team", "ward-8")
    assert code == 2 and "Not found" in said


@pytest.mark.parametrize(
    ("text", "said"), [("", "no token"), ("hunter2", "no token"), ("meds3_a b", "no token"), ("meds3_1_2", "not know")]
)
def test_what_is_no_token_is_not_kept(studio, meds3, tmp_path, text, said):
    file = tmp_path / "token"
    file.write_text(text)
    code, _, told = meds3("login", studio.url, "--token-file", str(file))
    assert code == 2 and said in told
    assert not account_file().exists()


def test_nobody_is_asked_where_nobody_sits(studio, meds3, monkeypatch):
    monkeypatch.setattr(login_module.sys.stdin, "isatty", lambda: False, raising=False)
    code, _, told = meds3("login", studio.url)
    assert code == 2 and "--token-file" in told


class Odd(BaseHTTPRequestHandler):
    """A web server that is none of ours."""

    def do_GET(self):
        if self.server.answer == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(self.server.answer.encode())

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("answer", "said"),
    [("redirect", "sends on to"), ("<html>", "does not answer like a MedS3 Studio"), ("{}", "does not answer like")],
)
def test_a_server_that_is_none_of_ours(studio, meds3, tmp_path, answer, said):
    file = tmp_path / "token"
    file.write_text("meds3_x_y")
    with HTTPServer(("127.0.0.1", 0), Odd) as server:
        server.answer = answer
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            code, _, told = meds3("login", f"http://127.0.0.1:{server.server_port}", "--token-file", str(file))
        finally:
            server.shutdown()
            thread.join()
    assert code == 2 and said in told and "meds3_x_y" not in told


@pytest.mark.parametrize("url", ["ftp://host", "studio.ward.example", "http://"])
def test_an_address_that_is_none(studio, meds3, tmp_path, url):
    file = tmp_path / "token"
    file.write_text("meds3_x_y")
    code, _, told = meds3("login", url, "--token-file", str(file))
    assert code == 2 and ("no address" in told or "url:" in told)


def test_a_server_that_is_not_there(studio, meds3, tmp_path):
    file = tmp_path / "token"
    file.write_text("meds3_x_y")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, _, told = meds3("login", f"http://127.0.0.1:{port}", "--token-file", str(file))
    assert code == 1 and "no connection" in told


def test_words_become_a_specification():
    thing = "0192f1a0-0000-7000-8000-000000000001"
    words = ["search", f"questions=dataset:{thing}", "search.max_nodes=7", "engine.kind=transformers", "limit=null"]
    assert spec_of(words) == {
        "kind": "search",
        "questions": {"kind": "dataset", "id": thing},
        "search": {"max_nodes": 7},
        "engine": {"kind": "transformers"},
        "limit": None,
    }
    for wrong in (["search", "questions"], ["search", "policy=model:x"], ["search", "a=1", "a.b=2"], ["gone.json"]):
        with pytest.raises(ConfigError):
            spec_of(wrong)
