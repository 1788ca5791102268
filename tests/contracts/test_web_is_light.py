"""The web process never loads a model: `torch` stays out when Django is set up and every URL is known."""

import os
import subprocess
import sys

HEAVY = ("torch", "transformers", "vllm", "trl", "peft", "accelerate", "workers")

CODE = f"""
import sys, django
django.setup()
from django.urls import get_resolver
def walk(resolver):
    for entry in resolver.url_patterns:
        if hasattr(entry, "url_patterns"):
            walk(entry)
        else:
            entry.callback
walk(get_resolver())
import webapp.config.asgi
print(" ".join(name for name in {HEAVY!r} if name in sys.modules))
"""


def test_the_web_process_imports_nothing_heavy(tmp_path):
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "webapp.config.settings.local", "MEDS3_HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True, env=environment)
    assert not ran.stdout.split(), f"the web process imports {ran.stdout}"
