"""Pages of the instance's operators: queues, workers, failures, devices, limits, storage. Never a team's content.

A team's job is shown here by id, kind, team and cause; the instance's own jobs (self-checks, backups) are shown whole.
"""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from webapp.accounts.rules import OperatorAction
from webapp.accounts.services import system_team
from webapp.common.access import actor_of, operator_page
from webapp.jobs import overviews, selectors
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.forms import LimitForm
from webapp.jobs.live.parts import operations_context
from webapp.jobs.services import job_submit, team_limit_set, worker_drain
from webapp.jobs.storage import storage
from webapp.jobs.transitions import JobError
from webapp.jobs.views.curves import curves_answer
from webapp.jobs.views.pages import job_context, log_part, older_events
from webapp.jobs.views.steering import steer


@operator_page(OperatorAction.OPERATIONS_VIEW)
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """Everything that runs this instance, on one page."""
    context = operations_context() | {"storage": storage(), "teams": selectors.team_limits()}
    return render(request, "jobs/operations.html", context)


@operator_page(OperatorAction.OPERATIONS_CONTROL)
@require_POST
def self_check(request: HttpRequest) -> HttpResponse:
    """Prove that a queue works from submit to result."""
    return _submitted(request, "self-check", "A self-check is submitted. It is done when a worker has grown its trees.")


@operator_page(OperatorAction.OPERATIONS_CONTROL)
@require_POST
def backup(request: HttpRequest) -> HttpResponse:
    """Database and files into one archive, in the folder that the instance keeps backups in."""
    return _submitted(request, "backup", "A backup is submitted. Its job says where the archive lies.")


@operator_page(OperatorAction.OPERATIONS_VIEW)
@require_GET
def job_page(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """One job: the instance's own whole, a team's without its content."""
    found = overviews.any_job(job_id=job_id)
    context = job_context(found, for_operators=True) | {"may_control": True, "may_submit": found.team.is_system}
    return render(request, "jobs/job.html" if found.team.is_system else "jobs/job_closed.html", context)


@operator_page(OperatorAction.OPERATIONS_VIEW)
@require_GET
def job_log(request: HttpRequest, job_id: uuid.UUID, attempt: int) -> HttpResponse:
    """The log of one of the instance's own jobs; a team's has none here."""
    found = overviews.any_job(job_id=job_id)
    return log_part(request, found, attempt) if found.team.is_system else JsonResponse({"size": 0, "text": ""})


@operator_page(OperatorAction.OPERATIONS_VIEW)
@require_GET
def job_events(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Older events of one of the instance's own jobs; a team's has none here."""
    found = overviews.any_job(job_id=job_id)
    return older_events(request, found, for_operators=True) if found.team.is_system else HttpResponse()


@operator_page(OperatorAction.OPERATIONS_VIEW)
@require_GET
def job_metrics(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Curves of one of the instance's own jobs; a team's has none here."""
    found = overviews.any_job(job_id=job_id)
    return curves_answer(request, found) if found.team.is_system else JsonResponse({"groups": [], "curves": []})


@operator_page(OperatorAction.OPERATIONS_CONTROL)
@require_POST
def job_steer(request: HttpRequest, job_id: uuid.UUID, ask: str) -> HttpResponse:
    """Pause, resume, cancel or retry a job of whatever team; back to it."""
    steer(request, ask, overviews.any_job(job_id=job_id))
    return redirect("operations-job", job_id=job_id)


@operator_page(OperatorAction.OPERATIONS_CONTROL)
@require_POST
def job_again(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """The same once more: one of the instance's own jobs, since nobody submits in a team's name from here."""
    found = overviews.any_job(job_id=job_id)
    if not found.team.is_system:
        messages.error(request, f"Only members of {found.team} can submit its jobs once more.")
        return redirect("operations-job", job_id=job_id)
    made = steer(request, "again", found)
    return redirect("operations-job", job_id=made.pk if made else job_id)


@operator_page(OperatorAction.OPERATIONS_CONTROL)
@require_POST
def drain(request: HttpRequest, worker_id: uuid.UUID) -> HttpResponse:
    """Let a worker finish: its job saves its place and goes back to the queue, and it takes no other."""
    worker = selectors.worker_known(worker_id=worker_id)
    worker_drain(actor=actor_of(request), worker=worker)
    messages.success(request, f"{worker} takes no new job; its present one saves its place and goes on elsewhere.")
    return redirect("operations")


@operator_page(OperatorAction.OPERATIONS_CONTROL)
@require_POST
def release(request: HttpRequest, worker_id: uuid.UUID) -> HttpResponse:
    """Let a worker work again."""
    worker = selectors.worker_known(worker_id=worker_id)
    worker_drain(actor=actor_of(request), worker=worker, draining=False)
    messages.success(request, f"{worker} takes jobs again.")
    return redirect("operations")


@operator_page(OperatorAction.OPERATIONS_CONTROL)
@require_POST
def limit(request: HttpRequest, slug: str) -> HttpResponse:
    """How many jobs of a team run at once; empty: as the instance's setting."""
    team = selectors.team_known(slug=slug)
    form = LimitForm(request.POST)
    if form.is_valid():
        team_limit_set(actor=actor_of(request), team=team, limit=form.cleaned_data["limit"])
        messages.success(request, f"The limit of {team} is set.")
    else:
        messages.error(request, "A limit is a whole number from 1 to 1000, or empty.")
    return redirect("operations")


def _submitted(request: HttpRequest, kind: str, told: str) -> HttpResponse:
    try:
        job = job_submit(actor=actor_of(request), team=system_team(), spec={"kind": kind})
    except (JobError, QueueUnreachable) as error:
        messages.error(request, str(error))
        return redirect("operations")
    messages.success(request, told)
    return redirect("operations-job", job_id=job.pk)
