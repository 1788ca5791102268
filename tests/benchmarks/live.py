"""A running web process with Redis for the benchmarks of live pages, on a file database of its own."""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.browser.people import person, session
from tests.browser.studio import Studio

CURVES = (
    "loss",
    "token_accuracy",
    "entropy",
    "learning rate",
    "tokens per second",
    "memory",
    "gradient norm",
    "margin",
)
PIECE = 20
"""Points of a stretch as they come every two seconds."""


@contextmanager
def running_studio() -> Iterator[Studio]:
    """Started, and ended with everything that belongs to it."""
    with tempfile.TemporaryDirectory(prefix="live-", dir="/tmp") as home:  # a socket's path may have 107 bytes
        studio = Studio(Path(home))
        try:
            yield studio
        finally:
            studio.stop()


def percentile(values: list[float], share: float) -> float:
    """Of at least two values, by interpolation."""
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def cookie(studio: Studio, username: str, *, is_new: bool = True, team: str = "Ward") -> str:
    """Of somebody who has just signed in; made first if need be."""
    if is_new:
        studio.call(person, username=username, team=team, is_operator=username == "operator")
    return f"sessionid={studio.call(session, username=username)}"


def processor_seconds(studio: Studio) -> float:
    """That the web process has used so far."""
    times = psutil.Process(studio.server_pid).cpu_times()
    return times.user + times.system


async def open_socket(studio: Studio, path: str, cookies: str) -> Any:
    """A socket of a page, connected."""
    from websockets.asyncio.client import connect

    url = studio.url.replace("http", "ws", 1)
    headers = {"Cookie": cookies, "Origin": studio.url}
    return await connect(url + path, additional_headers=headers, max_size=None, ping_interval=None, open_timeout=120)


async def messages(socket: Any) -> Any:
    """The socket's messages, ticks left out, each with the moment when it came."""
    async for text in socket:
        message = json.loads(text)
        if message["type"] != "tick":
            yield time.time(), message


def run(main: Any) -> Any:
    """To its end, in an event loop."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return asyncio.run(main)


# --- functions for the studio's second process ---------------------------------------------------------------------


def job_begin(*, username: str) -> dict[str, Any]:
    """A job of the person's team that a worker of this name has, which is nobody."""
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Membership
    from webapp.jobs import claims, services
    from webapp.jobs.models import Job

    team = Membership.objects.select_related("team").get(user__username=username).team
    job = services.job_submit(actor=SYSTEM, team=team, spec={"kind": "self-check"})
    Job.objects.filter(pk=job.pk).update(queue="bench")
    worker = claims.worker_register(name="bench", queue="bench")
    claims.job_claim(queue="bench", worker=worker)
    return {"team": team.slug, "job": str(job.pk)}


def events_write(*, job: str, count: int, pause: float) -> list[float]:
    """Write so many events as a worker does; gives the moment before each."""
    from uuid import UUID

    from webapp.jobs import reports

    moments = []
    for number in range(count):
        moments.append(time.time())
        reports.warning_write(job_id=UUID(job), attempt=1, text=f"event {number};")
        time.sleep(pause)
    return moments


def self_checks_submit(*, count: int) -> list[dict[str, Any]]:
    """Submit one after the other, each when the last one was claimed and cancelled; seconds from submit to claim."""
    from django.utils import timezone

    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.services import system_team
    from webapp.jobs import services
    from webapp.jobs.models import Job, JobEvent, State

    found = []
    for _ in range(count):
        begun = timezone.now()
        job = services.job_submit(actor=SYSTEM, team=system_team(), spec={"kind": "self-check", "questions": 1000})
        while Job.objects.values_list("state", flat=True).get(pk=job.pk) != State.RUNNING:
            time.sleep(0.01)
        claimed = JobEvent.objects.filter(job=job, data__state="running").earliest("seq").at
        found.append({"seconds": (claimed - begun).total_seconds()})
        services.job_cancel(actor=SYSTEM, job=job)
        while Job.objects.values_list("state", flat=True).get(pk=job.pk) != State.CANCELLED:
            time.sleep(0.05)
        time.sleep(0.5)  # until the worker looks again
    return found


def curves_write(*, job: str, points: int) -> int:
    """Curves with so many points together, written as a worker writes them; gives the rows that they take."""
    import math
    from uuid import UUID

    from webapp.jobs import reports
    from webapp.jobs.models import MetricChunk

    count = points // len(CURVES)
    for start in range(0, count, PIECE):
        steps = list(range(start + 1, min(start + PIECE, count) + 1))
        for place, name in enumerate(CURVES):
            values = [2 / (1 + step / 900) + math.sin(step * (place + 1)) / 20 + place for step in steps]
            reports.metrics_append(job_id=UUID(job), attempt=1, name=name, steps=steps, values=values)
    return MetricChunk.objects.filter(job=job).count()


def milliseconds(values: list[float]) -> dict[str, Any]:
    """Their number, median and 95th percentile."""
    return {
        "count": len(values),
        "median_ms": round(percentile(values, 0.5)),
        "p95_ms": round(percentile(values, 0.95)),
    }
