"""Mail about the end of a job, for whoever submitted it and wants it. Sent by the sweep, once at most.

A mail leaves the instance unsealed: it names kind, team and outcome, and links to the job; no title, no result.
"""

import smtplib

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse

from webapp.accounts.models import Membership
from webapp.accounts.rules import Action, may
from webapp.jobs.kinds import KINDS
from webapp.jobs.models import Job, State
from webapp.jobs.standing import standing_of

log = structlog.get_logger(__name__)

ROUND = 20


def notices_send() -> int:
    """Send what is due; gives how many mails left. Without a mail server what is due is forgotten."""
    due = Job.objects.filter(notice_due=True)
    if not settings.HAS_MAIL:
        due.update(notice_due=False)
        return 0
    rows = due.exclude(ended=None).order_by("ended").select_related("team", "created_by").defer("spec", "result")
    sent = 0
    for job in rows[:ROUND]:
        # Taken off before it is sent: one that is lost is better than one that comes twice.
        if Job.objects.filter(pk=job.pk, notice_due=True).update(notice_due=False) and _is_wanted(job):
            sent += _send(job)
    return sent


def _is_wanted(job: Job) -> bool:
    """Whether the person asked for it, has an address, and may still see the job."""
    person = job.created_by
    if job.parent_id or not KINDS[job.kind].listed or person is None or not person.is_active:
        return False
    if not person.mail_when_job_ends or not person.email:
        return False
    if job.team.is_system:
        return bool(person.is_operator)
    membership = Membership.objects.filter(user=person, team=job.team_id).first()
    return membership is not None and may(membership.role, Action.JOB_VIEW)


def _send(job: Job) -> bool:
    assert job.created_by is not None
    own = job.team.is_system
    path = reverse("operations-job", args=[job.pk]) if own else reverse("job", args=[job.team.slug, job.pk])
    kind = KINDS[job.kind].label
    verb = "has finished" if job.state == State.SUCCEEDED else "has failed"
    context = {
        "kind": kind,
        "verb": verb,
        "job": job,
        "advice": standing_of(job).advice,
        "link": settings.PUBLIC_URL + path,
        "settings_link": settings.PUBLIC_URL + reverse("profile"),
    }
    text = render_to_string("jobs/mail/ended.txt", context)
    try:
        send_mail(f"{kind} of {job.team} {verb}", text, settings.DEFAULT_FROM_EMAIL, [job.created_by.email])
    except (OSError, smtplib.SMTPException):
        log.warning("job_mail_failed", job=str(job.pk), exc_info=True)
        return False
    return True
