"""docker-compose.yml without a Docker engine: each service's very command against a real PostgreSQL and Redis.

Left out: the images of PostgreSQL and Redis, the CUDA server (its arguments are read by vLLM's own parser), and the
proxy (its configuration is read by nginx itself).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.ports import free_port
from tests.redis_server import redis_binary
from tests.with_postgres import NoPostgres, cluster
from tests.workers.embedded import ROOT, environment
from tests.workers.stack import PATIENCE, wait_for

HOST = "studio.hospital.example"
VARIABLES = {"MEDS3_HOSTS": HOST, "POSTGRES_PASSWORD": "p", "REDIS_PASSWORD": "r"}
LONG_LIVED = ("web", "sweep", "cpu", "chat", "gpu-0")
SUBMIT = """
import django; django.setup()
from meds3core.config.jobs import SelfCheckSpec
from webapp.accounts.services import SYSTEM, system_team
from webapp.jobs.services import job_submit
print(job_submit(actor=SYSTEM, team=system_team(), spec=SelfCheckSpec(questions=1, max_nodes=2, rollouts=1)).pk)
"""
LOOK = """
import sys, django; django.setup()
from webapp.jobs.models import Job, Worker
print(Job.objects.get(pk=sys.argv[1]).state, *sorted(Worker.objects.values_list("name", flat=True)))
"""


def compose(**variables: str) -> dict:
    """The file as Docker reads it: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, `$$`."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, sign, rest = match[1], match[2], match[3]
        if found := variables.get(name):
            return found
        if sign == ":-":
            return rest
        raise AssertionError(f"${{{name}}} is not set: {rest}")

    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\$|\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, text))


def ours(services: dict) -> dict:
    return {name: one for name, one in services.items() if one["image"].startswith("meds3-studio")}


