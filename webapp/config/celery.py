"""The web application's end of the message queue. Workers add their own settings to this (workers.app)."""

import os
from urllib.parse import urlsplit

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")

from django.conf import settings


def broker_url(url: str) -> str:
    """As Celery writes it: a socket's scheme is `redis+socket`."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    secret = f":{parts.password}@" if parts.password else ""
    return f"redis+socket://{secret}{parts.path}"


app = Celery("meds3", broker=broker_url(settings.REDIS), set_as_current=False)
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    broker_connection_timeout=4,
    # A request waits for the queue no longer than a person would.
    # Without `max_retries` kombu would try for ever.
    broker_transport_options={
        "socket_timeout": 5,
        "socket_connect_timeout": 4,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.2,
    },
)
