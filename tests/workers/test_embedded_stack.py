"""`meds3 up`: starts, says where, keeps its data, leaves nothing; recovers from every way of being killed."""

import io
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest
import requests
from supervisor.options import ServerOptions

from tests.workers.embedded import ROOT, Foreground, environment, left_running, meds3, processes_of
from tests.workers.stack import wait_for
from workers.stack.services import Service, services
from workers.stack.supervision import configuration

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SOCKETS = {"redis.sock", "redis.pid", "redis.conf", "supervisor.sock", "supervisord.pid", "supervisord.conf"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


def test_first_start_owner_link_and_an_end_that_leaves_nothing(home):
    with Foreground(home, "up") as up:
        url = up.url()
        link = up.until("/sign-in/link/#").strip()
        page, secret = link.split("#")
        assert len(secret) >= 43  # 256 bits in base 64

        second = meds3(home, "up")
        assert second.returncode != 0
        assert url in second.stderr

        session = requests.Session()
        form = session.get(page)
        assert form.status_code == 200
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)[1]
        spend = {"secret": secret, "csrfmiddlewaretoken": token}
        assert session.post(page, data=spend, headers={"Referer": page}).url == f"{url}/"
        again = requests.Session()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', again.get(page).text)[1]
        spent = again.post(page, data=spend | {"csrfmiddlewaretoken": token}, headers={"Referer": page})
        assert spent.status_code == 400

        def checks():
            found = session.get(f"{url}/readyz").json()["checks"]
            return all(check["ok"] for name, check in found.items() if name != "disk") and found

        found = wait_for(checks, "workers of both queues")
        assert {"workers of queue gpu", "workers of queue cpu", "redis", "database", "migrations"} <= set(found)
        assert requests.get(f"{url}/readyz").json() == {"status": "ok"}

        assert up.interrupt() == 0
    assert up.said[-1] == "stopped; nothing is left running"
    assert left_running(home) == []
    assert not SOCKETS & {path.name for path in (home / "run").iterdir()}
    for path in (home / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((home / "studio.sqlite3").stat().st_mode) == 0o600
    for path in (home / "logs").iterdir():
        assert secret not in path.read_text(errors="replace")


def ready(url):
    try:
        return requests.get(f"{url}/readyz", timeout=5).ok
    except requests.RequestException:
        return False


def test_second_start_does_nothing_twice_finds_a_port_and_brings_back_what_dies(home):
    port = int((home / "run" / "port").read_text())
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        refused = meds3(home, "up", "--port", str(port))
        assert refused.returncode != 0 and "taken" in refused.stderr
        with Foreground(home, "up") as up:
            url = up.url()
            assert not url.endswith(f":{port}")
            up.until("/sign-in/link/#")
            (web,) = (one for one in processes_of(home) if "uvicorn" in one.cmdline())
            web.kill()
            wait_for(lambda: ready(url), "the pages to come back")
            up.process.send_signal(signal.SIGTERM)
            assert up.ended() == 0
    assert any(f"port {port} is taken" in line for line in up.said)
    assert not any("migrations" in line or "static files" in line for line in up.said)
    assert left_running(home) == []


def test_whatever_is_killed_the_next_start_clears_it_away(home, tmp_path):
    with Foreground(home, "up") as first:
        first.url()
        first.process.kill()
        first.process.wait()
        with Foreground(home, "up") as second:
            second.url()
            (supervisor,) = (one for one in processes_of(home) if "supervisor.supervisord" in one.cmdline())
            supervisor.kill()
            assert second.ended() == 1
    assert left_running(home) == []
    with Foreground(home, "up") as third:
        third.url()
        for one in processes_of(home):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        third.process.wait()
    assert (home / "run" / "redis.sock").exists()
    # Two that start together choose the same port; one of them moves.
    with Foreground(tmp_path / "other", "up") as other, Foreground(home, "up") as fourth:
        assert fourth.url() != other.url()
        assert (fourth.interrupt(), other.interrupt()) == (0, 0)
    assert left_running(home) == left_running(tmp_path / "other") == []


def test_the_network_needs_a_name(home):
    refused = meds3(home, "up", "--host", "0.0.0.0")
    assert refused.returncode != 0
    assert "MEDS3_HOSTS" in refused.stderr


def test_production_settings_print_no_link(tmp_path):
    variables = {"DJANGO_SETTINGS_MODULE": "webapp.config.settings.production", "MEDS3_HOSTS": "studio.example"}
    code = (
        "import django; django.setup(); from django.core.management import call_command; "
        "call_command('migrate', verbosity=0); from workers.stack.owner import owner_prepare, sign_in_link; "
        "owner = owner_prepare(username='owner', team_name='My team'); "
        "print(owner.user.is_operator, owner.team, sign_in_link(user=owner.user, url='http://127.0.0.1'))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(tmp_path, **variables), capture_output=True, text=True
    )
    assert ran.stdout.strip() == "True My team None", ran.stderr[-2000:]


def test_configuration_leaves_nothing_to_expand(tmp_path):
    odd = Service("odd", 10, ("/bin/echo", "50%", "a b", "%(here)s"), {"NAME": "cpu@100%"})
    file = tmp_path / "supervisord.conf"
    file.write_text(configuration([odd], run=tmp_path, logs=tmp_path))
    options = ServerOptions()
    options.configfile = str(file)
    options.stdout = io.StringIO()
    options.realize(["-n"])
    (process,) = options.process_group_configs[0].process_configs
    assert process.command.endswith("/bin/echo 50% 'a b' '%(here)s'")
    assert process.environment == {"NAME": "cpu@100%"}


def test_one_worker_for_each_gpu_and_one_on_the_cpu_without(tmp_path, monkeypatch):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU-aaa, NVIDIA H100, 81559, 580.1'\necho 'GPU-bbb, NVIDIA H100, 81559, 580.1'\n")
    smi.chmod(0o755)
    asked = {"host": "127.0.0.1", "port": 1, "redis_configuration": tmp_path / "redis.conf", "grace_seconds": 60.0}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = {one.name: one for one in services(**asked)}
    assert [found[name].environment["CUDA_VISIBLE_DEVICES"] for name in ("gpu-0", "gpu-1")] == ["GPU-aaa", "GPU-bbb"]
    assert all(one.stop_seconds > 60 for one in found.values() if one.group == "workers")
    assert max(found.values(), key=lambda one: one.order).group == "workers"
    assert min(found.values(), key=lambda one: one.order).name == "redis"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    alone = {one.name: one for one in services(**asked)}
    assert "gpu" in alone and "CUDA_VISIBLE_DEVICES" not in alone["gpu"].environment
