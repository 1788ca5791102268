"""Forgets most progress events of jobs that ended a while ago: a chore of the sweep.

What a person reads (states, stages, warnings, checkpoints) stays, and so does the order of `seq`, now with gaps. Every
reader asks for what comes after a seq, never for the next one.
"""

from uuid import UUID

from django.conf import settings

from webapp.jobs.models import Job, JobEvent
from webapp.jobs.transitions import ENDED, in_seconds

KEPT = 100
"""Progress events that stay, evenly spread: enough for a curve."""
BATCH = 1000
"""Rows of one transaction."""
JOBS = 20
"""Jobs of one round."""


def events_thin() -> int:
    """Thin the jobs whose time has come; gives how many events are gone."""
    long_over = in_seconds(-3600 * settings.JOBS_THIN_AFTER_HOURS)
    due = Job.objects.filter(thinned=False, ended__lt=long_over, state__in=ENDED).order_by("ended")
    return sum(_thin(job_id) for job_id in due.values_list("pk", flat=True)[:JOBS])


def _thin(job_id: UUID) -> int:
    progress = JobEvent.objects.filter(job=job_id, kind="progress").order_by("seq").values_list("pk", flat=True)
    rows = list(progress)
    every = max(1, len(rows) // KEPT)
    gone = [row for place, row in enumerate(rows[:-1]) if place % every]  # the last one says how far it came
    for start in range(0, len(gone), BATCH):
        JobEvent.objects.filter(pk__in=gone[start : start + BATCH]).delete()
    Job.objects.filter(pk=job_id, state__in=ENDED).update(thinned=True)
    return len(gone)
