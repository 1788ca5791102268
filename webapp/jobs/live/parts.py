"""What live pages are sent: the parts of a page that changed, as the server draws them for everybody who may see them.

A part holds nothing of the person who looks, so that it is drawn once per process, whoever watches.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.template.loader import render_to_string

from webapp.jobs import overviews, selectors
from webapp.jobs.models import Job, JobEvent
from webapp.jobs.outcomes import outcomes_of
from webapp.jobs.standing import MAY, flat

ROWS = 200
"""Rows of settings and of a result that a page shows."""

JOB_PARTS = ("standing", "stages", "outcomes", "facts", "result", "checkpoints")
OPERATIONS_PARTS = ("queues", "workers", "failed", "leases", "own")


def standing_context(job: Job) -> dict[str, Any]:
    """What changes on a job's page while it runs."""
    stages = selectors.stages_of(job=job)
    count, newest = overviews.newest_checkpoints(job=job)
    return {
        "job": job,
        "stages": stages if len(stages) > 1 else [],
        "shards": overviews.shards_of(job=job) if not job.parent_id and not job.queue else [],
        "checkpoint_count": count,
        "checkpoints": newest,
        "outcomes": outcomes_of(job=job),
        "result": flat(job.result or {})[:ROWS],
    }


def job_parts(job: Job) -> dict[str, str]:
    """The parts of a job's page, drawn."""
    context = standing_context(job)
    return {name: render_to_string(f"jobs/parts/{name}.html", context) for name in JOB_PARTS}


def event_rows(events: Iterable[JobEvent]) -> str:
    """Rows for a list of events."""
    return render_to_string("jobs/parts/event_rows.html", {"events": events})


def job_row(job: Job) -> str:
    """A row of a list of jobs."""
    return render_to_string("jobs/parts/row.html", {"job": job})


def operations_context() -> dict[str, Any]:
    """What changes on the operators' page by itself."""
    return {
        "queues": selectors.queues_overview(),
        "workers": selectors.workers_known(),
        "alive_since": overviews.alive_since(),
        "failed": overviews.failed_jobs(),
        "own": overviews.own_jobs(),
        "leases": overviews.device_leases(),
        "retry": MAY["retry"],
    }


def operations_parts() -> dict[str, str]:
    """The parts of the operators' page, drawn."""
    context = operations_context()
    return {name: render_to_string(f"jobs/parts/{name}.html", context) for name in OPERATIONS_PARTS}


def changed(parts: dict[str, str], known: dict[str, str]) -> dict[str, str]:
    """The parts that differ from those that were sent last; notes them as sent."""
    fresh = {name: text for name, text in parts.items() if known.get(name) != text}
    known.update(fresh)
    return fresh


def id_of(text: str) -> UUID | None:
    """An id out of a message; none when it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
