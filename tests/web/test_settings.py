"""Settings as installations have them: production's checks, secrets on disk, identity providers, what logs hold."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from webapp.config.identity import ldap_settings, provider_origins, social_providers
from webapp.config.secret_files import kept_secret

ROOT = Path(__file__).parents[2]
PRODUCTION = {"DJANGO_SETTINGS_MODULE": "webapp.config.settings.production", "MEDS3_HOSTS": "studio.hospital.example"}


def python(code: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python with these variables and nothing else of ours in its environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MEDS3_", "DJANGO_"))}
    environment = {**clean, "MEDS3_HOME": str(home), **variables}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)


def test_production_passes_djangos_own_checks(tmp_path):
    code = "from django.core.management import execute_from_command_line as run; run(['', 'check', '--deploy'])"
    ran = python(code, tmp_path, **PRODUCTION, MEDS3_LOG_LEVEL="WARNING")
    assert ran.returncode == 0, ran.stderr
    assert (ran.stdout.strip(), ran.stderr.strip()) == ("System check identified no issues (1 silenced).", "")


def test_production_names_its_hosts_and_allows_no_printed_sign_in(tmp_path):
    without = python("import webapp.config.settings.production", tmp_path)
    assert "MEDS3_HOSTS" in without.stderr
    code = "import webapp.config.settings.production as s; print(s.ALLOW_ONE_TIME_SIGN_IN, s.DEBUG, s.PROXIES)"
    assert python(code, tmp_path, **PRODUCTION).stdout.split() == ["False", "False", "1"]


# --- secrets -------------------------------------------------------------------------------------------------------


def test_secrets_are_for_their_owner_only(tmp_path):
    folder = tmp_path / "secrets"
    secret = kept_secret(folder, "key")
    assert kept_secret(folder, "key") == secret != kept_secret(folder, "other")
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["key", "other"]
    (folder / "key").chmod(0o640)
    with pytest.raises(ImproperlyConfigured, match="chmod 600"):
        kept_secret(folder, "key")


def test_processes_that_start_together_get_one_secret(tmp_path):
    """Three processes, each waiting at the door until all are there."""
    code = f"""
import sys
from pathlib import Path
from webapp.config.secret_files import kept_secret
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    print(kept_secret(Path({str(tmp_path)!r}), f"key-{{number}}"))
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    running = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(3)]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[0].split() for process in running]
    assert told[0] == told[1] == told[2]
    assert len(set(told[0])) == 20


def test_threads_of_one_process_get_one_secret(tmp_path):
    door, found = threading.Barrier(8), []

    def ask():
        door.wait()
        found.append(kept_secret(tmp_path, "key"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


# --- identity providers --------------------------------------------------------------------------------------------


@pytest.fixture
def env(monkeypatch) -> environ.Env:
    for name in [
        name for name in os.environ if name.startswith(("MEDS3_OIDC", "MEDS3_SAML", "MEDS3_LDAP", "MEDS3_SSO"))
    ]:
        monkeypatch.delenv(name)
    return environ.Env()


def test_no_provider_unless_one_is_named(env):
    assert (social_providers(env), provider_origins(env), ldap_settings(env)) == ({}, [], {})


def test_a_provider_half_named_says_what_is_missing(env, monkeypatch):
    monkeypatch.setenv("MEDS3_OIDC_URL", "https://login.hospital.example/realms/ward")
    with pytest.raises(ImproperlyConfigured, match="MEDS3_OIDC_CLIENT_ID"):
        social_providers(env)


def test_saml_settings_load(env, monkeypatch, tmp_path):
    certificate = tmp_path / "idp.pem"
    certificate.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", encoding="ascii")
    monkeypatch.setenv("MEDS3_SAML_ENTITY_ID", "https://idp.hospital.example")
    monkeypatch.setenv("MEDS3_SAML_SSO_URL", "https://idp.hospital.example/sso")
    monkeypatch.setenv("MEDS3_SAML_CERT_FILE", str(certificate))
    app = social_providers(env)["saml"]["APPS"][0]
    assert app["settings"]["idp"]["x509cert"] == certificate.read_text(encoding="ascii")
    assert app["settings"]["advanced"]["want_assertion_signed"]
    assert provider_origins(env) == ["https://idp.hospital.example"]


def test_ldap_settings_load_or_name_the_extra(env, monkeypatch):
    monkeypatch.setenv("MEDS3_LDAP_URL", "ldap://directory.hospital.example")
    monkeypatch.setenv("MEDS3_LDAP_SEARCH_BASE", "ou=people,dc=hospital,dc=example")
    try:
        import django_auth_ldap  # noqa: F401
    except ImportError:
        with pytest.raises(ImproperlyConfigured, match=r"\.\[ldap\]"):
            ldap_settings(env)
        return
    found = ldap_settings(env)
    assert found["AUTH_LDAP_START_TLS"] is True
    assert found["AUTH_LDAP_USER_SEARCH"].base_dn == "ou=people,dc=hospital,dc=example"


# --- logs ----------------------------------------------------------------------------------------------------------


def test_logs_hold_the_path_and_never_what_was_asked(tmp_path):
    """Pages, pages that do not exist, wrong passwords and refused hosts, with a marker in every place it could leak."""
    code = """
import django
from django.conf import settings
plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # nothing was collected here
settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.test import Client
client = Client(raise_request_exception=False)
client.get("/accounts/login/?next=/ZEBRA")
client.get("/nowhere/?q=ZEBRA", headers={"X-Request-Id": "from-outside"})
client.get("/t/some-team/members/?before=ZEBRA")
client.post("/accounts/login/?q=ZEBRA", {"login": "somebody", "password": "ZEBRA"})
client.get("/healthz?q=ZEBRA")
client.post("/invitation/", {"secret": "ZEBRA"})
client.get("/api/v1/me?q=ZEBRA", headers={"Authorization": "Bearer ZEBRA"})
"""
    ran = python(code, tmp_path, DJANGO_SETTINGS_MODULE="webapp.config.settings.local", MEDS3_HOSTS="testserver")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "ZEBRA" not in ran.stdout + ran.stderr
    lines = [json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{")]
    assert not [line for line in lines if line.get("level") == "error"]
    finished = [line for line in lines if line.get("event") == "request_finished"]
    assert {line["request"] for line in finished} >= {"GET /accounts/login/", "GET /nowhere/", "GET /api/v1/me"}
    assert all(line["request_id"] and line["ip"] == "127.0.0.1" for line in finished)
