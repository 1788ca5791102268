"""Measures the same thing on both databases: each time in a process, a folder and a database of its own."""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from tests.with_postgres import MISSING


def web_ready() -> None:
    """The database and folder that the environment names, as a web process finds them; its log stays silent."""
    import logging

    import django

    django.setup()
    logging.disable(logging.WARNING)  # the log is not what is measured
    from django.conf import settings
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["ninja", "admin"])
    settings.ALLOWED_HOSTS = ["testserver"]
    import webapp.config.asgi  # noqa: F401  # the web process as it stands when it answers


def on_both(module: str, *arguments: str) -> dict[str, Any]:
    """The last line of `python -m module …`, read as JSON, by database. PostgreSQL is left out where there is none."""
    again = [sys.executable, "-m", module, *arguments]
    figures = {}
    for name, command in {
        "sqlite": again,
        "postgresql": [sys.executable, "-m", "tests.with_postgres", "--", *again],
    }.items():
        with tempfile.TemporaryDirectory(prefix="meds3-bench-") as home:
            environment = {key: value for key, value in os.environ.items() if key != "MEDS3_DATABASE"}
            environment |= {"MEDS3_HOME": home, "DJANGO_SETTINGS_MODULE": "webapp.config.settings.local"}
            environment |= {"MEDS3_LOG_LEVEL": "WARNING"}
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
        if done.returncode == MISSING:
            continue
        done.check_returncode()
        figures[name] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures
