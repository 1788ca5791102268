"""What a person asks of a job from a page, and how it is answered in words."""

from collections.abc import Callable, Mapping

from django.contrib import messages
from django.http import HttpRequest

from webapp.common.access import actor_of
from webapp.jobs import services
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.models import Job, State
from webapp.jobs.transitions import JobError

ASKS: Mapping[str, Callable[..., Job]] = {
    "pause": services.job_pause,
    "resume": services.job_resume,
    "cancel": services.job_cancel,
    "retry": services.job_retry,
    "again": services.job_run_again,
}

SAID: Mapping[State, str] = {
    State.QUEUED: "It waits for a worker now.",
    State.PAUSING: "It stops as soon as it has saved its place.",
    State.PAUSED: "It is paused.",
    State.CANCELLING: "It is being stopped.",
    State.CANCELLED: "It is cancelled.",
}
"""What to expect, by the state that the job is in afterwards."""


def steer(request: HttpRequest, ask: str, job: Job) -> Job | None:
    """Do what was asked and say so on the next page; gives the job as it is then (with `again` the new one)."""
    try:
        after = ASKS[ask](actor=actor_of(request), job=job)
    except JobError as error:
        messages.error(request, str(error))
        return None
    except QueueUnreachable as error:  # done, but nobody could be told
        messages.warning(request, str(error))
        return None
    said = "The same job is submitted once more." if ask == "again" else SAID.get(State(after.state), "")
    messages.success(request, said)
    return after
