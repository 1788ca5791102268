"""What every page that starts a job does with a checked specification."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from webapp.accounts.models import Team
from webapp.common.access import actor_of
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.jobs.transitions import JobError

_RUNS = ("sft", "dpo", "prm", "orm", "grpo")
OWN_PAGES = {"search": "search", "evolution": "evolution", **dict.fromkeys(_RUNS, "training-run")}
"""Kinds of jobs that are shown on a page of their own; the others on the job's page."""


def own_page(job: Job) -> str:
    """The URL of the page that shows this kind of job best; empty where it is the job's own."""
    name = OWN_PAGES.get(job.kind)
    return reverse(name, args=[job.team.slug, job.pk]) if name and job.parent_id is None else ""


def submitted(request: HttpRequest, team: Team, spec: Any, title: str, *, back: tuple[Any, ...]) -> HttpResponse:
    """Submit a job and show it; what is in the way is said on the page before."""
    try:
        job = job_submit(actor=actor_of(request), team=team, spec=spec, title=title)
    except JobError as error:
        messages.error(request, str(error))
        return redirect(*back)
    except QueueUnreachable as error:  # it is stored and starts later
        messages.warning(request, str(error))
        return redirect(*back)
    return redirect(OWN_PAGES.get(job.kind, "job"), team.slug, job.pk)