def test_services_are_those_that_a_server_needs():
    services = compose(**VARIABLES)["services"]
    assert set(services) == {
        "database", "redis", "prepare", "web", "sweep", "cpu", "chat", "chat-gpu",
        "no-gpu", "gpu-0", "gpu-1", "gpu-2", "gpu-3", "vllm",
        "proxy",
    }  # fmt: skip
    names = [one["environment"].get("MEDS3_WORKER_NAME") for one in ours(services).values()]
    named = [name for name in names if name]
    assert len(set(named)) == len(named) - 1 == 8  # one chat worker or the other
    for name, one in ours(services).items():
        assert one["init"] and one["read_only"] and one["hostname"] == "studio", name
        assert "healthcheck" in one or name == "prepare"
        assert None not in one["environment"].values()  # Docker would take the value of the host
    for name in ("cpu", "no-gpu", "gpu-0"):
        assert services[name]["stop_grace_period"] == "2m"
    assert all(services[name]["networks"] == ["inside"] for name in ("cpu", "database", "redis"))
    assert compose(**VARIABLES)["networks"]["inside"] == {"internal": True}
    assert services["gpu-0"]["command"] == services["no-gpu"]["command"] == services["gpu-3"]["command"]
    assert services["redis"]["command"][1:5] == ["--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    redis = [ours(services)["web"]["environment"][name] for name in ("MEDS3_REDIS", "MEDS3_REDIS_LIVE", "MEDS3_CACHE")]
    assert len({url.rsplit("/", 1)[1] for url in redis}) == 3


def test_without_names_and_passwords_nothing_starts():
    for missing in VARIABLES:
        with pytest.raises(AssertionError, match=missing):
            compose(**{name: value for name, value in VARIABLES.items() if name != missing})


def test_example_of_the_environment_names_what_the_file_asks_for():
    text = (ROOT / "docker" / "env.example").read_text(encoding="utf-8")
    named = {line.partition("=")[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert named == set(VARIABLES)


def test_image_runs_as_somebody_and_installs_with_the_constraints():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER studio$", text, re.M)
    assert text.count("-c requirements/constraints.txt") == 2
    for path in re.findall(r"^COPY (.+) \S+$", text, re.M):
        assert all((ROOT / one).exists() for one in path.split()), path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_backups_are_made_by_a_client_that_the_database_takes():
    image = re.search(r"^FROM python:[\d.]+-slim-(\w+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    client = {"bookworm": 15, "trixie": 17}[image[1]]  # what Debian calls postgresql-client
    server = re.search(r"image: postgres:(\d+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert client >= int(server[1])


def test_every_service_runs_by_its_own_command(tmp_path):
    with ExitStack() as stack:
        try:
            database = stack.enter_context(cluster()).url
        except NoPostgres as missing:
            pytest.skip(str(missing))
        port, redis_port = str(free_port()), str(free_port())
        services = compose(**VARIABLES, MEDS3_PORT=port)["services"]
        home = tmp_path / "data"
        redis = [redis_binary(), *services["redis"]["command"][1:], "--port", redis_port, "--bind", "127.0.0.1"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        stack.callback(_end, subprocess.Popen(redis, cwd=tmp_path, start_new_session=True, **quiet))

        def surroundings(name: str) -> dict[str, str]:
            given = {key: str(value) for key, value in services[name]["environment"].items()}
            own = {"MEDS3_HOME": str(home), "MEDS3_DATABASE": database}
            for place in ("MEDS3_REDIS", "MEDS3_REDIS_LIVE", "MEDS3_CACHE"):
                own[place] = given[place].replace("@redis:6379/", f"@127.0.0.1:{redis_port}/")
                assert own[place] != given[place]
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            return environment(home, **given) | own | {"PATH": path}

        def call(name: str, command: list[str]) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command, cwd=ROOT, env=surroundings(name), capture_output=True, text=True, timeout=PATIENCE
            )

        prepared = call("prepare", services["prepare"]["command"])
        assert prepared.returncode == 0, prepared.stderr[-3000:]
        assert (home / "static" / "staticfiles.json").exists()

        running: dict[str, subprocess.Popen[bytes]] = {}
        for name in LONG_LIVED:
            told = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            running[name] = subprocess.Popen(
                services[name]["command"], cwd=ROOT, env=surroundings(name), stdin=subprocess.DEVNULL, stdout=told,
                stderr=told, start_new_session=True,
            )  # fmt: skip
            stack.callback(_end, running[name])

        def said(name: str) -> str:
            return (tmp_path / f"{name}.log").read_text(errors="replace")[-3000:]

        def healthy(name: str) -> bool:
            assert running[name].poll() is None, said(name)
            kind, *check = services[name]["healthcheck"]["test"]
            assert kind == "CMD"
            return call(name, check).returncode == 0

        for name in LONG_LIVED:
            wait_for(lambda name=name: healthy(name), f"{name} to be healthy")
        submitted = call("cpu", [sys.executable, "-c", SUBMIT])
        assert submitted.returncode == 0, submitted.stderr[-3000:]
        job = submitted.stdout.split()[-1]

        def state() -> list[str]:
            return call("cpu", [sys.executable, "-c", LOOK, job]).stdout.splitlines()[-1].split()

        ended, *workers = wait_for(lambda: (now := state())[0] not in ("queued", "running") and now, "the self-check")
        assert ended == "succeeded", said("cpu")
        assert workers == ["chat@studio", "cpu@studio", "gpu-0@studio"]
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        for name, process in running.items():
            assert process.wait(timeout=PATIENCE) in (0, -signal.SIGTERM), said(name)
        lines = [line for line in (tmp_path / "web.log").read_text().splitlines() if line.startswith("{")]
        assert {"GET /readyz"} <= {json.loads(line).get("request") for line in lines}


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_nginx_takes_the_proxys_configuration(tmp_path):
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    _certificate(tmp_path)
    text = (ROOT / "docker" / "nginx.conf").read_text(encoding="utf-8").replace("/etc/nginx/tls", str(tmp_path))
    assert "$request " not in text and "$args" not in text  # no query string in a log
    version = re.search(r"nginx/(\d+)\.(\d+)", subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr)
    if (int(version[1]), int(version[2])) < (1, 25):  # Debian's of today says it in the older way
        text = text.replace("listen 8443 ssl;", "listen 8443 ssl http2;").replace("http2 on;", "")
    file = tmp_path / "nginx.conf"
    file.write_text(text.replace("/tmp/nginx.pid", str(tmp_path / "pid")), encoding="utf-8")
    ran = subprocess.run([nginx, "-t", "-c", str(file)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def _certificate(folder: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "tls.key").write_bytes(key.private_bytes(encoding, form, plain))


@pytest.mark.vllm
@pytest.mark.slow
def test_vllm_takes_the_servers_arguments():
    pytest.importorskip("vllm", reason="vLLM is not installed")
    code = """
import sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
found = make_arg_parser(FlexibleArgumentParser()).parse_args(sys.argv[1:])
print(found.model, found.served_model_name, found.port, found.gpu_memory_utilization, found.enable_prefix_caching)
"""
    command = compose(**VARIABLES)["services"]["vllm"]["command"]
    ran = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, timeout=PATIENCE)
    assert ran.stdout.strip().endswith("/models/policy ['policy'] 8000 0.85 True"), ran.stderr[-2000:]
