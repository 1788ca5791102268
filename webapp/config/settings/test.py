"""Settings of the tests: as embedded, with a cheap password hash. The database comes from the environment."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "MEDS3_HOME" not in os.environ:
    os.environ["MEDS3_HOME"] = _home = tempfile.mkdtemp(prefix="meds3-test-")
    _maker = os.getpid()
    atexit.register(lambda: os.getpid() == _maker and shutil.rmtree(_home, ignore_errors=True))

# Processes of one run of tests inherit its folder: each has its own inside, which the servers it starts inherit.
_process = os.environ.get("PYTEST_XDIST_WORKER")
if _process and Path(os.environ["MEDS3_HOME"]).name != _process:
    os.environ["MEDS3_HOME"] = str(Path(os.environ["MEDS3_HOME"]) / _process)

from webapp.config.settings.local import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES = STORAGES | {  # type: ignore[name-defined]  # noqa: F405
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}
LOGGING_CONFIG = None
"""Tests of the library run in the same process and keep the logging that they set up."""
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, as in use: several connections to one database in memory would not wait for each other.
    DATABASES["default"]["TEST"] = {"NAME": str(HOME / "test.sqlite3")}  # noqa: F405
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # type: ignore[name-defined]  # noqa: F405
